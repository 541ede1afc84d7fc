"""``mask.json``: MetaMask's mask along a training, beside the weights that it left."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pretrain.errors import InputError

FILE = "mask.json"


def read_snapshots(path: Path) -> dict[int, list[float]]:
    """Iteration -> the D weights M as they multiply the features, in the order of the iterations; {} without a file."""
    if not path.is_file():
        return {}
    return {int(k): v for k, v in json.loads(path.read_text(encoding="utf-8")).items()}


def final_mask(weights: Path, iteration: Any, width: int) -> list[float]:
    """M at the end of the training that left a file of weights, from ``mask.json`` beside it.

    Args:
        weights: the file, such as ``backbone.safetensors``.
        iteration: where it says that its training ended.
        width: D, the width of its features.

    Returns:
        D finite numbers.

    Raises:
        InputError: no such file, another one, or one of another training.
    """
    path = weights.parent / FILE
    try:
        snapshots = read_snapshots(path)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise InputError(f"{path}: expected iterations and the mask at each as JSON, found something else") from None
    if not snapshots:
        raise InputError(
            f"--masked: expected {FILE} beside {weights}, found none; give weights of a method with a mask in their "
            "training's folder, or leave it out"
        )
    last = max(snapshots)
    if last != iteration:
        raise InputError(
            f"{path}: expected the mask at iteration {iteration}, where the training of {weights.name} ended, found "
            f"{last} as the last one; give weights and mask of one training"
        )
    values = snapshots[last]
    numbers = isinstance(values, list) and all(isinstance(x, int | float) and math.isfinite(x) for x in values)
    if not numbers or len(values) != width:
        raise InputError(f"{path}: expected {width} numbers at iteration {last}, found {values!r:.80}")
    return values
