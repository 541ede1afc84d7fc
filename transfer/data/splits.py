"""The data of a run, as Detectron2's catalog and the run record know it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json, register_coco_instances

from transfer.data import check, coco, voc
from transfer.data.voc import VocSplit
from transfer.errors import InputError
from transfer.files.json_files import parse, read_bytes
from transfer.records.record import Split

# evaluator type -> (module it imports, what to install for it)
NEEDS = {
    "lvis": ("lvis", "lvis==0.5.3"),
    "cityscapes_instance": ("cityscapesscripts", "cityscapesScripts==2.3.0 pyquaternion==0.9.9 shapely==2.2.0"),
}


log = logging.getLogger(__name__)


def from_files(images: str, annotations: str, *, masks: bool) -> tuple[Split, bool]:
    """Read and check a COCO-format set; return it and whether some of its masks are run-length codes.

    Args:
        images: the folder that file names are relative to.
        annotations: the COCO file.
        masks: whether masks are trained on or measured.

    Raises:
        InputError: the set cannot be used (see ``check.check``).
    """
    data = coco.read_coco(images, annotations)
    log_problems(data, masks=masks)
    counts = (data.n_images, data.n_instances)
    return Split(str(data.images), str(data.annotations), data.fingerprint, *counts, list(data.classes)), data.has_rle


def log_problems(data: coco.CocoSet, *, masks: bool) -> None:
    """Check a set; log what Detectron2 will leave out or clip.

    Raises:
        InputError: the set cannot be used (see ``check.check``).
    """
    for line in check.check(data, masks=masks):
        log.warning("%s: %s; Detectron2 leaves out or clips these", data.annotations, line)


def name_of(split: Split, role: str) -> str:
    """Return the name under which Detectron2 knows a set, which its content decides."""
    return f"{role}_{Path(split.annotations).stem}_{split.fingerprint[:8]}"


def register(split: Split, role: str, pascal: VocSplit | None = None) -> str:
    """Make a set known to Detectron2; return its name there.

    Args:
        split: a set in COCO format.
        role: "train" or "val".
        pascal: the VOC split that it was made from, to measure by Pascal's definition; None to measure as COCO does.
    """
    name = name_of(split, role)
    if name in DatasetCatalog:  # an earlier run in the same process; the images may lie elsewhere now
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    if pascal is None:
        register_coco_instances(name, {}, split.annotations, split.images)
    else:
        DatasetCatalog.register(name, lambda: load_coco_json(split.annotations, split.images, name))
        MetadataCatalog.get(name).set(evaluator_type="pascal_voc", year=pascal.year, json_file=split.annotations)
    MetadataCatalog.get(name).thing_classes = split.classes
    return name


def registered(names: tuple[str, ...], *, masks: bool) -> Split:
    """Return the sets that Detectron2 knows under ``names``, joined; COCO sets are checked as ``from_files`` does.

    Raises:
        InputError: an unknown name, files that are not there, or a set that cannot be used.
    """
    if not names:
        raise InputError(
            "DATASETS: expected a data set for training and one to measure on, found none; give --train and --val, or "
            "name Detectron2's own in DATASETS.TRAIN and DATASETS.TEST"
        )
    parts = [_one(name, masks=masks) for name in names]
    for part in parts[1:]:
        coco.check_same_classes(tuple(parts[0].classes), tuple(part.classes))
    fingerprint = parts[0].fingerprint if len(parts) == 1 else _sha256("".join(p.fingerprint for p in parts))
    return Split(
        images=" + ".join(p.images for p in parts),
        annotations=" + ".join(p.annotations for p in parts),
        fingerprint=fingerprint,
        n_images=sum(p.n_images for p in parts),
        n_instances=sum(p.n_instances for p in parts),
        classes=parts[0].classes,
    )


def _one(name: str, *, masks: bool) -> Split:
    if name not in DatasetCatalog:
        raise InputError(
            f"data set {name}: expected a name that Detectron2 knows, found none; or give --train and --val"
        )
    metadata = MetadataCatalog.get(name)
    kind = metadata.get("evaluator_type")
    check_installed(kind, name)
    if kind == "pascal_voc":
        return registered_voc(name, name)[0]
    with _told_of(name):
        if kind == "coco":
            return from_files(metadata.image_root, metadata.json_file, masks=masks)[0]
        return _from_catalog(name, metadata)


@contextmanager
def _told_of(name: str) -> Iterator[None]:
    """Say of whatever is wrong in the block which of Detectron2's data sets it is about."""
    try:
        yield
    except (InputError, OSError, AssertionError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"data set {name}: {what}; set DETECTRON2_DATASETS to the data sets' folder, or give --train and --val"
        ) from None


def voc_behind(name: str) -> VocSplit:
    """Return the VOC folder behind a set that Detectron2 knows under ``name`` and measures by Pascal's definition."""
    metadata = MetadataCatalog.get(name)
    return VocSplit(Path(metadata.dirname), metadata.split, edition=metadata.year)


def from_voc(
    parts: list[VocSplit], classes: tuple[str, ...], annotations: str, *, masks: bool
) -> tuple[Split, dict[str, Any]]:
    """Read and check VOC folders; return the set and what the COCO file ``annotations`` of it is to hold.

    Raises:
        InputError: the set cannot be used.
    """
    data = voc.read_voc(parts, classes, masks=masks)
    log_problems(data, masks=masks)
    counts = (data.n_images, data.n_instances)
    return Split(str(data.images), annotations, data.fingerprint, *counts, list(classes)), data.content


def registered_voc(name: str, annotations: str) -> tuple[Split, dict[str, Any]]:
    """Return the VOC set that Detectron2 knows under ``name`` as ``from_voc`` does.

    Raises:
        InputError: files that are not there, or a set that cannot be used.
    """
    with _told_of(name):
        classes = tuple(MetadataCatalog.get(name).thing_classes)
        return from_voc([voc_behind(name)], classes, annotations, masks=False)


def _from_catalog(name: str, metadata: Any) -> Split:
    """Describe a set that Detectron2 reads itself (LVIS, Cityscapes); LVIS's file and its fingerprint are at hand."""
    lvis = _lvis_file(Path(metadata.json_file)) if metadata.evaluator_type == "lvis" else None
    records = DatasetCatalog.get(name)
    missing = [record["file_name"] for record in records if not Path(record["file_name"]).is_file()]
    if missing:
        raise InputError(
            f"expected all of its {len(records)} images, found {len(missing)} missing (first: {missing[0]})"
        )
    root = str(metadata.get("image_root") or metadata.get("image_dir") or "")
    objects = [record.get("annotations", []) for record in records]
    counts = (len(records), sum(map(len, objects)))
    if lvis is not None:
        return Split(root, metadata.json_file, lvis[0], *counts, lvis[1])
    content = [
        [Path(r["file_name"]).name, [[a["category_id"], a["bbox"]] for a in o]]
        for r, o in zip(records, objects, strict=True)
    ]
    fingerprint = _sha256(json.dumps(content, default=str))
    return Split(root, name, fingerprint, *counts, list(metadata.thing_classes))


def _lvis_file(file: Path) -> tuple[str, list[str]]:
    """Return the file's fingerprint and class names, by id; Detectron2 has another name for one of them."""
    raw = read_bytes(file, "an LVIS annotation file")
    content = parse(raw, file, "an LVIS annotation file")
    names = [c["name"] for c in sorted(content["categories"], key=lambda c: c["id"])]
    return hashlib.sha256(raw).hexdigest(), names


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def number_of_classes_key(cfg: CfgNode) -> str:
    """Return the config key that holds the number of classes of the detector."""
    return (
        "MODEL.RETINANET.NUM_CLASSES" if cfg.MODEL.META_ARCHITECTURE == "RetinaNet" else "MODEL.ROI_HEADS.NUM_CLASSES"
    )


def check_installed(kind: str, dataset: str) -> None:
    """Raise InputError when the evaluation of ``kind`` needs a package that is not installed."""
    module, packages = NEEDS.get(kind, ("", ""))
    if module and importlib.util.find_spec(module) is None:
        raise InputError(
            f"data set {dataset}: expected the package {module}, which Detectron2 needs for it, found none; "
            f"python -m pip install --no-deps {packages}"
        )
