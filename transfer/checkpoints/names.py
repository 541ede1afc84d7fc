"""Parameter names of one residual backbone in every framework: pure functions on whole key segments.

torchvision's names are the ones in common; timm and mmdet use the same ones. Each function returns None for a
name that is no part of a residual backbone, so that the caller decides whether that is a head or a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

NORM_LEAVES = ("weight", "bias", "running_mean", "running_var")
# What PyTorch's wrappers put into names: torch.compile, activation checkpointing and FSDP at any module,
# DistributedDataParallel and AveragedModel around the whole.
_ANYWHERE = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")
_AROUND = ("module", *_ANYWHERE)
# AveragedModel's own counter stands beside the names.
COUNTERS = ("n_averaged",)
_INDEX = re.compile(r"0|[1-9][0-9]{0,3}")  # not str.isdigit, which takes ² and thousands of digits
_CAFFE2_BRANCHES = {"branch1": "downsample.0", "branch2a": "conv1", "branch2b": "conv2", "branch2c": "conv3"}
_CAFFE2_NORMS = {"branch1": "downsample.1", "branch2a": "bn1", "branch2b": "bn2", "branch2c": "bn3"}
_CAFFE2_LEAVES = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}


def strip_wrappers(name: str) -> str:
    """``module.encoder._orig_mod.conv1.weight`` -> ``encoder.conv1.weight``: without what PyTorch's wrappers add."""
    segments = name.split(".")
    first = next((at for at, segment in enumerate(segments) if segment not in _AROUND), len(segments))
    return ".".join(segment for segment in segments[first:] if segment not in _ANYWHERE)


def is_index(segment: str) -> bool:
    """Whether a segment is a module's number: 0 to 9999, as PyTorch writes it."""
    return _INDEX.fullmatch(segment) is not None


@lru_cache(maxsize=4096)  # a reader tries several namings on the same few hundred names
def to_detectron2(name: str) -> str | None:
    """``layer1.0.bn2.bias`` -> ``res2.0.conv2.norm.bias``."""
    match name.split("."):
        case ["conv1", "weight"]:
            return "stem.conv1.weight"
        case ["bn1", leaf] if leaf in NORM_LEAVES:
            return f"stem.conv1.norm.{leaf}"
        case [stage, block, *inner] if (res := _shifted(stage, "layer", "res", 1)) and is_index(block):
            tail = _block_to_detectron2(inner)
            return tail and f"{res}.{block}.{tail}"
    return None


def _block_to_detectron2(inner: list[str]) -> str | None:
    match inner:
        case [conv, "weight"] if conv in ("conv1", "conv2", "conv3"):
            return f"{conv}.weight"
        case [norm, leaf] if norm in ("bn1", "bn2", "bn3") and leaf in NORM_LEAVES:
            return f"conv{norm[2]}.norm.{leaf}"
        case ["downsample", "0", "weight"]:
            return "shortcut.weight"
        case ["downsample", "1", leaf] if leaf in NORM_LEAVES:
            return f"shortcut.norm.{leaf}"
    return None


@lru_cache(maxsize=4096)
def from_detectron2(name: str) -> str | None:
    """``res2.0.conv2.norm.bias`` -> ``layer1.0.bn2.bias``."""
    match name.split("."):
        case ["stem", "conv1", "weight"]:
            return "conv1.weight"
        case ["stem", "conv1", "norm", leaf] if leaf in NORM_LEAVES:
            return f"bn1.{leaf}"
        case [stage, block, *inner] if (layer := _shifted(stage, "res", "layer", -1)) and is_index(block):
            tail = _block_from_detectron2(inner)
            return tail and f"{layer}.{block}.{tail}"
    return None


def _block_from_detectron2(inner: list[str]) -> str | None:
    match inner:
        case [conv, "weight"] if conv in ("conv1", "conv2", "conv3"):
            return f"{conv}.weight"
        case [conv, "norm", leaf] if conv in ("conv1", "conv2", "conv3") and leaf in NORM_LEAVES:
            return f"bn{conv[4]}.{leaf}"
        case ["shortcut", "weight"]:
            return "downsample.0.weight"
        case ["shortcut", "norm", leaf] if leaf in NORM_LEAVES:
            return f"downsample.1.{leaf}"
    return None


def _shifted(stage: str, old: str, new: str, by: int) -> str | None:
    number = stage.removeprefix(old)
    low, high = (1, 4) if old == "layer" else (2, 5)
    if number == stage or number not in {str(n) for n in range(low, high + 1)}:
        return None
    return f"{new}{int(number) + by}"


@lru_cache(maxsize=4096)
def from_caffe2(name: str) -> str | None:
    """``res2_0_branch2a_bn_s`` -> ``layer1.0.bn1.weight`` (Detectron 1 and the MSRA ImageNet files)."""
    match name.split("_"):
        case ["conv1", "w"]:
            return "conv1.weight"
        case ["res", "conv1", "bn", leaf] if leaf in _CAFFE2_LEAVES:
            return f"bn1.{_CAFFE2_LEAVES[leaf]}"
        case [stage, block, branch, "w"] if is_index(block) and branch in _CAFFE2_NORMS:
            layer = _shifted(stage, "res", "layer", -1)
            return layer and f"{layer}.{block}.{_CAFFE2_BRANCHES[branch]}.weight"
        case [stage, block, branch, "bn", leaf] if is_index(block) and branch in _CAFFE2_NORMS:
            layer = _shifted(stage, "res", "layer", -1) if leaf in _CAFFE2_LEAVES else None
            return layer and f"{layer}.{block}.{_CAFFE2_NORMS[branch]}.{_CAFFE2_LEAVES[leaf]}"
    return None


@lru_cache(maxsize=4096)
def from_huggingface(name: str) -> str | None:
    """``encoder.stages.0.layers.1.layer.2.convolution.weight`` -> ``layer1.1.conv3.weight`` (transformers' ResNet)."""
    match name.split("."):
        case ["embedder", "embedder", part, leaf]:
            return _huggingface_layer("", "1", part, leaf)
        case ["encoder", "stages", stage, "layers", block, "layer", layer, part, leaf] if layer in ("0", "1", "2"):
            return _huggingface_block(stage, block, str(int(layer) + 1), part, leaf)
        case ["encoder", "stages", stage, "layers", block, "shortcut", part, leaf]:
            return _huggingface_block(stage, block, "", part, leaf)
    return None


def _huggingface_block(stage: str, block: str, number: str, part: str, leaf: str) -> str | None:
    if stage not in ("0", "1", "2", "3") or not is_index(block):
        return None
    return _huggingface_layer(f"layer{int(stage) + 1}.{block}.", number, part, leaf)


def _huggingface_layer(prefix: str, number: str, part: str, leaf: str) -> str | None:
    if part == "convolution" and leaf == "weight":
        return f"{prefix}conv{number}.weight" if number else f"{prefix}downsample.0.weight"
    if part == "normalization" and leaf in NORM_LEAVES:
        return f"{prefix}bn{number}.{leaf}" if number else f"{prefix}downsample.1.{leaf}"
    return None


def sequential_stages(names: Iterable[str]) -> dict[str, str] | None:
    """Read an ``nn.Sequential`` of a network's children: which index is which.

    ``nn.Sequential(*list(resnet.children())[:-1])`` numbers the children, and which numbers the stages get
    depends on whether ReLU and max-pool were kept: 4-7 for torchvision's ResNet, 3-6 with one of the two, 2-5
    without either. The convolution is always 0 and its norm 1.

    Returns:
        index -> torchvision segment (``{"0": "conv1", "1": "bn1", "4": "layer1", ...}``), or None when these
        names are no such numbering.
    """
    split = [name.split(".") for name in names]
    indices = {int(parts[0]) for parts in split if is_index(parts[0])}
    stages = sorted({int(p[0]) for p in split if len(p) > 3 and is_index(p[0]) and is_index(p[1])})
    if not {0, 1} <= indices or len(stages) != 4 or stages != list(range(stages[0], stages[0] + 4)):
        return None
    if not 2 <= stages[0] <= 4:
        return None
    return {"0": "conv1", "1": "bn1"} | {str(index): f"layer{n}" for n, index in enumerate(stages, start=1)}


def from_sequential(name: str, stages: dict[str, str]) -> str | None:
    """``4.0.conv1.weight`` -> ``layer1.0.conv1.weight``, given what ``sequential_stages`` found.

    lightly's ResNetGenerator calls the projection of a block ``shortcut``; torchvision's name is ``downsample``.
    """
    first, *rest = name.split(".")
    if first not in stages or not rest:
        return None
    return ".".join([stages[first], *("downsample" if segment == "shortcut" else segment for segment in rest)])
