"""The residual networks this toolkit can carry, and the tensors each of them must have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

Shape = tuple[int, ...]

STEMS = ("imagenet", "small")
STAGES = ("stem", "res2", "res3", "res4", "res5")


@dataclass(frozen=True)
class Spec:
    """One architecture under its torchvision name.

    Attributes:
        name: torchvision's name, e.g. ``resnet50``.
        depth: the number in the name (18, 34, 50, 101, 152).
        blocks: residual blocks of res2, res3, res4, res5.
        bottleneck: three convolutions a block (1x1, 3x3, 1x1) instead of two 3x3.
        groups: groups of the 3x3 convolution (32 or 64 in ResNeXt).
        width: channels per group of the 3x3 convolution in res2.
        base: channels of the stem; 64 in every published network, smaller only in tests.
    """

    name: str
    depth: int
    blocks: tuple[int, int, int, int]
    bottleneck: bool
    groups: int = 1
    width: int = 64
    base: int = 64

    @property
    def res2_out_channels(self) -> int:
        """Channels that leave res2: 64 for basic blocks, 256 for bottlenecks."""
        return self.base * (4 if self.bottleneck else 1)


# Depths: He et al. 2016 (table 1); groups and widths: Xie et al. 2017, Zagoruyko and Komodakis 2016.
SPECS = {
    spec.name: spec
    for spec in (
        Spec("resnet18", 18, (2, 2, 2, 2), bottleneck=False),
        Spec("resnet34", 34, (3, 4, 6, 3), bottleneck=False),
        Spec("resnet50", 50, (3, 4, 6, 3), bottleneck=True),
        Spec("resnet101", 101, (3, 4, 23, 3), bottleneck=True),
        Spec("resnet152", 152, (3, 8, 36, 3), bottleneck=True),
        Spec("resnext50_32x4d", 50, (3, 4, 6, 3), bottleneck=True, groups=32, width=4),
        Spec("resnext101_32x8d", 101, (3, 4, 23, 3), bottleneck=True, groups=32, width=8),
        Spec("resnext101_64x4d", 101, (3, 4, 23, 3), bottleneck=True, groups=64, width=4),
        Spec("wide_resnet50_2", 50, (3, 4, 6, 3), bottleneck=True, width=128),
        Spec("wide_resnet101_2", 101, (3, 4, 23, 3), bottleneck=True, width=128),
    )
}


def _norm(prefix: str, channels: int) -> dict[str, Shape]:
    return {f"{prefix}.{leaf}": (channels,) for leaf in ("weight", "bias", "running_mean", "running_var")}


def _conv(prefix: str, conv: str, norm: str, shape: Shape) -> dict[str, Shape]:
    return {f"{prefix}{conv}.weight": shape, **_norm(f"{prefix}{norm}", shape[0])}


@lru_cache
def expected(spec: Spec, stem: str = "imagenet") -> Mapping[str, Shape]:
    """Every tensor a backbone must have, by torchvision name (no ``fc``, no ``num_batches_tracked``).

    Args:
        spec: the architecture.
        stem: ``imagenet`` (7x7 stride 2, then max-pool) or ``small`` (3x3 stride 1, no pool).

    Returns:
        name -> shape, in the order of the network. Shared between callers: do not change it.
    """
    kernel = 7 if stem == "imagenet" else 3
    shapes = _conv("", "conv1", "bn1", (spec.base, 3, kernel, kernel))
    inputs = spec.base
    for stage, blocks in enumerate(spec.blocks):
        planes = spec.base << stage
        outputs = spec.res2_out_channels << stage
        for block in range(blocks):
            prefix = f"layer{stage + 1}.{block}."
            for number, shape in enumerate(_block(spec, inputs, planes, outputs), start=1):
                shapes |= _conv(prefix, f"conv{number}", f"bn{number}", shape)
            if block == 0 and (stage > 0 or inputs != outputs):
                shapes |= _conv(prefix, "downsample.0", "downsample.1", (outputs, inputs, 1, 1))
            inputs = outputs
    return shapes


def _block(spec: Spec, inputs: int, planes: int, outputs: int) -> tuple[Shape, ...]:
    if not spec.bottleneck:
        return (planes, inputs, 3, 3), (planes, planes, 3, 3)
    width = planes * spec.width // 64 * spec.groups
    return (width, inputs, 1, 1), (width, width // spec.groups, 3, 3), (outputs, width, 1, 1)


def recognise(shapes: Mapping[str, Shape], candidates: Iterable[Spec] = SPECS.values()) -> tuple[Spec, str] | None:
    """The architecture and stem that share the most (name, shape) pairs with these tensors.

    The answer is a guess to be checked: the caller compares the tensors with ``expected`` of it.

    Returns:
        (spec, stem), or None when fewer than half of the best candidate's tensors are there.
    """
    best: tuple[float, Spec, str] | None = None
    for spec in candidates:
        for stem in STEMS:
            wanted = expected(spec, stem)
            matching = sum(shapes.get(name) == shape for name, shape in wanted.items())
            # Shared over all there are on either side: R50 is a subset of R101, so counting alone is not enough.
            score = matching / (len(wanted) + len(shapes) - matching)
            if 2 * matching >= len(wanted) and (best is None or score > best[0]):
                best = (score, spec, stem)
    return None if best is None else best[1:]
