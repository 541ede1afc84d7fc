"""A device without values: PyTorch's meta device, on which whole steps run while every tensor's place is watched.

What lives on the host is computed as always, so that the program takes the ways that it would take; what is read from
the device is one.
"""

import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("meta")
REPOSITORY = Path(__file__).parents[2]
_aten = torch.ops.aten
# Their result's shape depends on values: a GPU makes the host wait for it.
_BY_VALUE = {"nonzero", "masked_select", "unique2", "_unique2", "unique_dim", "equal", "repeat_interleave.Tensor"}
_ONE = {torch.bool: True, torch.int64: 1}


class Misplaced(AssertionError):
    """Tensors of two places met in one operation."""


class Watch(TorchDispatchMode):
    """Raises where tensors of two places meet, and notes where the host waits for the device.

    As on a GPU, a scalar of the host may stand beside tensors of the device; not in a list of tensors, and not as what
    is written to.

    Attributes:
        waits: places in this repository, ``file:function``, whose line made the host wait.
    """

    def __init__(self):
        super().__init__()
        self.waits = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        here = [t for t in tensors if t.device == DEVICE]
        if not here:
            if func is _aten._to_copy.default and kwargs.get("device") == DEVICE and not kwargs.get("non_blocking"):
                self._wait()  # an upload from ordinary memory
            return func(*args, **kwargs)
        if func is _aten._local_scalar_dense.default:
            self._wait()
            return _ONE.get(args[0].dtype, 1.0)
        if func is _aten._to_copy.default and kwargs.get("device", DEVICE) != DEVICE:
            self._wait()
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if func is _aten.copy_.default:
            return self._copied(*args)
        if str(func).removeprefix("aten.").removesuffix(".default") in _BY_VALUE:
            self._wait()
            raise Misplaced(f"{func} in {place()}: its result's shape or value is only known on the device")
        single = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor) and a.device != DEVICE]
        writes = (
            func._schema.is_mutable
            and bool(args)
            and isinstance(args[0], torch.Tensor)
            and any(args[0] is t for t in single)
        )
        listed = len([t for t in tensors if t.device != DEVICE]) > len(single)
        if writes or listed or any(t.ndim for t in single):
            raise Misplaced(f"{func} in {place()}: {', '.join(f'{tuple(t.shape)} on {t.device}' for t in tensors)}")
        return func(*args, **kwargs)

    def _copied(self, to, source, non_blocking=False):
        if to.device != DEVICE:
            self._wait()
            return to.fill_(1)
        if source.device != DEVICE and not non_blocking:
            self._wait()
        return to

    def _wait(self):
        self.waits.append(place())


def place():
    """``file:function`` of the innermost frame that is this repository's and no test's; of a library's else."""
    frame = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(REPOSITORY):
            parts = path.relative_to(REPOSITORY).parts
            if parts[0] in ("pretrain", "transfer"):
                return f"{'/'.join(parts)}:{frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"


def without_autocast(monkeypatch):
    """The meta device has no autocast; that it reaches every pass is `test_formats`' to show."""
    for module in ("pretraining", "upper"):
        monkeypatch.setattr(f"pretrain.algorithm.{module}.autocast", lambda device, precision: nullcontext())
