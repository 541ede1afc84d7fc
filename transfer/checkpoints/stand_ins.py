"""What stands in for the objects a pickle asks for: names and plain data, never the real classes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Inert(dict[Any, Any]):
    """An object of a class that is known to be harmless and of no use here; its attributes are its entries."""


@dataclass(frozen=True)
class Global:
    """A class or function that a pickle names.

    Attributes:
        name: module and name, as the file spells them today.
        rebuild: our own function that makes the stand-in from the arguments, or None where an ``Inert`` serves.
    """

    name: str
    rebuild: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Unreadable:
    """A tensor whose numbers cannot be had here: of a kind no backbone consists of."""

    why: str


@dataclass(frozen=True)
class StorageType:
    """The class of a storage: what its bytes are."""

    dtype: torch.dtype


@dataclass(frozen=True)
class Storage:
    """The memory behind tensors: (bytes,) uint8, and what it holds unless a tensor says otherwise."""

    memory: Tensor
    dtype: torch.dtype


@dataclass
class Dtype:
    """NumPy's description of an element: a plain number from the table below, or None for everything else."""

    plain: np.dtype[Any] | None


@dataclass
class PendingArray:
    """An array between the two steps in which pickles rebuild it: named first, described and filled afterwards."""

    array: Any = None


_PLAIN_CODES = re.compile(r"[<>=|]?(\?|b1|[iu][1248]|f[248]|c8|c16)", re.ASCII)


def plain_dtype(code: object) -> Dtype:
    """``"f4"`` -> float32; objects, records, text and dates have no plain numbers and give ``Dtype(None)``."""
    text = code.decode("latin1") if isinstance(code, bytes) else code
    return Dtype(np.dtype(text) if isinstance(text, str) and _PLAIN_CODES.fullmatch(text) else None)


# Where the harmless extras of published checkpoints come from: argument namespaces (PixPro, PyContrast, SoCo),
# OmegaConf settings (solo-learn, VISSL, Lightning), MMEngine's message hub, dates and paths of Lightning's callbacks.
# Nothing of these packages is imported or called; the table only tells extras from a file that wants code to run.
_PACKAGES = (
    "addict",
    "argparse",
    "attr_dict",
    "attrdict",
    "box",
    "collections",
    "datetime",
    "decimal",
    "detectron2.config",
    "easydict",
    "fractions",
    "fvcore.common.config",
    "lightning",
    "lightning_fabric",
    "lightning_utilities",
    "ml_collections",
    "mmcv",
    "mmengine",
    "munch",
    "numpy.random",
    "omegaconf",
    "pathlib",
    "pytorch_lightning",
    "torch.optim",
    "torchmetrics",
    "typing",
    "uuid",
    "yacs",
    "zoneinfo",
)
# Functions, and attributes of attributes, are not what extras are made of; Cython pickles a class as one, though.
_CLASS = re.compile(r"(?:__pyx_unpickle_)?[A-Z]\w*", re.ASCII)
_ALSO = {
    *(f"builtins.{name}" for name in ("bool", "bytes", "dict", "float", "int", "list", "long", "object", "range")),
    *(f"builtins.{name}" for name in ("slice", "str", "tuple", "unicode", "xrange")),
    # How pickle writes a method of MMEngine's HistoryBuffer; here it looks nothing up.
    "builtins.getattr",
    "copyreg.__newobj__",
    "copyreg._reconstructor",
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone", "tzinfo")),
    "collections.deque",
    "numpy.ndarray",
    *(f"numpy.{name}" for name in ("bool", "bool_", "bytes_", "complex64", "complex128", "str_", "void", "generic")),
    *(f"numpy.{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)),
    *(f"numpy.random._pickle.__{name}_ctor" for name in ("bit_generator", "generator", "randomstate")),
    "torch.Tensor",
    "types.SimpleNamespace",
    "torch.serialization._get_layout",
    *(f"torch.per_{name}" for name in ("tensor_affine", "tensor_symmetric", "channel_affine", "channel_symmetric")),
    "torch.per_channel_affine_float_qparams",
}  # fmt: skip


def is_inert(module: str, name: str) -> bool:
    """Whether a global is a harmless extra, which an ``Inert`` replaces."""
    if f"{module}.{name}" in _ALSO:
        return True
    ours = any(module == package or module.startswith(f"{package}.") for package in _PACKAGES)
    return ours and _CLASS.fullmatch(name) is not None
