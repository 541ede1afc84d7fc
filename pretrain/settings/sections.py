"""The sections of a config file but the objective's and the views': defaults, ranges and units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pretrain.backbones import ARCHITECTURES, IMAGENET_MEAN, IMAGENET_STD, STEMS
from pretrain.method.bilevel import MODES
from pretrain.ranges import (
    ABOVE_ZERO,
    BELOW_ONE,
    COUNT,
    LARGEST,
    NOT_NEGATIVE,
    NOT_NEGATIVE_COUNT,
    SHARE,
    Items,
    OneOf,
    Range,
    check,
)


@dataclass(frozen=True)
class BackboneSettings:
    """arch: resnet18, resnet34, resnet50 or resnet101; stem: imagenet or small."""

    arch: Annotated[str, OneOf(ARCHITECTURES)] = "resnet50"
    stem: Annotated[str, OneOf(STEMS)] = "imagenet"

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        check(self, "backbone")


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

    hypergradient: Annotated[str, OneOf((*MODES, "single_level"))] = "feature_difference"
    precision: Annotated[str, OneOf(("fp32", "bf16"))] = "fp32"
    base: Annotated[str | None, OneOf(("post", "inline"))] = None
    trial: Annotated[str, OneOf(("meta", "lower"))] = "lower"
    every: Annotated[int, COUNT] = 1
    start: Annotated[int | None, NOT_NEGATIVE_COUNT] = None
    clip: Annotated[float | None, ABOVE_ZERO] = 3.0
    trial_lr: Annotated[float | None, ABOVE_ZERO] = None
    optimizer: Annotated[str, OneOf(("adam", "sgd"))] = "adam"
    betas: Annotated[tuple[float, ...], Items(2, 2), BELOW_ONE] = (0.5, 0.999)
    mask_lr: Annotated[float | None, NOT_NEGATIVE] = None
    fusion_lr: Annotated[float | None, NOT_NEGATIVE] = None
    momentum: Annotated[float | None, BELOW_ONE] = None
    weight_decay: Annotated[float | None, NOT_NEGATIVE] = None
    warmup_scale: Annotated[float, Range(1)] = 8.0
    warmup_share: Annotated[float, SHARE] = 0.1

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        check(self, "meta")


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

    name: Annotated[str, OneOf(("sgd", "lars", "adamw"))] = "sgd"
    lr: Annotated[float, ABOVE_ZERO] = 0.03
    momentum: Annotated[float, BELOW_ONE] = 0.9
    weight_decay: Annotated[float, NOT_NEGATIVE] = 5e-4
    clip: Annotated[float | None, ABOVE_ZERO] = None
    accumulate: Annotated[int, COUNT] = 1

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        check(self, "optimizer")


@dataclass(frozen=True)
class ScheduleSettings:
    """Cosine to zero after a linear warm-up; ``iterations``, when given, replaces ``epochs``.

    Attributes:
        epochs: length of the run.
        warmup_share: length of the warm-up, as a share of the run; an epoch at most.
        warmup_epochs: its length in epochs, where that is to decide.
        iterations: length of the run.
    """

    epochs: Annotated[int, COUNT] = 100
    warmup_share: Annotated[float, BELOW_ONE] = 0.05
    warmup_epochs: Annotated[float | None, NOT_NEGATIVE] = None
    iterations: Annotated[int | None, COUNT] = None

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        check(self, "schedule")


@dataclass(frozen=True)
class DataSettings:
    """Images and how they reach the device.

    Attributes:
        batch: images per step, two views each, of all processes together; at least 2.
        workers: loader processes of each process; 0 loads in the main process.
        max_unreadable: share of images that may be unreadable before the run stops.
        mean, std: of the input normalisation, RGB, for pixels in 0-1; travels with the weights.
    """

    batch: Annotated[int, Range(2, LARGEST, whole=True)] = 256  # batch norm and negatives need two
    workers: Annotated[int, Range(0, 1024, whole=True)] = 4
    max_unreadable: Annotated[float, SHARE] = 0.05
    mean: Annotated[tuple[float, ...], Items(3, 3), Range(-1e6, 1e6)] = IMAGENET_MEAN
    std: Annotated[tuple[float, ...], Items(3, 3), Range(1e-6, 1e6)] = IMAGENET_STD

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        check(self, "data")


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
        objects_every: epochs between two looks at the objects of the set that ``--objects`` names
            (`pretrain.training.online_objects`); 0 for none.
    """

    seed: Annotated[int, Range(0, 2**32 - 1, whole=True)] = 0
    precision: Annotated[str, OneOf(("fp32", "bf16", "fp16"))] = "fp32"
    compile: bool = False
    channels_last: bool = False
    log_every: Annotated[int, COUNT] = 10
    checkpoint_every: Annotated[int, COUNT] = 500
    keep: Annotated[int, COUNT] = 2
    target_momentum: Annotated[float, SHARE] = 0.99
    knn_every: Annotated[int, NOT_NEGATIVE_COUNT] = 0
    objects_every: Annotated[int, NOT_NEGATIVE_COUNT] = 0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        check(self, "run")
