"""The data of a run: what the command line or the config names, read, checked and made known to Detectron2."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from transfer.data import coco, splits, voc, voc_instances
from transfer.detectors import config as detector_config
from transfer.errors import InputError
from transfer.files import atomic
from transfer.records.record import Split

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
    """

    train: Split | None
    val: Split
    custom: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    pascal: voc.VocSplit | None = None

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


def resolve(
    args: argparse.Namespace, cfg: CfgNode, wanted: CfgNode, overridden: dict[str, Any], folder: Path
) -> RunData:
    """Read and check the data; set its classes and mask format in ``cfg``.

    Args:
        args: the command line.
        cfg: changed in place.
        wanted: the config with the overrides of the command line.
        overridden: those overrides.
        folder: where COCO files made from VOC folders will lie: OUTPUT_DIR, or below it for a re-evaluation.

    Raises:
        InputError: data that cannot be used, or sets that do not fit each other or the config.
    """
    masks = wanted.MODEL.MASK_ON
    train_voc, val_voc = _voc_splits(args, wanted)
    if train_voc or val_voc:
        data, rle = _from_voc(train_voc, val_voc, masks=masks, folder=folder)
    else:
        data, rle = _from_coco_or_catalog(args, wanted, masks=masks, folder=folder)
    data.register()
    if rle and masks and "INPUT.MASK_FORMAT" not in overridden:
        cfg.INPUT.MASK_FORMAT = "bitmask"  # Detectron2's "polygon" cannot read run-length codes
    if data.train is not None:
        coco.check_same_classes(tuple(data.train.classes), tuple(data.val.classes))
    _set_classes(cfg, wanted, overridden, data)
    return data


def _set_classes(cfg: CfgNode, wanted: CfgNode, overridden: dict[str, Any], data: RunData) -> None:
    key, expected = splits.number_of_classes_key(wanted), len(data.val.classes)
    found = detector_config.lookup(wanted, key)
    if expected != found and (key in overridden or "val" not in data.custom):
        raise InputError(f"{key}: expected {expected}, the data's number of classes, found {found}; set it so")
    detector_config.changed(cfg, {key: expected})


def _voc_splits(args: argparse.Namespace, wanted: CfgNode) -> tuple[list[voc.VocSplit], voc.VocSplit | None]:
    """Return the VOC folders that the flags, or the config's names of VOC masks, stand for."""
    if args.train_voc or args.val_voc:
        return [voc.parse(text) for text in args.train_voc or ()], voc.parse(args.val_voc)
    if args.train or args.val or not set(wanted.DATASETS.TEST) & set(voc_instances.NAMES):
        return [], None
    if len(wanted.DATASETS.TEST) != 1 or not set(wanted.DATASETS.TRAIN) <= set(voc_instances.NAMES):
        found = (*wanted.DATASETS.TRAIN, *wanted.DATASETS.TEST)
        raise InputError(f"DATASETS: expected VOC's masks for training and one set to measure on, found {found}")
    train = [] if args.eval_only else [voc_instances.split(name) for name in wanted.DATASETS.TRAIN]
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
    found: dict[str, Split] = {}
    files = []
    for role, parts in (("train", train), ("val", [val])):
        if parts:
            path = str(folder / f"voc_{role}.json")
            found[role], content = splits.from_voc(parts, classes, path, masks=masks)
            files.append((path, voc.to_json(content)))
    pascal = None if masks else val
    if pascal:
        _say_which_ap(pascal)
    return RunData(found.get("train"), found["val"], tuple(found), tuple(files), pascal), masks


def _say_which_ap(val: voc.VocSplit) -> None:
    way = "11-point AP, as on VOC 2007" if val.year == 2007 else "AP as from 2010 on (area under the curve)"
    log.info("%s is measured by Pascal's %s", val, way)


def _from_coco_or_catalog(
    args: argparse.Namespace, wanted: CfgNode, *, masks: bool, folder: Path
) -> tuple[RunData, bool]:
    train, rle = None, False
    if args.train:
        train, rle = splits.from_files(*args.train, masks=masks)
    elif not args.eval_only:
        train = splits.registered(wanted.DATASETS.TRAIN, masks=masks)
    if args.val:
        val, _ = splits.from_files(*args.val, masks=masks)
    elif len(wanted.DATASETS.TEST) != 1:
        raise InputError(f"DATASETS.TEST: expected one data set to measure on, found {len(wanted.DATASETS.TEST)}")
    elif MetadataCatalog.get(wanted.DATASETS.TEST[0]).get("evaluator_type") == "pascal_voc":
        return _with_catalogs_voc(train, wanted.DATASETS.TEST[0], folder), rle
    else:
        val = splits.registered(wanted.DATASETS.TEST, masks=masks)
    custom = tuple(role for role, given in (("train", args.train), ("val", args.val)) if given)
    return RunData(train, val, custom), rle


def _with_catalogs_voc(train: Split | None, name: str, folder: Path) -> RunData:
    """Measure on a VOC set of Detectron2's catalog, by a COCO file of it, which stays to look at what was found."""
    path = str(folder / "voc_val.json")
    val, content = splits.registered_voc(name, path)
    behind = splits.voc_behind(name)
    _say_which_ap(behind)
    return RunData(train, val, ("val",), ((path, voc.to_json(content)),), behind)
