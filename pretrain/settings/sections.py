"""The sections of a config file but the objective's and the views': defaults, ranges and units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pretrain.backbones import IMAGENET_MEAN, IMAGENET_STD
from pretrain.errors import InputError
from pretrain.method.bilevel import MODES


@dataclass(frozen=True)
class BackboneSettings:
    """arch: resnet18, resnet34, resnet50 or resnet101; stem: imagenet or small."""

    arch: str = "resnet50"
    stem: str = "imagenet"


@dataclass(frozen=True)
class MetaSettings:
    """The upper level (``docs/method.md``, sections 3 and 4).

    Attributes:
        hypergradient: feature_difference, forward_mode (exact), finite_difference, first_order, or single_level
            (one joint step of w, m and ξ, no bi-level part).
        base: where the trial step starts: post, inline, or None for the method's own.
        trial: the trial step's loss: lower, that of the real step, or meta (MetaMask's release).
        precision: of the meta step's own backbone passes, fp32 or bf16; w⁺, v, heads, losses and the two forward passes
            whose difference `feature_difference` takes stay in fp32.
        every: meta step every K iterations.
        start: first iteration with a meta step; None means after the warm-up of the learning rate.
        clip: largest norm of dU/dψ, per upper variable, in units of the running mean of its own; None for no clipping.
        trial_lr: η of the trial step; None means the current learning rate of w. Under LARS and AdamW None is a step of
            theirs, and a number one of plain SGD.
        optimizer: of m and ξ, adam (as in DARTS) or sgd (both papers).
        betas: of Adam.
        mask_lr, fusion_lr: learning rates of m and ξ. None: with adam 0.05 and 0.001, with sgd that of w, which must be
            SGD's then.
        momentum: of m's and ξ's SGD; None means that of w.
        weight_decay: of m and ξ, decoupled with adam. None: with adam 0.5 for m, which bounds its logits by 2, and 0
            for ξ, with sgd that of w.
        warmup_scale, warmup_share: 1/λ of the coding series starts at this multiple and reaches 1 after this share
            of training (MEC's code: 8 and 0.1).
    """

    hypergradient: str = "feature_difference"
    precision: str = "fp32"
    base: str | None = None
    trial: str = "lower"
    every: int = 1
    start: int | None = None
    clip: float | None = 3.0
    trial_lr: float | None = None
    optimizer: str = "adam"
    betas: tuple[float, ...] = (0.5, 0.999)
    mask_lr: float | None = None
    fusion_lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    warmup_scale: float = 8.0
    warmup_share: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        _one_of("meta.hypergradient", self.hypergradient, (*MODES, "single_level"))
        _one_of("meta.precision", self.precision, ("fp32", "bf16"))
        _one_of("meta.base", self.base, ("post", "inline", None))
        _one_of("meta.trial", self.trial, ("meta", "lower"))
        _one_of("meta.optimizer", self.optimizer, ("adam", "sgd"))
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"meta.betas: expected two numbers in [0, 1), found {self.betas}")
        if self.clip is not None and self.clip <= 0:
            raise InputError(f"meta.clip: expected a number above 0 or None, found {self.clip}")
        if self.every < 1:
            raise InputError(f"meta.every: expected a whole number >= 1, found {self.every}")
        if self.warmup_scale < 1 or not 0 <= self.warmup_share <= 1:
            raise InputError(
                f"meta.warmup_scale, warmup_share: expected >= 1 and 0-1, found {self.warmup_scale} and "
                f"{self.warmup_share}"
            )


@dataclass(frozen=True)
class OptimizerSettings:
    """The optimiser of w.

    Attributes:
        name: sgd, lars (You et al. 2017) or adamw.
        lr: peak learning rate, for the batch as it is.
        momentum: of SGD and LARS; AdamW ignores it.
        weight_decay: LARS and AdamW leave biases and norms out, SGD decays all, as in both papers.
        clip: largest gradient norm, of the real step and of the trial step; None for no clipping.
        accumulate: micro-batches that ``data.batch`` is cut into, one after the other, to save memory. Not a larger
            batch: every loss sees one micro-batch, the gradients are averaged, the meta step sees the last one.
    """

    name: str = "sgd"
    lr: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 5e-4
    clip: float | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        if self.accumulate < 1:
            raise InputError(f"optimizer.accumulate: expected a whole number >= 1, found {self.accumulate}")
        _one_of("optimizer.name", self.name, ("sgd", "lars", "adamw"))
        if self.clip is not None and self.clip <= 0:
            raise InputError(f"optimizer.clip: expected a number above 0 or None, found {self.clip}")
        if self.lr <= 0 or not 0 <= self.momentum < 1 or self.weight_decay < 0:
            raise InputError(
                f"optimizer: expected lr > 0, momentum in [0, 1) and weight_decay >= 0, found {self.lr}, "
                f"{self.momentum}, {self.weight_decay}"
            )


@dataclass(frozen=True)
class ScheduleSettings:
    """Cosine to zero after a linear warm-up; ``iterations``, when given, replaces ``epochs``.

    Attributes:
        epochs: length of the run.
        warmup_share: length of the warm-up, as a share of the run; an epoch at most.
        warmup_epochs: its length in epochs, where that is to decide.
        iterations: length of the run.
    """

    epochs: int = 100
    warmup_share: float = 0.05
    warmup_epochs: float | None = None
    iterations: int | None = None

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        length = self.epochs if self.iterations is None else self.iterations
        if length < 1:
            raise InputError(
                f"schedule: expected epochs (or iterations, where given) >= 1, found epochs = {self.epochs}, "
                f"iterations = {self.iterations}"
            )
        if not 0 <= self.warmup_share < 1 or not 0 <= (self.warmup_epochs or 0) < math.inf:
            raise InputError(
                f"schedule.warmup_share, warmup_epochs: expected a share in [0, 1) and a number >= 0 or None, found "
                f"{self.warmup_share} and {self.warmup_epochs}"
            )


@dataclass(frozen=True)
class DataSettings:
    """Images and how they reach the device.

    Attributes:
        batch: images per step, two views each, of all processes together; at least 2.
        workers: loader processes of each process; 0 loads in the main process.
        max_unreadable: share of images that may be unreadable before the run stops.
        mean, std: of the input normalisation, RGB, for pixels in 0-1; travels with the weights.
    """

    batch: int = 256
    workers: int = 4
    max_unreadable: float = 0.05
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        if self.batch < 2:
            raise InputError(f"data.batch: expected at least 2 images (batch norm and negatives), found {self.batch}")
        if self.workers < 0 or not 0 <= self.max_unreadable <= 1:
            raise InputError(
                f"data.workers, data.max_unreadable: expected a whole number >= 0 and a number in 0-1, found "
                f"{self.workers} and {self.max_unreadable}"
            )
        numbers = len(self.mean) == len(self.std) == 3 and all(map(math.isfinite, (*self.mean, *self.std)))
        if not numbers or min(self.std) <= 0:
            raise InputError(f"data.mean, data.std: expected 3 numbers each, std > 0, found {self.mean}, {self.std}")


@dataclass(frozen=True)
class RunSettings:
    """What does not change the method.

    Attributes:
        seed: of the weights, the order and the views.
        precision: of the real step's backbone pass, fp32, bf16 or fp16 (with a loss scale,
            `pretrain.algorithm.mixed_precision`); heads, losses and the meta step stay in fp32.
        compile: the real step's backbone pass by torch.compile; one process. The meta step's stay as they are.
        channels_last: store the convolutions' weights with the channels last, as the views always are; for the tensor
            cores of GPUs (within 1 % on a CPU).
        log_every, checkpoint_every: iterations.
        keep: checkpoints kept, beside the best one.
        target_momentum: of BYOL's target at the start; rises to 1 by a cosine.
        knn_every: epochs between two looks at the nearest neighbours of held-out training images, which must lie in
            class folders (`pretrain.training.online_knn`); 0 for none.
    """

    seed: int = 0
    precision: str = "fp32"
    compile: bool = False
    channels_last: bool = False
    log_every: int = 10
    checkpoint_every: int = 500
    keep: int = 2
    target_momentum: float = 0.99
    knn_every: int = 0

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        _one_of("run.precision", self.precision, ("fp32", "bf16", "fp16"))
        if not 0 <= self.seed < 2**32:
            raise InputError(f"run.seed: expected a whole number from 0 to 2^32 - 1, found {self.seed}")
        if not 0 <= self.target_momentum <= 1:
            raise InputError(f"run.target_momentum: expected a number in 0-1, found {self.target_momentum}")
        if min(self.log_every, self.checkpoint_every, self.keep) < 1:
            raise InputError("run.log_every, checkpoint_every, keep: expected whole numbers >= 1")
        if self.knn_every < 0:
            raise InputError(f"run.knn_every: expected a whole number of epochs, 0 for never, found {self.knn_every}")


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name}: expected one of {', '.join(map(str, allowed))}, found {value!r}")
