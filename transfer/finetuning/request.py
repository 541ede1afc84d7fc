"""What is asked of a fine-tuning run, as the command line or a Python caller says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transfer.data.ids import is_one_line
from transfer.errors import InputError

LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Request:
    """A run that is asked for; every field but the first may be left out.

    Attributes:
        config_file: a path, or the name of a packaged config.
        init: "random", or a file of Detectron2 weights; None for the config's MODEL.WEIGHTS.
        train: (image folder, COCO-format file) to train on; None for the config's DATASETS.
        val: the same, to measure on.
        train_voc: VOC folders and image lists, "ROOT:SPLIT", to train on.
        val_voc: the same, one, to measure on.
        init_detector: a whole detector of Detectron2 or torchvision instead of ``init``; heads of other classes are
            drawn anew.
        convention: how that detector was fed, where no config.yaml beside it says so.
        opts: config overrides, KEY, VALUE, KEY, VALUE ...
        labels: part of the training images: "10%", or a number of them; None for all.
        labels_seed: decides which part.
        allow_partial: go on when the weights lack tensors of the backbone.
        freeze_backbone: do not train the backbone.
        lr: learning rate; "auto" to find one for these weights; None for the config's.
        lr_scale: "batch" scales learning rate, warm-up and length from the config's batch to SOLVER.IMS_PER_BATCH.
        backbone_lr_factor: learning rate of the backbone relative to that of the rest; None for the config's.
        schedule_scale: multiplies length and steps.
        amp: mixed precision, on GPUs.
        channels_last: keep the model's tensors in that memory format.
        precise_bn: true BatchNorm statistics before each evaluation; None for the config's.
        name: what reports call the run; None for the output folder's name.
        seed: fixes heads, image order and augmentation; None draws one.
        resume: continue the run in OUTPUT_DIR.
        eval_only: only measure.
        dry_run: only check.
        track: "wandb", "mlflow" or both: every logged number goes there too.
        num_gpus: processes on this machine, each with a GPU of its own where there are GPUs.
        num_machines: machines.
        machine_rank: this machine, from 0.
        dist_url: the first machine, tcp://host:port; "auto" for this one.
    """

    config_file: str
    init: str | None = None
    train: tuple[str, str] | None = None
    val: tuple[str, str] | None = None
    train_voc: tuple[str, ...] = ()
    val_voc: str | None = None
    init_detector: str | None = None
    convention: str | None = None
    opts: tuple[Any, ...] = ()
    labels: str | None = None
    labels_seed: int = 0
    allow_partial: bool = False
    freeze_backbone: bool = False
    lr: float | str | None = None
    lr_scale: str | None = None
    backbone_lr_factor: float | None = None
    schedule_scale: float | None = None
    amp: bool = False
    channels_last: bool = False
    precise_bn: bool | None = None
    name: str | None = None
    seed: int | None = None
    resume: bool = False
    eval_only: bool = False
    dry_run: bool = False
    track: tuple[str, ...] = ()
    num_gpus: int = 1
    num_machines: int = 1
    machine_rank: int = 0
    dist_url: str = "auto"

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            InputError: one is out of its range; the line names its flag.
        """
        for name in ("seed", "labels_seed"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= LARGEST_SEED:
                raise InputError(f"{_flag(name)}: expected 0 to {LARGEST_SEED}, found {value}; correct it")
        for name in ("lr", "schedule_scale", "backbone_lr_factor"):
            value = getattr(self, name)
            if value not in (None, "auto") and not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise InputError(f"{_flag(name)}: expected a number above 0, found {value}; correct it")
        if self.name is not None and not is_one_line(self.name):
            raise InputError(f"--name: expected a text of one line, found {self.name!r}; correct it")
        for name in ("num_gpus", "num_machines"):
            if getattr(self, name) < 1:
                raise InputError(f"{_flag(name)}: expected at least 1, found {getattr(self, name)}; correct it")
        if self.init is not None and self.init_detector is not None:
            raise InputError("expected either --init or --init-detector, found both; leave one out")
        if self.convention is not None and self.init_detector is None:
            raise InputError("--convention: expected --init-detector beside it, found none; add it or leave both out")
        if self.freeze_backbone and self.backbone_lr_factor is not None:
            raise InputError(
                "--backbone-lr-factor: expected a backbone that is trained, found --freeze-backbone; leave one out"
            )
        if self.track and self.eval_only:
            raise InputError("--track: expected a training, found --eval-only; leave one out")
        if self.lr_scale not in (None, "batch"):
            raise InputError(f"--lr-scale: expected batch, found {self.lr_scale}; correct it")
        if not 0 <= self.machine_rank < self.num_machines:
            last = self.num_machines - 1
            raise InputError(
                f"--machine-rank: expected 0 to {last} (--num-machines), found {self.machine_rank}; correct it"
            )
        if self.num_machines > 1 and self.dist_url == "auto":
            raise InputError("--dist-url: expected the first machine's tcp://host:port with --num-machines, found none")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
