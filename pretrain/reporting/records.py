"""What a run leaves beside its weights: environment and resolved config at the start, the report at the end."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from statistics import median

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from pretrain.atomic import write_text
from pretrain.mask_file import FILE as MASK_FILE
from pretrain.reporting.environment import save_environment
from pretrain.reporting.mask_snapshots import MaskSnapshots
from pretrain.reporting.metrics_file import NAME, MetricsFile
from pretrain.reporting.report import write_report
from pretrain.settings.config_files import config_text
from pretrain.settings.schema import Settings, as_plain

log = logging.getLogger("pretrain")


class Records(Hook):
    """Writes ``environment.json`` and ``resolved_config.py`` before the training, ``pretrain.md`` after it.

    Args:
        settings: of the run.
        folder: its work folder.
        data: what the user named as images, and how many they are.
        epochs: length of the training.
        meta_start: first iteration with a meta step.
    """

    def __init__(self, settings: Settings, folder: Path, data: str, epochs: float, meta_start: int) -> None:
        self.settings, self.folder, self.data, self.epochs = settings, folder, data, epochs
        self.meta_start = meta_start

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Say on what and with what this run runs."""
        save_environment(self.folder / "environment.json")
        write_text(self.folder / "resolved_config.py", config_text(as_plain(self.settings)))

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Write the report."""
        start = self.meta_start if runner.model.bilevel else 0
        balanced = self.settings.objective.balance == "gradient"
        log.info("wrote %s", write_report(self.folder, self._about(runner.max_iters), start, balanced=balanced))

    def _about(self, iterations: int) -> dict[str, str]:
        s = self.settings
        machine = json.loads((self.folder / "environment.json").read_text(encoding="utf-8"))[-1]
        device = ", ".join(machine["gpus"]) or f"CPU, {machine['threads']} threads"
        metrics = MetricsFile(self.folder / NAME)
        rates, waits, skipped = (metrics.values(key) for key in ("images_per_second", "data_wait", "skipped_steps"))
        left_out = {"left out": f"{skipped[-1]:.0f} iterations: gradients overflowed in float16"} if skipped else {}
        speed = f"{median(rates):.0f} img/s, {median(waits):.0%} of the time waiting for data" if rates else "–"
        return {
            "method": s.method,
            "backbone": f"{s.backbone.arch}, {s.backbone.stem} stem",
            "images": self.data,
            "length": f"{iterations} iterations of {s.data.batch} images, {self.epochs:.1f} epochs",
            "views": f"two of {s.views.size} px",
            "optimiser": f"{s.optimizer.name}, learning rate {s.optimizer.lr:g}, {s.run.precision}",
            **left_out,
            "seed": str(s.run.seed),
            "ran on": device,
            "speed (median)": speed,
        }


def records(settings: Settings, folder: Path, data: str, epochs: float, meta_start: int) -> list[Hook]:
    """The hooks that keep a run's records: `Records` and, with a mask, its snapshots."""
    hooks: list[Hook] = [Records(settings, folder, data, epochs, meta_start)]
    if settings.resolved_method().mask:
        hooks.append(MaskSnapshots(folder / MASK_FILE))
    return hooks
