"""Which evaluation belongs to a data set: ours for COCO, LVIS and Pascal, Detectron2's own for Cityscapes."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.evaluation import CityscapesInstanceEvaluator, DatasetEvaluator

from transfer.coco_evaluator import Evaluator, LvisEvaluator
from transfer.errors import InputError
from transfer.pascal_evaluator import PascalEvaluator

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
            f"data set {dataset}: expected the package {module}, which Detectron2 needs for it, found none; "
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
        return LvisEvaluator(dataset, tasks, folder)
    if kind != "coco":
        raise InputError(
            f"data set {dataset}: expected one measured as COCO, PASCAL VOC, LVIS or Cityscapes instances, found {kind}"
        )
    return Evaluator(dataset, tasks, folder)


@contextmanager
def former_numpy() -> Iterator[None]:
    """Give NumPy back a name that it took away and cityscapesScripts' newest version still asks for."""
    lacking = "in1d" not in vars(np)
    if lacking:
        setattr(np, "in1d", np.isin)  # noqa: B010  mypy knows that NumPy has no such name
    try:
        yield
    finally:
        if lacking:
            delattr(np, "in1d")


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
