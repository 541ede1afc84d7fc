"""The backbones, and the one file that pretraining leaves behind."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torchvision
from torch import Tensor, nn

from pretrain.atomic import write_bytes
from pretrain.errors import InputError

ARCHITECTURES = ("resnet18", "resnet34", "resnet50", "resnet101")
STEMS = ("imagenet", "small")
FORMAT = "pretrain.backbone/1"

# The statistics that torchvision's and nearly every published backbone was trained with, for RGB pixels in 0-1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def build_backbone(arch: str, stem: str = "imagenet", *, maps: bool = False) -> nn.Module:
    """A torchvision ResNet without its classifier.

    Args:
        arch: one of `ARCHITECTURES`.
        stem: "imagenet" (7x7 convolution of stride 2 and max-pooling) or "small" (3x3 of stride 1, no pooling, as
            for CIFAR; He et al. 2016, section 4.2).
        maps: leave out the pooling; the tensors and their names are the same.

    Returns:
        Module: normalised RGB images (N, 3, H, W) -> pooled features (N, D), D = `feature_width`; with ``maps``, square
        images -> the last stage's feature maps (N, D, S, S), whose mean over the cells the pooled features are.

    Raises:
        InputError: unknown architecture or stem.
    """
    if arch not in ARCHITECTURES:
        raise InputError(f"backbone.arch: expected one of {', '.join(ARCHITECTURES)}, found {arch!r}")
    if stem not in STEMS:
        raise InputError(f"backbone.stem: expected one of {', '.join(STEMS)}, found {stem!r}")
    net = torchvision.models.get_model(arch, weights=None)
    net.fc = nn.Identity()
    if stem == "small":
        net.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        net.maxpool = nn.Identity()
    if maps:
        net.avgpool, net.fc = nn.Identity(), _Square(feature_width(arch))
    return net


class _Square(nn.Module):
    """Undoes torchvision's flattening of square maps: (N, D * S * S) -> (N, D, S, S)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, flat: Tensor) -> Tensor:
        side = round((flat.shape[1] // self.width) ** 0.5)
        return flat.unflatten(1, (self.width, side, side))


def feature_width(arch: str) -> int:
    """D, the width of the pooled features."""
    return 512 if arch in ("resnet18", "resnet34") else 2048


def save_backbone(path: str | Path, backbone: nn.Module, metadata: Mapping[str, Any]) -> None:
    """Write ``backbone.safetensors`` atomically: torchvision names, float32, everything a reader must know.

    Args:
        path: the file to write, readable as the umask says; replaced in one step when it exists.
        backbone: from `build_backbone`.
        metadata: at least arch, stem, mean, std, channel_order, method (``docs/design.md``, contract 1); values that
            are not strings are stored as JSON text.

    Raises:
        InputError: a tensor holds NaN or infinity; nothing is written, and a file that was there stays.
    """
    header = {"format": FORMAT} | {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    tensors = {name: t.detach().cpu().float().contiguous() for name, t in _tensors(backbone).items()}
    path = Path(path)
    broken = [name for name, t in tensors.items() if not bool(t.isfinite().all())]
    if broken:
        raise InputError(
            f"{path}: expected finite weights, found NaN or infinity in {len(broken)} of {len(tensors)} tensors "
            f"({', '.join(broken[:3])}{', ...' if len(broken) > 3 else ''}), which is a diverged training; nothing is "
            "written: lower optimizer.lr or raise schedule.warmup_share"
        )
    # Not safetensors' own `save_file`: its files can be read by nobody but their owner.
    write_bytes(path, _sorted_header(safetensors.torch.save(tensors, metadata=header)))


def _sorted_header(content: bytes) -> bytes:
    """The same safetensors file with its header in alphabetical order: the package writes another order each time.

    So equal weights are equal files, and a hash of one says something. The format: 8 bytes with the header's length,
    the header as JSON, padded with spaces to a multiple of 8, and the tensors, whose offsets count from its end.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of a safetensors file by name, and its metadata, values that are JSON text decoded.

    Raises:
        InputError: no such file, or not a readable safetensors file.
    """
    if not path.is_file():
        other = "a folder" if path.is_dir() else "nothing"
        raise InputError(f"weights: expected a file, found {other} at {path}; give a backbone.safetensors")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is not a readable safetensors file ({error}); give a backbone.safetensors") from None
    return tensors, {k: _decoded(v) for k, v in header.items()}


def load_backbone(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild the backbone of a ``backbone.safetensors``, completely or not at all.

    Args:
        path: the file that a pretraining left.

    Returns:
        The module, on the CPU and in training mode: normalised RGB images (N, 3, H, W) -> pooled features (N, D), D =
        512 or 2048. And the file's metadata: at least ``arch``, ``stem``, ``channel_order`` and ``method``, texts, and
        ``mean`` and ``std`` of the normalisation, three numbers each for pixels in 0-1.

    Raises:
        InputError: not such a file, or a tensor is missing, extra or of another shape.

    Examples:
        >>> import torch
        >>> from pretrain.backbones import build_backbone, save_backbone
        >>> about = {"arch": "resnet18", "stem": "small", "mean": [0.5] * 3, "std": [0.25] * 3}
        >>> save_backbone("backbone.safetensors", build_backbone("resnet18", "small"), about)
        >>> backbone, metadata = load_backbone("backbone.safetensors")
        >>> metadata["arch"], metadata["std"]
        ('resnet18', [0.25, 0.25, 0.25])
        >>> backbone.eval()(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 512])
    """
    path = Path(path)
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path}: expected format {FORMAT}, found {metadata.get('format')!r}; convert foreign weights with "
            f"'python -m transfer convert FILE --to torchvision'"
        )
    _check_metadata(path, metadata)
    backbone = build_backbone(metadata["arch"], metadata["stem"])
    fill_backbone(backbone, tensors, str(path))
    return backbone, metadata


def fill_backbone(backbone: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors under torchvision names into the backbone; refuse anything but a complete match.

    Raises:
        InputError: names and counts of what is missing, unexpected or misshapen in ``source``.
    """
    expected = _tensors(backbone)
    missing = sorted(expected.keys() - tensors.keys())
    extra = sorted(tensors.keys() - expected.keys())
    misshapen = sorted(k for k in expected.keys() & tensors.keys() if expected[k].shape != tensors[k].shape)
    faults = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("unexpected", extra), ("of another shape", misshapen))
        if names
    ]
    if faults:
        raise InputError(
            f"{source} does not fit the backbone: expected {len(expected)} tensors, found {'; '.join(faults)}; give "
            f"weights of the same architecture and stem"
        )
    for name, tensor in tensors.items():
        expected[name].data.copy_(tensor)


def _tensors(backbone: nn.Module) -> dict[str, Tensor]:
    return {k: v for k, v in backbone.state_dict().items() if not k.endswith("num_batches_tracked")}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text


def _check_metadata(path: Path, metadata: Mapping[str, Any]) -> None:
    """See that the file says which network it holds and how that was fed."""
    missing = [key for key in ("arch", "stem", "mean", "std") if key not in metadata]
    if missing:
        raise InputError(f"{path}: expected {', '.join(missing)} in its metadata, found none; write the file again")
    for key, least in (("mean", -math.inf), ("std", 0.0)):
        numbers = metadata[key]
        right = isinstance(numbers, list) and len(numbers) == 3
        if not right or not all(isinstance(x, int | float) and least < x < math.inf for x in numbers):
            raise InputError(f"{path}: expected three numbers as {key} in its metadata, found {numbers!r:.80}")
