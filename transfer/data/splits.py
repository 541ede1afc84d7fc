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
from detectron2.structures import BoxMode
from pycocotools import mask as coco_mask

from transfer.data import annotation_file, check, coco, voc
from transfer.data.masks import polygons_problem, sound_polygons
from transfer.data.voc import VocSplit
from transfer.errors import InputError
from transfer.records.record import Split

# evaluator type -> (module it imports, what to install for it)
NEEDS = {
    "lvis": ("lvis", "lvis==0.5.3"),
    "cityscapes_instance": ("cityscapesscripts", "cityscapesScripts==2.3.0 pyquaternion==0.9.9 shapely==2.2.0"),
}


log = logging.getLogger(__name__)

_FILES: dict[tuple[str, str], list[str]] = {}  # (images, fingerprint) of a Split -> its images' files


def image_files(split: Split) -> list[str]:
    """Return the image files of a set that has been read in this process."""
    return _FILES.get((split.images, split.fingerprint), [])


def _remember(split: Split, files: list[str]) -> Split:
    _FILES[split.images, split.fingerprint] = files
    return split


def _files(data: coco.CocoSet) -> list[str]:
    return [str(data.images / image["file_name"]) for image in data.content["images"]]


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
    split = Split(str(data.images), str(data.annotations), data.fingerprint, *counts, list(data.classes))
    return _remember(split, _files(data)), data.has_rle


def log_problems(data: coco.CocoSet, *, masks: bool) -> None:
    """Check a set; log what is left out, clipped or odd.

    Raises:
        InputError: the set cannot be used (see ``check.check``).
    """
    for line in (*data.changes, *check.check(data, masks=masks)):
        log.warning("%s: %s", data.annotations, line)


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
    DatasetCatalog.register(name, lambda: records(split.images, split.annotations))
    metadata = MetadataCatalog.get(name)
    metadata.set(json_file=split.annotations, image_root=split.images, thing_classes=split.classes)
    if pascal is None:
        metadata.set(evaluator_type="coco")
    else:
        metadata.set(evaluator_type="pascal_voc", year=pascal.year)
    return name


def records(images: str, annotations: str) -> list[dict[str, Any]]:
    """Return a COCO-format set as Detectron2's records, by image id; its boxes and masks have been checked before.

    Classes are numbered from 0 on in the order of their ids. An image's id is as it is in the file, of any size: it
    only passes through. Detectron2's own reader stops at files that ours reads.
    """
    content = coco.read_coco(images, annotations).content
    classes = {category["id"]: i for i, category in enumerate(coco.by_id(content["categories"]))}
    listed = [
        {"file_name": str(Path(images, image["file_name"])), "image_id": image["id"], "annotations": []}
        | {"height": image["height"], "width": image["width"]}
        for image in coco.by_id(content["images"])
    ]
    objects = {record["image_id"]: record["annotations"] for record in listed}
    for entry in content["annotations"]:
        one = {"bbox": entry["bbox"], "bbox_mode": BoxMode.XYWH_ABS, "iscrowd": entry["iscrowd"]}
        one["category_id"] = classes[entry["category_id"]]
        if entry.get("segmentation"):
            one["segmentation"] = _mask(entry["segmentation"])
        objects[entry["image_id"]].append(one)
    return listed


def _mask(given: Any) -> Any:
    """Return a mask as Detectron2 takes it, [] for an empty one, which ``transfer.finetuning.mapper`` leaves out.

    What is no mask at all is [] too: only a set for a box detector gets as far as this with one.
    """
    if isinstance(given, list):
        return [] if polygons_problem(given) else sound_polygons(given)
    if not isinstance(given, dict):
        return []
    if isinstance(given.get("counts"), list):
        try:
            return coco_mask.frPyObjects(given, *given["size"])
        except (TypeError, ValueError, KeyError):
            return []
    return given


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
    joined = Split(
        images=" + ".join(p.images for p in parts),
        annotations=" + ".join(p.annotations for p in parts),
        fingerprint=fingerprint,
        n_images=sum(p.n_images for p in parts),
        n_instances=sum(p.n_instances for p in parts),
        classes=parts[0].classes,
    )
    return _remember(joined, [file for part in parts for file in image_files(part)])


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
    with _logged_as(name):
        if kind == "coco":
            _check_detectron2_reads(metadata.image_root, Path(metadata.json_file))
            return from_files(metadata.image_root, metadata.json_file, masks=masks)[0]
        return _from_catalog(name, metadata)


def _check_detectron2_reads(images: str, file: Path) -> None:
    """Refuse what this project's reader puts right: a set of the catalog is read by Detectron2's."""
    lines = list(coco.read_coco(images, file).changes)
    with file.open("rb") as opened:
        if opened.read(3) == b"\xef\xbb\xbf":
            lines.append("a byte order mark")
    if lines:
        raise InputError(f"expected a file that Detectron2 itself reads rightly, found {'; '.join(lines)}")


@contextmanager
def _logged_as(name: str) -> Iterator[None]:
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
    split = Split(str(data.images), annotations, data.fingerprint, *counts, list(classes))
    return _remember(split, _files(data)), data.content


def registered_voc(name: str, annotations: str) -> tuple[Split, dict[str, Any]]:
    """Return the VOC set that Detectron2 knows under ``name`` as ``from_voc`` does.

    Raises:
        InputError: files that are not there, or a set that cannot be used.
    """
    with _logged_as(name):
        classes = tuple(MetadataCatalog.get(name).thing_classes)
        return from_voc([voc_behind(name)], classes, annotations, masks=False)


def _from_catalog(name: str, metadata: Any) -> Split:
    """Describe a set that Detectron2 reads itself (LVIS, Cityscapes); LVIS's file and its fingerprint are at hand."""
    lvis = _lvis_file(Path(metadata.json_file)) if metadata.evaluator_type == "lvis" else None
    records = DatasetCatalog.get(name)
    files = [record["file_name"] for record in records]
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        raise InputError(
            f"expected all of its {len(records)} images, found {len(missing)} missing (first: {missing[0]})"
        )
    root = str(metadata.get("image_root") or metadata.get("image_dir") or "")
    objects = [record.get("annotations", []) for record in records]
    counts = (len(records), sum(map(len, objects)))
    if lvis is not None:
        return _remember(Split(root, metadata.json_file, lvis[0], *counts, lvis[1]), files)
    content = [
        [Path(r["file_name"]).name, [[a["category_id"], a["bbox"]] for a in o]]
        for r, o in zip(records, objects, strict=True)
    ]
    fingerprint = _sha256(json.dumps(content, default=str))
    return _remember(Split(root, name, fingerprint, *counts, list(metadata.thing_classes)), files)


def _lvis_file(file: Path) -> tuple[str, list[str]]:
    """Return the file's fingerprint and class names, by id; Detectron2 has another name for one of them."""
    given = annotation_file.read(file, names=False)
    return given.sha256, [c["name"] for c in coco.by_id(given.content["categories"])]


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
