"""VOC 2012's instance masks in Detectron2's catalog, which has VOC's boxes only. Registered on import.

``voc_2012_instance_trainaug`` and ``voc_2012_instance_val``, below DETECTRON2_DATASETS: VOC2012, and the masks of SBD
(Hariharan et al., ICCV 2011) where SBD or SBD/dataset holds ``inst``, ``train.txt`` and ``val.txt``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from transfer.data import voc

NAMES = {"voc_2012_instance_trainaug": "train", "voc_2012_instance_val": "val"}


def split(name: str) -> voc.VocSplit:
    """Return the VOC split behind one of ``NAMES``."""
    root = Path(os.environ.get("DETECTRON2_DATASETS", "datasets"))
    sbd = next((folder for folder in (root / "SBD", root / "SBD/dataset") if (folder / "inst").is_dir()), None)
    return voc.VocSplit(root / "VOC2012", NAMES[name], sbd if name.endswith("trainaug") else None)


def load(name: str) -> list[dict[str, Any]]:
    """Return the set as Detectron2's records, with masks as run-length codes (INPUT.MASK_FORMAT bitmask)."""
    data = voc.read_voc([split(name)], voc.PASCAL, masks=True)
    records = {
        image["id"]: {**image, "file_name": str(data.images / image["file_name"]), "image_id": image["id"]}
        for image in data.content["images"]
    }
    for record in records.values():
        record["annotations"] = []
    for entry in data.content["annotations"]:
        objects = {"bbox": entry["bbox"], "bbox_mode": BoxMode.XYWH_ABS, "category_id": entry["category_id"] - 1}
        records[entry["image_id"]]["annotations"].append(
            {**objects, "segmentation": entry["segmentation"], "iscrowd": 0}
        )
    return list(records.values())


def _register() -> None:
    for name in NAMES:
        if name not in DatasetCatalog:
            DatasetCatalog.register(name, lambda name=name: load(name))
            MetadataCatalog.get(name).set(evaluator_type="coco", thing_classes=list(voc.PASCAL))


_register()
