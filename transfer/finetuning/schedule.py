"""The training schedule fitted to another batch, or shortened: learning rate, length, steps and warm-up together."""

from __future__ import annotations

from collections.abc import Iterable

from detectron2.config import CfgNode

from transfer.detectors import config as detector_config
from transfer.errors import InputError

# What belongs to a batch, and what to the length of a run.
LENGTHS = ("SOLVER.MAX_ITER", "SOLVER.STEPS", "SOLVER.WARMUP_ITERS", "SOLVER.CHECKPOINT_PERIOD", "TEST.EVAL_PERIOD")


def scale_with_batch(cfg: CfgNode, batch: int, overridden: Iterable[str]) -> list[str]:
    """Scale learning rate, length and warm-up of a config from ``batch`` images to its own SOLVER.IMS_PER_BATCH.

    The linear rule (Goyal et al. 2017): k times the batch takes k times the learning rate and 1/k of the iterations,
    so that every image is seen as often.

    Args:
        cfg: changed in place.
        batch: that the config file's schedule was made for.
        overridden: keys given on the command line.

    Returns:
        one line with both schedules, for the log.

    Raises:
        InputError: a key that is to be scaled was given as well.
    """
    _check_free("--lr-scale batch", ("SOLVER.BASE_LR", *LENGTHS[:3]), overridden)
    factor, before = cfg.SOLVER.IMS_PER_BATCH / batch, describe(cfg, batch)
    if factor == 1:
        return [f"--lr-scale batch: the batch is the config's own, {batch}: nothing to scale"]
    detector_config.changed(cfg, {"SOLVER.BASE_LR": cfg.SOLVER.BASE_LR * factor})
    _lengthen(cfg, 1 / factor, overridden, warmup=True)
    return [f"--lr-scale batch: {before} becomes {describe(cfg, cfg.SOLVER.IMS_PER_BATCH)}"]


def shorten(cfg: CfgNode, factor: float, overridden: Iterable[str]) -> list[str]:
    """Multiply the length and the steps of the schedule by ``factor``; the warm-up stays.

    Raises:
        InputError: as ``scale_with_batch``.
    """
    _check_free("--schedule-scale", LENGTHS[:2], overridden)
    before = describe(cfg, cfg.SOLVER.IMS_PER_BATCH)
    _lengthen(cfg, factor, overridden, warmup=False)
    return [f"--schedule-scale {factor:g}: {before} becomes {describe(cfg, cfg.SOLVER.IMS_PER_BATCH)}"]


def describe(cfg: CfgNode, batch: int) -> str:
    """Return the schedule in words."""
    solver = cfg.SOLVER
    steps = ", ".join(map(str, solver.STEPS))
    return f"{solver.MAX_ITER} x {batch} images, LR {solver.BASE_LR:g}, steps {steps}, warm-up {solver.WARMUP_ITERS}"


def _lengthen(cfg: CfgNode, factor: float, overridden: Iterable[str], *, warmup: bool) -> None:
    for key in LENGTHS:
        if key in overridden or (key == "SOLVER.WARMUP_ITERS" and not warmup):
            continue
        value = detector_config.lookup(cfg, key)
        if isinstance(value, int):
            detector_config.changed(cfg, {key: value if value <= 0 else _times(value, factor)})
        else:
            detector_config.changed(cfg, {key: tuple(dict.fromkeys(_times(step, factor) for step in value))})
    last = cfg.SOLVER.MAX_ITER
    detector_config.changed(cfg, {"SOLVER.STEPS": tuple(step for step in cfg.SOLVER.STEPS if step < last)})


def _times(value: int, factor: float) -> int:
    return max(1, int(value * factor + 1e-6))


def _check_free(flag: str, keys: Iterable[str], overridden: Iterable[str]) -> None:
    given = [key for key in keys if key in overridden]
    if given:
        raise InputError(f"{flag}: expected it to set {', '.join(given)}, found a value given as well; leave one out")
