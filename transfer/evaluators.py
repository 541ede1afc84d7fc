"""Which evaluation belongs to a data set: ours for COCO and Pascal, Detectron2's own for LVIS and Cityscapes."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.evaluation import (
    CityscapesInstanceEvaluator,
    DatasetEvaluator,
    LVISEvaluator,
)
from detectron2.utils import comm

from transfer import atomic, pascal, voc
from transfer.coco_evaluator import Evaluator
from transfer.errors import InputError

log = logging.getLogger(__name__)

# evaluator type -> (module it imports, what to install for it)
NEEDS = {
    "lvis": ("lvis", "lvis==0.5.3"),
    "cityscapes_instance": ("cityscapesscripts", "cityscapesScripts==2.3.0 pyquaternion==0.9.9 shapely==2.2.0"),
}


def check_installed(kind: str, dataset: str) -> None:
    """Raise InputError when the evaluation of ``kind`` needs a package that is not installed."""
    module, packages = NEEDS.get(kind, ("", ""))
    if module and importlib.util.find_spec(module) is None:
        raise InputError(
            f"data set {dataset}: expected the package {module}, which reads and measures it, found none; "
            f"python -m pip install --no-deps {packages}"
        )


def build(cfg: CfgNode, dataset: str) -> DatasetEvaluator:
    """Return the evaluator that belongs to the data set; it writes below ``OUTPUT_DIR/inference``.

    Raises:
        InputError: a data set that none here belongs to, or a package that is missing.
    """
    kind = MetadataCatalog.get(dataset).get("evaluator_type")
    folder = Path(cfg.OUTPUT_DIR) / "inference"
    check_installed(kind, dataset)
    if kind == "pascal_voc":
        return PascalEvaluator(dataset, folder)
    if kind == "cityscapes_instance":
        return CityscapesEvaluator(dataset)
    tasks = ("bbox", "segm") if cfg.MODEL.MASK_ON else ("bbox",)
    if kind == "lvis":
        return LvisEvaluator(dataset, tasks, output_dir=str(folder), max_dets_per_image=cfg.TEST.DETECTIONS_PER_IMAGE)
    if kind != "coco":
        raise InputError(
            f"data set {dataset}: expected one measured as COCO, PASCAL VOC, LVIS or Cityscapes instances, found {kind}"
        )
    return Evaluator(dataset, tasks, folder)


# Names that NumPy took away and these packages' newest versions still ask for: lvis, cityscapesScripts.
FORMER = {"float": float, "in1d": np.isin}


@contextmanager
def former_numpy() -> Iterator[None]:
    """Give NumPy its former names back for a while."""
    lacking = [name for name in FORMER if name not in vars(np)]
    for name in lacking:
        setattr(np, name, FORMER[name])
    try:
        yield
    finally:
        for name in lacking:
            delattr(np, name)


class LvisEvaluator(LVISEvaluator):  # type: ignore[misc,unused-ignore]
    """Detectron2's LVIS evaluator, which also runs under today's NumPy."""

    def evaluate(self) -> Any:
        """Return task -> metric -> percent."""
        with former_numpy():
            return super().evaluate()


class CityscapesEvaluator(CityscapesInstanceEvaluator):  # type: ignore[misc,unused-ignore]
    """Detectron2's Cityscapes evaluator, which also runs under today's NumPy."""

    def evaluate(self) -> Any:
        """Return task -> metric -> percent."""
        module: Any = importlib.import_module("cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling")
        write = module.writeDict2JSON
        # It writes all matches to the current folder, and cannot: NumPy's counts are no Python numbers since 2.3.
        module.writeDict2JSON = lambda content, file: None
        try:
            with former_numpy():
                return super().evaluate()
        finally:
            module.writeDict2JSON = write


class PascalEvaluator(DatasetEvaluator):
    """Pascal's AP of boxes: Detectron2's numbers, per class as well, and both definitions of AP in a file.

    The result is 11-point for a set of 2007 and the area under the curve otherwise, as Detectron2's is;
    ``pascal.json`` holds both.
    """

    def __init__(self, dataset: str, folder: Path) -> None:
        """Prepare for ``dataset``, a VOC set in the catalog; ``folder`` takes ``pascal.json``."""
        metadata = MetadataCatalog.get(dataset)
        self._split = voc.VocSplit(Path(metadata.dirname), metadata.split)
        self._year, self._classes, self._folder = metadata.year, list(metadata.thing_classes), folder
        self._found: dict[str, list[pascal.Found]] = defaultdict(list)

    def reset(self) -> None:
        """Forget all detections."""
        self._found = defaultdict(list)

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Take the detections of a batch of images."""
        for entry, output in zip(inputs, outputs, strict=True):
            instances = output["instances"].to("cpu")
            stem = Path(entry["file_name"]).stem
            rows = zip(
                instances.pred_boxes.tensor.numpy(), instances.scores.tolist(), instances.pred_classes, strict=True
            )
            for box, score, number in rows:
                self._found[self._classes[int(number)]].append(pascal.rounded(stem, score, box))

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Return task -> metric -> percent in the first process, None in the others."""
        gathered = comm.gather(dict(self._found), dst=0)
        if not comm.is_main_process():
            return None
        found: dict[str, list[pascal.Found]] = defaultdict(list)
        for part in gathered:
            for name, detections in part.items():
                found[name] += detections
        truth = {
            stem: voc.read_xml(self._split.root / "Annotations" / f"{stem}.xml").objects
            for stem in voc.stems(self._split, masks=False)
        }
        table = pascal.per_class(found, truth, self._classes)
        eleven = self._year == 2007
        both = {("11-point" if way else "all-point"): pascal.summary(table[way]) for way in (True, False)}
        content = {"used": "11-point" if eleven else "all-point", **{k: _nulls(v) for k, v in both.items()}}
        atomic.write_text(self._folder / "pascal.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
        for name, values in both.items():
            shown = ", ".join(f"{key} {values[key]:.2f}" for key in ("AP", "AP50", "AP75"))
            log.info("PASCAL, %s%s: %s", name, " (reported)" if name == content["used"] else "", shown)
        return {"bbox": pascal.summary(table[eleven])}


def _nulls(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in values.items()}
