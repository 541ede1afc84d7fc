"""Tensors and arrays out of a pickle's arguments, every length checked before memory is touched.

Each function stands under the name of the NumPy or PyTorch function whose arguments it reads. None of them calls
NumPy's or PyTorch's own, which trust what they are given: a dtype's pickled state makes NumPy follow pointers.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transfer.checkpoints.stand_ins import Dtype, Inert, PendingArray, Storage, StorageType, Unreadable, plain_dtype

MOST_DIMENSIONS = 32
_STORAGES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "QInt8": torch.int8,
    "QUInt8": torch.uint8,
    "QInt32": torch.int32,
    "Untyped": torch.uint8,
}
# PyTorch's functions for tensors whose numbers cannot be had here -> what such a tensor is.
UNREADABLE = {
    "_rebuild_meta_tensor_no_storage": "a meta tensor, which has no numbers",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_qtensor": "a quantized tensor",
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_wrapper_subclass": "a tensor of a special class",
    "_rebuild_device_tensor_from_numpy": "a tensor of a special device",
}
Spend = Callable[[int], None]


@cache
def constants() -> dict[str, Any]:
    """Globals that are values: dtypes and storage classes. Shared between callers: do not change it."""
    dtypes = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    storages = {f"torch.{kind}Storage": StorageType(dtype) for kind, dtype in _STORAGES.items()}
    return {**dtypes, **storages, "torch.storage.UntypedStorage": StorageType(torch.uint8)}


def numpy_functions(spend: Spend) -> dict[str, Callable[..., Any]]:
    """Globals that make arrays; ``spend`` is asked for every byte they copy."""
    functions: dict[str, Callable[..., Any]] = {"numpy.dtype": lambda code, *_: plain_dtype(code)}
    for home in ("numpy.core", "numpy._core"):  # NumPy 2 moved them; old files name the old place
        functions[f"{home}.multiarray._reconstruct"] = lambda *_: PendingArray()
        functions[f"{home}.multiarray.scalar"] = lambda dtype, raw=b"": _scalar(dtype, raw, spend)
        functions[f"{home}.numeric._frombuffer"] = lambda raw, dtype, shape, order: array(
            shape, dtype, order == "F", raw, spend
        )
    return functions


def torch_functions() -> dict[str, Callable[..., Any]]:
    """Globals that make tensors, and the wrappers around them that leave a tensor as it is."""
    functions: dict[str, Callable[..., Any]] = {
        f"torch._utils.{name}": lambda *_, why=why: Unreadable(why) for name, why in UNREADABLE.items()
    }
    for name in ("_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_device_tensor_from_cpu_tensor"):
        functions[f"torch._utils.{name}"] = lambda data, *_: data
    return functions | {
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor_v3": _tensor_v3,
        "torch.nn.parameter.Parameter": lambda data=None, *_: data,
        "torch.Size": lambda sizes=(): tuple(sizes),
        "torch.device": lambda *parts: ":".join(map(str, parts)),
    }


def described_dtype(dtype: Dtype, state: object) -> None:
    """Take the byte order from a dtype's pickled state, which is (version, order, base, names, fields, ...)."""
    if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
        dtype.plain = None
    elif dtype.plain is not None and state[1] in ("<", ">"):
        dtype.plain = dtype.plain.newbyteorder(state[1])


def described_array(state: object, spend: Spend) -> Any:
    """An array from its pickled state: ([version,] shape, dtype, Fortran order, bytes)."""
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise pickle.UnpicklingError("an array without shape, dtype and bytes")
    shape, dtype, fortran, raw = state[-4:]
    return array(shape, dtype, bool(fortran), raw, spend)


def array(shape: object, dtype: object, fortran: bool, raw: object, spend: Spend) -> Any:
    """A NumPy array of plain numbers in this machine's byte order; an ``Inert`` for any other element."""
    if not isinstance(dtype, Dtype) or dtype.plain is None or isinstance(raw, list):
        return Inert()
    content = raw.encode("latin1") if isinstance(raw, str) else raw  # Python 2 wrote bytes as text
    sizes = _lengths(shape, "shape")
    if not isinstance(content, bytes | bytearray):
        raise pickle.UnpicklingError("an array without bytes")
    claimed = math.prod(sizes) * dtype.plain.itemsize
    if claimed != len(content):
        raise pickle.UnpicklingError(f"an array of {claimed} bytes with {len(content)} bytes in the file")
    spend(2 * len(content))
    flat = np.frombuffer(content, np.uint8 if dtype.plain.kind == "b" else dtype.plain)
    numbers = flat != 0 if dtype.plain.kind == "b" else flat.astype(dtype.plain.newbyteorder("="))
    return np.asarray(numbers.reshape(sizes, order="F" if fortran else "C"), order="C")


def _scalar(dtype: object, raw: object, spend: Spend) -> Any:
    value = array((), dtype, False, raw, spend)
    return value if isinstance(value, Inert) else value.item()


def _tensor(
    storage: object,
    offset: object,
    size: object,
    stride: object,
    requires_grad: object = None,
    hooks: object = None,
    metadata: object = None,
) -> Tensor | Unreadable:
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor without storage")
    return _view(storage, storage.dtype, offset, size, stride, metadata)


def _tensor_v3(
    storage: object,
    offset: object,
    size: object,
    stride: object,
    requires_grad: object,
    hooks: object,
    dtype: object,
    metadata: object = None,
) -> Tensor | Unreadable:
    if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype):
        raise pickle.UnpicklingError("a tensor without storage")
    return _view(storage, dtype, offset, size, stride, metadata)


def _view(
    storage: Storage, dtype: torch.dtype, offset: object, size: object, stride: object, metadata: object
) -> Tensor | Unreadable:
    if isinstance(metadata, Mapping) and any(metadata.get(flag) for flag in ("conj", "neg")):
        return Unreadable("a tensor whose sign or conjugation was left to be done")
    (start,) = _lengths((offset,), "offset")
    sizes, strides = _lengths(size, "size"), _lengths(stride, "stride")
    if len(sizes) != len(strides):
        raise pickle.UnpicklingError(f"a tensor of {len(sizes)} dimensions with {len(strides)} strides")
    held = storage.memory.numel() // dtype.itemsize
    count = math.prod(sizes)
    last = start + sum((length - 1) * step for length, step in zip(sizes, strides, strict=True))
    # More elements than the storage has is how a file of a few bytes claims gigabytes: strides of zero.
    if count > held or (count and last >= held) or start > held:
        raise pickle.UnpicklingError(f"a tensor that reaches beyond its storage of {held} elements")
    memory = storage.memory[: held * dtype.itemsize]
    return torch.as_strided(memory.view(dtype), sizes, strides, start)


def _lengths(values: object, what: str) -> tuple[int, ...]:
    sound = isinstance(values, tuple | list) and len(values) <= MOST_DIMENSIONS
    if not sound or any(type(value) is not int or not 0 <= value < 1 << 62 for value in values):  # type: ignore[attr-defined]
        raise pickle.UnpicklingError(f"no {what} of lengths")
    return tuple(values)  # type: ignore[arg-type]
