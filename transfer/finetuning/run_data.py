"""The data of a run: what the command line or the config names, read, checked and made known to Detectron2."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from transfer.data import coco, leaks, splits, voc, voc_instances
from transfer.detectors import config as detector_config
from transfer.errors import InputError
from transfer.files import atomic
from transfer.finetuning.request import Request
from transfer.records.record import Leaks, Split

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunData:
    """What a run trains on and is measured on.

    Attributes:
        train: None only when a run is evaluated without it.
        val: what is measured on.
        custom: the roles ("train", "val") whose data Detectron2's catalog does not know by itself.
        files: (path, text) of COCO files that are to be written first: VOC folders, as Detectron2 reads them.
        pascal: the VOC split that boxes are measured on by Pascal's definition; None for another measure.
        leaks: val images that training or pretraining has seen; None where there is no training data.
    """

    train: Split | None
    val: Split
    custom: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    pascal: voc.VocSplit | None = None
    leaks: Leaks | None = None

    def with_leaks(self, pretraining: Any) -> RunData:
        """Return it with its leaks counted and logged; ``pretraining`` is ``data`` of the weights' metadata."""
        if self.train is None:
            return self
        counted = leaks.find(splits.image_files(self.train), splits.image_files(self.val), pretraining)
        for line in leaks.lines(counted):
            log.warning("%s", line)
        return dataclasses.replace(self, leaks=counted)

    def write(self) -> None:
        """Write ``files``."""
        for path, text in self.files:
            atomic.write_text(path, text)

    def register(self) -> None:
        """Make the custom data known to Detectron2 in this process."""
        for role in self.custom:
            split = self.train if role == "train" else self.val
            if split is not None:
                splits.register(split, role, self.pascal if role == "val" else None)

    def name(self, cfg: CfgNode) -> None:
        """Put the custom data's names into ``cfg``."""
        for role, key in (("train", "TRAIN"), ("val", "TEST")):
            split = self.train if role == "train" else self.val
            if role in self.custom and split is not None:
                cfg.DATASETS[key] = (splits.name_of(split, role),)


def resolve(request: Request, cfg: CfgNode, wanted: CfgNode, overridden: dict[str, Any], folder: Path) -> RunData:
    """Read and check the data; set its classes and mask format in ``cfg``.

    Args:
        request: what is asked for.
        cfg: changed in place.
        wanted: the config with the overrides.
        overridden: those overrides.
        folder: where COCO files made from VOC folders will lie: OUTPUT_DIR, or below it for a re-evaluation.

    Raises:
        InputError: data that cannot be used, or sets that do not fit each other or the config.
    """
    masks = wanted.MODEL.MASK_ON
    train_voc, val_voc = _voc_splits(request, wanted)
    if train_voc or val_voc:
        data, rle = _from_voc(train_voc, val_voc, masks=masks, folder=folder)
    else:
        data, rle = _from_coco_or_catalog(request, wanted, masks=masks, folder=folder)
    leaks.refuse_same_file(data.train, data.val)
    data.register()
    if rle and masks and "INPUT.MASK_FORMAT" not in overridden:
        cfg.INPUT.MASK_FORMAT = "bitmask"  # Detectron2's "polygon" cannot read run-length codes
    if data.train is not None:
        coco.check_same_classes(tuple(data.train.classes), tuple(data.val.classes))
    _set_classes(cfg, wanted, overridden, data)
    return data


def _set_classes(cfg: CfgNode, wanted: CfgNode, overridden: dict[str, Any], data: RunData) -> None:
    key, expected = splits.number_of_classes_key(wanted), len(data.val.classes)
    given = detector_config.lookup(wanted, key)
    if expected != given and (key in overridden or "val" not in data.custom):
        raise InputError(f"{key}: expected {expected}, the data's number of classes, found {given}; set it so")
    detector_config.changed(cfg, {key: expected})


def _voc_splits(request: Request, wanted: CfgNode) -> tuple[list[voc.VocSplit], voc.VocSplit | None]:
    """Return the VOC folders that the flags, or the config's names of VOC masks, stand for."""
    if request.val_voc is not None:  # there are no training images without
        return [voc.parse(text) for text in request.train_voc], voc.parse(request.val_voc)
    if request.train or request.val or not set(wanted.DATASETS.TEST) & set(voc_instances.NAMES):
        return [], None
    if len(wanted.DATASETS.TEST) != 1 or not set(wanted.DATASETS.TRAIN) <= set(voc_instances.NAMES):
        names = (*wanted.DATASETS.TRAIN, *wanted.DATASETS.TEST)
        raise InputError(f"DATASETS: expected VOC's masks for training and one set to measure on, found {names}")
    train = [] if request.eval_only else [voc_instances.split(name) for name in wanted.DATASETS.TRAIN]
    for split in train:
        sbd = f"with those of {split.sbd}" if split.sbd else "without SBD's, which would be six times as many"
        log.info("VOC 2012's own masks, %s", sbd)
    return train, voc_instances.split(wanted.DATASETS.TEST[0])


def _from_voc(
    train: list[voc.VocSplit], val: voc.VocSplit | None, *, masks: bool, folder: Path
) -> tuple[RunData, bool]:
    assert val is not None
    classes = voc.classes_of(train or [val])
    if any(split.sbd for split in train) and classes != voc.PASCAL:
        raise InputError(f"{train[0].sbd}: expected VOC's 20 classes beside SBD, found {len(classes)}")
    parts_read: dict[str, Split] = {}
    files = []
    for role, parts in (("train", train), ("val", [val])):
        if parts:
            path = str(folder / f"voc_{role}.json")
            parts_read[role], content = splits.from_voc(parts, classes, path, masks=masks)
            files.append((path, voc.to_json(content)))
    pascal = None if masks else val
    if pascal:
        _log_which_ap(pascal)
    return RunData(parts_read.get("train"), parts_read["val"], tuple(parts_read), tuple(files), pascal), masks


def _log_which_ap(val: voc.VocSplit) -> None:
    way = "11-point AP, as on VOC 2007" if val.year == 2007 else "AP as from 2010 on (area under the curve)"
    log.info("%s is measured by Pascal's %s", val, way)


def _from_coco_or_catalog(request: Request, wanted: CfgNode, *, masks: bool, folder: Path) -> tuple[RunData, bool]:
    train, rle = None, False
    if request.train:
        train, rle = splits.from_files(*request.train, masks=masks)
    elif not request.eval_only:
        train = splits.registered(wanted.DATASETS.TRAIN, masks=masks)
    if request.val:
        val, _ = splits.from_files(*request.val, masks=masks)
    elif len(wanted.DATASETS.TEST) != 1:
        raise InputError(f"DATASETS.TEST: expected one data set to measure on, found {len(wanted.DATASETS.TEST)}")
    elif MetadataCatalog.get(wanted.DATASETS.TEST[0]).get("evaluator_type") == "pascal_voc":
        return _with_catalogs_voc(train, wanted.DATASETS.TEST[0], folder), rle
    else:
        val = splits.registered(wanted.DATASETS.TEST, masks=masks)
    custom = tuple(role for role, given in (("train", request.train), ("val", request.val)) if given)
    return RunData(train, val, custom), rle


def _with_catalogs_voc(train: Split | None, name: str, folder: Path) -> RunData:
    """Measure on a VOC set of Detectron2's catalog, by a COCO file of it, which stays to look at what was found."""
    path = str(folder / "voc_val.json")
    val, content = splits.registered_voc(name, path)
    behind = splits.voc_behind(name)
    _log_which_ap(behind)
    return RunData(train, val, ("val",), ((path, voc.to_json(content)),), behind)
