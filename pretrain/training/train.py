"""A pretraining from a config, a folder of images and a work folder: what ``python -m pretrain train`` calls."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pretrain.atomic import check_writable
from pretrain.data.image_files import is_among
from pretrain.data.sources import ImageFiles, open_source
from pretrain.distributed import ranks
from pretrain.errors import InputError
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import Settings, load_settings
from pretrain.training import tracking
from pretrain.training.hooks import clock
from pretrain.training.plan import Plan, make_plan
from pretrain.training.rehearsal import Estimate, rehearse
from pretrain.training.run import check_processes, run_training

StrPath = str | Path

log = logging.getLogger("pretrain")


def train(
    config: StrPath | Mapping[str, Any],
    data: StrPath | Sequence[StrPath],
    work_dir: StrPath,
    *,
    annotations: StrPath | None = None,
    objects: tuple[StrPath, StrPath] | None = None,
    init: StrPath | None = None,
    resume: bool = False,
    allow_change: bool = False,
    overrides: Sequence[str] = (),
    track: Sequence[str] = (),
) -> Path:
    """Pretrain a backbone on images without labels.

    Under ``torchrun`` all of its processes call this alike, and resume when torchrun starts them again after a failure.
    Progress goes to the logger ``pretrain``, everything else into the work folder (``docs/pretraining.md``).

    Args:
        config: a Python config file, also by its name alone (``metamask_r18_any_100e``), or its values as nested
            dictionaries; the settings, their units and ranges are in `pretrain.settings.schema`.
        data: one or several of: folders of images (searched recursively), a ``.txt`` list of files, WebDataset
            shards.
        work_dir: folder for checkpoints, logs and weights; it must hold no other run.
        annotations: a COCO annotation file; only the images that it lists are taken.
        objects: a folder of images and COCO's annotation file, for the looks that ``run.objects_every`` asks for.
        init: weights to start from, ``backbone.safetensors`` or torchvision's names; None for random ones.
        resume: go on from the newest sound checkpoint in the work folder, or begin where there is none.
        allow_change: resume although settings, images or versions differ from those that the run began with.
        overrides: ``section.key=value`` texts that change the config, such as ``optimizer.lr=0.1``.
        track: ``"wandb"``, ``"mlflow"`` or both: every logged number goes there too.

    Returns:
        The path of ``backbone.safetensors`` in the work folder; `load_backbone` reads it.

    Raises:
        InputError: config, images, weights or work folder cannot be used, the loss or the weights are no longer
            finite, or there is no room left on the disk. Nothing that was there is lost.
        Interrupted: SIGINT or SIGTERM came; everything is saved, and ``resume`` goes on.
        RankLost: another process of the same training died.

    Examples:
        >>> import cv2, numpy, pathlib
        >>> pathlib.Path("images").mkdir()
        >>> noise = numpy.random.default_rng(0)
        >>> for k in range(8):
        ...     done = cv2.imwrite(f"images/{k}.png", noise.integers(0, 255, (40, 40, 3), numpy.uint8))
        >>> config = {
        ...     "method": "simclr",
        ...     "backbone": {"arch": "resnet18", "stem": "small"},
        ...     "objective": {"contrastive_widths": (16, 16)},
        ...     "views": {"size": 16},
        ...     "data": {"batch": 4, "workers": 0},
        ... }
        >>> path = train(config, "images", "run", overrides=["schedule.iterations=2"])
        >>> path.name
        'backbone.safetensors'
    """
    with ranks.started():
        # After torchrun's own restart the command line is still that of the first start; each agent counts its own.
        restarted = ranks.any_rank(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0)
        ranks.on_rank_zero(lambda: tracking.check(track))
        folder, start = Path(work_dir), None if init is None else Path(init)
        ranks.on_rank_zero(lambda: check_writable(folder, "--work-dir"))
        settings, plan = _planned(config, data, folder, annotations, overrides)
        began = time.perf_counter()
        marked = None if objects is None else (Path(objects[0]), Path(objects[1]))
        path = run_training(
            settings, plan, start, resume or restarted, allow_change=allow_change, track=track, objects=marked
        )
        log.info("done in %s", clock(time.perf_counter() - began))
        return path


def dry_run(
    config: StrPath | Mapping[str, Any],
    data: StrPath | Sequence[StrPath],
    *,
    annotations: StrPath | None = None,
    init: StrPath | None = None,
    overrides: Sequence[str] = (),
) -> Estimate:
    """Measure what `train` with the same arguments would cost, by a few iterations in a folder that goes away.

    Returns:
        Memory, speed, share of waiting for data and time of the whole job, the same on every rank;
        `pretrain.training.rehearsal.describe` puts it into words.

    Raises:
        InputError, RankLost: as `train` does.
    """
    with ranks.started():
        settings, plan = _planned(config, data, None, annotations, overrides)
        return rehearse(settings, plan, None if init is None else Path(init))


def _check_beside(data: list[Path], work_dir: Path) -> None:
    """Refuse a work folder among the images: the report's pictures would be images of the next start."""
    for folder in data:
        if folder.is_dir() and is_among(work_dir, folder):
            raise InputError(
                f"--work-dir: expected a folder outside of the images, found {work_dir} in {folder}, where its "
                "pictures would be taken for images; name another"
            )


def _planned(
    config: StrPath | Mapping[str, Any],
    data: StrPath | Sequence[StrPath],
    work_dir: Path | None,
    annotations: StrPath | None,
    overrides: Sequence[str],
) -> tuple[Settings, Plan]:
    """The settings and what they mean for these images, checked on every rank; nothing is written.

    Args:
        config, data, annotations, overrides: as `train` takes them.
        work_dir: None for a dry run.
    """
    named = [Path(data)] if isinstance(data, str | Path) else [Path(item) for item in data]

    def read() -> tuple[Settings, Plan]:
        settings = load_settings(read_config(config, overrides))
        check_processes(settings)
        source = open_source(named, None if annotations is None else Path(annotations))
        if work_dir is not None and annotations is None and isinstance(source, ImageFiles):
            _check_beside(named, work_dir)
        return settings, make_plan(settings, source, work_dir or Path("dry-run"))

    settings, plan = ranks.on_all_ranks(read)
    ranks.check_same(plan.data_record()["fingerprint"], "the images")
    return settings, plan
