"""The frameworks a backbone can be written for, and what their files can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # help texts name the frameworks and load no torch
    from transfer.checkpoints.checkpoint import Checkpoint

TARGETS = ("detectron2", "torchvision", "timm", "mmdet")


def suffixes(to: str) -> tuple[str, ...]:
    """The file suffixes that a framework's loaders take."""
    return (".pth", ".safetensors") if to in ("torchvision", "timm") else (".pth",)


def obstacle(source: Checkpoint, to: str) -> str | None:
    """Why ``to`` cannot build this network, "expected X, found Y"; None when it can.

    Args:
        source: a complete backbone whose convention is known.
        to: one of ``TARGETS``.
    """
    assert source.convention is not None
    if to in ("torchvision", "timm") and source.spec.bottleneck and source.convention.stride_in_1x1:
        return "expected bottlenecks that stride in the 3x3, found Caffe's stride in the first 1x1"
    if to in ("torchvision", "timm") and source.convention.channel_order != "RGB":
        return f"expected a network fed RGB, found {source.convention.channel_order}"
    if to in ("timm", "mmdet") and source.stem == "small":
        return "expected the 7x7 stem, the only plain one it builds, found a 3x3 stem of stride 1"
    if to == "mmdet" and source.spec.groups == 1 and source.spec.width != 64:
        # mmdet's ResNeXt takes base_width only together with groups > 1.
        return "expected a ResNet or a ResNeXt, found a wide ResNet, which it cannot be configured to build"
    return None
