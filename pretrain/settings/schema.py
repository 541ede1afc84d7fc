"""The settings of a pretraining run: what a config file may say, with defaults, ranges and units."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pretrain.backbones import IMAGENET_MEAN, IMAGENET_STD
from pretrain.data.views import ViewSettings
from pretrain.errors import InputError
from pretrain.method.bilevel import MODES
from pretrain.method.objective import Method, ObjectiveSettings, compared_width, resolve_method
from pretrain.settings.decode import decode


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
        trial: the trial step's loss: meta or lower.
        upper: the upper level's loss: meta or lower.
        precision: of the meta step's own backbone passes, fp32 or bf16; w⁺, v, heads, losses and the two forward passes
            whose difference `feature_difference` takes stay in fp32.
        look_ahead: judge ψ by the real step and the next batch instead of a trial step on the same one.
        every: meta step every K iterations.
        fraction: share of the batch that the meta step sees; below 1 only with base post.
        start: first iteration with a meta step; None means after the warm-up of the learning rate.
        clip: largest norm of dU/dψ, per upper variable; None for no clipping.
        trial_lr: η of the trial step; None means the current learning rate of w (SGD only).
        mask_lr, fusion_lr: learning rates of m and ξ; None means that of w.
        momentum, weight_decay: of the SGD of m and ξ; None means those of w.
        warmup_scale, warmup_share: 1/λ of the coding series starts at this multiple and reaches 1 after this share
            of training (MEC's code: 8 and 0.1).
    """

    hypergradient: str = "feature_difference"
    precision: str = "fp32"
    base: str | None = None
    trial: str = "meta"
    upper: str = "meta"
    look_ahead: bool = False
    every: int = 1
    fraction: float = 1.0
    start: int | None = None
    clip: float | None = 0.05
    trial_lr: float | None = None
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
        _one_of("meta.upper", self.upper, ("meta", "lower"))
        if self.every < 1:
            raise InputError(f"meta.every: expected a whole number >= 1, found {self.every}")
        if not 0 < self.fraction <= 1:
            raise InputError(f"meta.fraction: expected a number in (0, 1], found {self.fraction}")
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
    """Cosine to zero after a linear warm-up; ``iterations``, when given, replaces ``epochs``."""

    epochs: int = 100
    warmup_epochs: float = 1.0
    iterations: int | None = None

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        length = self.epochs if self.iterations is None else self.iterations
        if length < 1 or not 0 <= self.warmup_epochs < math.inf:
            raise InputError(
                "schedule: expected epochs (or iterations, where given) >= 1 and warmup_epochs >= 0, found epochs = "
                f"{self.epochs}, iterations = {self.iterations}, warmup_epochs = {self.warmup_epochs}"
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


@dataclass(frozen=True)
class Settings:
    """A whole config file: the method's name and one section each."""

    method: str = "metamask_compmod"
    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    meta: MetaSettings = field(default_factory=MetaSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    data: DataSettings = field(default_factory=DataSettings)
    views: ViewSettings = field(default_factory=ViewSettings)
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        """Check what no section can check alone."""
        _check_accumulation(self)
        check_meta(self)

    def resolved_method(self) -> Method:
        """The method's row with the config's loss weights and base."""
        method = resolve_method(self.method, self.objective)
        return dataclasses.replace(method, base=self.meta.base or method.base) if method.base else method

    def trial_lr(self, current: float) -> float:
        """η of the trial step, given the current learning rate of w."""
        return current if self.meta.trial_lr is None else self.meta.trial_lr


def _check_accumulation(settings: Settings) -> None:
    k, batch, method = settings.optimizer.accumulate, settings.data.batch, settings.resolved_method()
    if batch % k or batch // k < 2:
        raise InputError(
            f"optimizer.accumulate: expected a divisor of data.batch = {batch} that leaves at least 2 images, found {k}"
        )
    shared = settings.meta.look_ahead or method.base == "inline"
    if k > 1 and method.base and settings.meta.hypergradient != "single_level" and shared:
        raise InputError(
            f"optimizer.accumulate={k}: expected 1 with base=inline or look_ahead, whose trial step is the real step "
            "on one batch; use meta.base=post"
        )


def check_meta(settings: Settings) -> None:
    """Refuse combinations of the upper level that are wrong or leave nothing to learn.

    Raises:
        InputError: one line naming the settings.
    """
    method, meta, optimizer = settings.resolved_method(), settings.meta, settings.optimizer
    if method.base is None or meta.hypergradient == "single_level":
        return
    if method.comp:
        _check_coding(settings)
    if meta.hypergradient == "first_order" and not method.mask and settings.objective.comp_weight == 0:
        raise InputError(
            "meta.hypergradient=first_order with objective.comp_weight=0: CompMod's network would get no gradient at "
            "all (it reaches U only through w⁺); use feature_difference or a comp_weight above 0"
        )
    _check_meta_precision(meta)
    real_step_is_trial = meta.look_ahead or method.base == "inline"
    if real_step_is_trial and meta.fraction < 1:
        raise InputError(
            f"meta.fraction={meta.fraction}: expected 1 with base=inline or look_ahead; use meta.base=post"
        )
    if meta.look_ahead and (optimizer.name != "sgd" or meta.trial != "lower"):
        raise InputError(
            f"meta.look_ahead: expected optimizer.name=sgd and meta.trial=lower (the real step is the trial step), "
            f"found {optimizer.name} and {meta.trial}"
        )
    if optimizer.name != "sgd" and meta.trial_lr is None:
        raise InputError(
            f"meta.trial_lr: expected a number with optimizer.name={optimizer.name} (the trial step is plain SGD, the "
            f"learning rate of {optimizer.name} does not fit it); 0.03 is a start"
        )


def _check_meta_precision(meta: MetaSettings) -> None:
    if meta.precision == "fp32":
        return
    if meta.hypergradient == "finite_difference":
        raise InputError(
            f"meta.precision={meta.precision}: expected fp32 with meta.hypergradient=finite_difference (in 16 bits the "
            "difference is rounding noise), found the two together; use feature_difference or forward_mode"
        )
    if meta.look_ahead and meta.hypergradient != "forward_mode":
        raise InputError(
            f"meta.precision={meta.precision}: expected a backbone pass of the meta step to lower, found none: with "
            f"meta.look_ahead and {meta.hypergradient} all of them are the real step's or stay in fp32; use fp32"
        )


def _check_coding(settings: Settings) -> None:
    s, width = settings.objective, compared_width(settings.resolved_method(), settings.objective)
    smallest = 1 / min(settings.data.batch // settings.optimizer.accumulate, width)
    # Even embeddings spread over all dimensions have the top eigenvalue 1 / (ε_d² min(n, d)) of λ Ẑ Ẑᵀ.
    if s.coding_distortion <= smallest:
        raise InputError(
            f"objective.coding_distortion: expected more than 1 / min(batch, width) = {smallest:.3g}, where the coding "
            f"series stops converging even for perfectly spread embeddings, found {s.coding_distortion}; use "
            f"{max(0.06, 2 * smallest):.2g} or a larger batch"
        )


def load_settings(config: Mapping[str, Any]) -> Settings:
    """Settings from a config's plain values; every key must exist and every value be of its type.

    Raises:
        InputError: unknown key (with the nearest known one), wrong type, or a value out of range.
    """
    return decode(Settings, config)


def as_plain(settings: Any) -> Any:
    """Settings as dictionaries, lists, strings and numbers, for files."""
    return dataclasses.asdict(settings)


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name}: expected one of {', '.join(map(str, allowed))}, found {value!r}")
