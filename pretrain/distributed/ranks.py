"""Several processes, one training: what they send each other. With one process everything here does nothing.

Each rank sends its share of the batch through the backbone, whose norms see the whole batch
(`pretrain.distributed.sync_norm`). The features are gathered, and the heads, the losses and the upper level run on the
whole batch on *every* rank, in the very same code as with one process. So a loss is a function of the whole batch on
each rank, and:

    gather      forward: all features; backward: this rank's rows of the gradient, which is whole on every rank
    replicated  forward: the weights; backward: the sum over the ranks, each of which adds what its images say

The global batch is dealt out like cards: rank r holds its images r, r + world, r + 2 world, ...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from pretrain.errors import InputError, RankLost, ReportedElsewhere, one_line

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)  # rank 0 alone writes checkpoints and looks for neighbours; the others wait

_control: list[Any] = []  # a process group on the CPU, for flags and texts; as process-wide as torch's own group


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def started() -> Iterator[None]:
    """Join the other processes that torchrun started, for the length of a block; nothing where there are none.

    Raises:
        InputError: not started by torchrun, or more processes on this machine than GPUs.
        RankLost: the others did not come.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise InputError(
            f"launcher: expected {', '.join(missing)} beside WORLD_SIZE={os.environ['WORLD_SIZE']} in the environment, "
            "found none; start several processes by torchrun"
        )
    backend = "gloo"
    if torch.cuda.is_available():
        local, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= devices:
            raise InputError(
                f"torchrun: expected at most one process for each of the {devices} GPUs here, found local rank "
                f"{local}; use --nproc_per_node {devices}"
            )
        torch.cuda.set_device(local)
        backend = "nccl"
    with _talking():
        store, number, world = next(dist.rendezvous("env://", timeout=TIMEOUT))
        dist.init_process_group(
            backend, store=dist.PrefixStore(_attempt(), store), rank=number, world_size=world, timeout=TIMEOUT
        )
        _control.append(dist.group.WORLD if backend == "gloo" else dist.new_group(backend="gloo", timeout=TIMEOUT))
    yield
    # Only after a good end: where a rank is missing, waiting for it would hide the error that is on its way.
    _control.clear()
    dist.destroy_process_group()


def _attempt() -> str:
    """A name for this start of all ranks: the store of a torchrun without a rendezvous backend outlives a restart.

    There it still holds the addresses of the ranks that died. Several agents count their restarts apart, and get a new
    store for each from their rendezvous.
    """
    alone = os.environ.get("GROUP_WORLD_SIZE", "1") == "1"
    return f"attempt_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}" if alone else "attempt"


def gather(h: Tensor) -> Tensor:
    """The whole batch's features from each rank's share, in the global order: (2, n, ...) -> (2, N, ...).

    The gradient of a loss of all rows, which every rank computes, comes back as this rank's rows of it; nothing is
    summed, so the loss must be the same on every rank.
    """
    return h if world_size() == 1 else _Gather.apply(h)


def replicated(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The module, the gradient of whose weights is the sum over the ranks; to be called on as many inputs as needed."""
    if world_size() == 1:
        return module
    weights = summed_gradients(dict(module.named_parameters()))
    return lambda x: functional_call(module, weights, (x,))


def summed_gradients(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors; the gradient that reaches them is summed over the ranks, all in one message."""
    if world_size() == 1:
        return weights
    return dict(zip(weights, _Replicate.apply(*weights.values()), strict=True))


@torch.no_grad()
def average_(tensors: Sequence[Tensor]) -> None:
    """Average in place what every rank computed from the same numbers, so that rounding cannot part the ranks."""
    if world_size() == 1 or not tensors:
        return
    for tensor, mean in zip(tensors, _summed(tensors), strict=True):
        tensor.copy_(mean / world_size())


def sum_(tensor: Tensor) -> Tensor:
    """Sum over the ranks, in place; not differentiable."""
    with _talking():
        dist.all_reduce(tensor)
    return tensor


def gather_tensors(tensor: Tensor) -> Tensor:
    """Every rank's tensor, (world, ...); not differentiable."""
    parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(world_size())]
    with _talking():
        dist.all_gather(parts, tensor.contiguous())
    return torch.stack(parts)


def any_rank(flag: bool) -> bool:
    """Whether the flag is up on any rank; the same answer on all."""
    return largest(int(flag)) > 0


def largest(number: int) -> int:
    """The largest of the ranks' numbers."""
    if world_size() == 1:
        return number
    maximum = torch.tensor([number])
    with _talking():
        dist.all_reduce(maximum, dist.ReduceOp.MAX, group=_control[0])
    return int(maximum)


def gather_objects(value: T) -> list[T]:
    """Every rank's value (anything that can be pickled), in the order of the ranks."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    with _talking():
        dist.all_gather_object(values, value, group=_control[0])
    return values


def on_all_ranks(make: Callable[[], T]) -> T:
    """Do something on every rank that may fail there (`InputError`, `OSError`); where it does on any, all ranks stop.

    Raises:
        InputError: on rank 0, the first rank's error.
        ReportedElsewhere: on the other ranks.
    """
    if world_size() == 1:
        return make()
    result, fault = None, None
    try:
        result = make()
    except (InputError, OSError) as error:
        fault = one_line(error)
    _stop_at(gather_objects(fault))
    return result  # type: ignore[return-value]


def on_rank_zero(make: Callable[[], T]) -> T:
    """Do something on rank 0 alone, and have its result everywhere; raises as `on_all_ranks` does."""
    return gather_objects(on_all_ranks(make if rank() == 0 else lambda: None))[0]  # type: ignore[return-value]


def check_same(value: Any, what: str) -> None:
    """See that all ranks have the same value.

    Raises:
        InputError: on rank 0, naming ``what`` and two ranks that differ.
        ReportedElsewhere: on the other ranks.
    """
    values = gather_objects(value)
    other = next((k for k, v in enumerate(values) if v != values[0]), None)
    if other is not None:
        _stop_at(
            [f"{what}: expected the same on all ranks, found {values[0]} on rank 0, {values[other]} on rank {other}"]
        )


def _stop_at(faults: Sequence[str | None]) -> None:
    first = next((f for f in faults if f is not None), None)
    if first is None:
        return
    if rank() == 0:
        raise InputError(first)
    raise ReportedElsewhere(first)


def _summed(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Sums over the ranks, by one message per dtype."""
    sums: dict[int, Tensor] = {}
    for dtype in dict.fromkeys(t.dtype for t in tensors):
        chosen = [k for k, t in enumerate(tensors) if t.dtype == dtype]
        flat = sum_(torch.cat([tensors[k].reshape(-1) for k in chosen]))
        pieces = flat.split([tensors[k].numel() for k in chosen])
        sums.update({k: piece.view(tensors[k].shape) for k, piece in zip(chosen, pieces, strict=True)})
    return [sums[k] for k in range(len(tensors))]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        views, n, *rest = h.shape
        return gather_tensors(h).movedim(0, 2).reshape(views, n * world_size(), *rest)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient[:, rank() :: world_size()].contiguous()


class _Replicate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *weights: Tensor) -> tuple[Tensor, ...]:
        return tuple(w.view_as(w) for w in weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(_summed(gradients))


@contextmanager
def _talking() -> Iterator[None]:
    """Only a message to the other ranks may stand in such a block: what fails in it is the connection."""
    try:
        yield
    except RuntimeError as error:
        raise RankLost(str(error).splitlines()[0]) from error
