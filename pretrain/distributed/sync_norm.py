"""Batch norm whose statistics are those of all ranks' images together: what one process would see.

PyTorch's ``SyncBatchNorm`` raises on a CPU. This one works wherever the ranks can talk (gloo, NCCL), in float64 for
proofs as in bfloat16 under autocast, and through `torch.func.functional_call`, where it writes into the running
statistics that it is given. Its backward pass is exact, once: the hypergradient needs no second derivative of the
backbone (``docs/method.md``, section 4), and no forward mode but its own, which several processes refuse.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pretrain.distributed import ranks


class SyncBatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` over the batches of all ranks, which must be of one size."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, H, W) on each rank -> the same shape, normalised over all n · world images."""
        if not self.training or ranks.world_size() == 1:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        y, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            count = x.numel() // x.shape[1] * ranks.world_size()
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), self.momentum)
        return y


def synchronise(module: nn.Module) -> None:
    """Replace every `torch.nn.BatchNorm2d` inside by a synchronised one with the same weights and statistics."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            setattr(module, name, _synchronised(child))
        else:
            synchronise(child)


def _synchronised(norm: nn.BatchNorm2d) -> SyncBatchNorm2d:
    if norm.momentum is None or not (norm.affine and norm.track_running_stats):
        raise ValueError(f"synchronised norm: expected weights, running statistics and a momentum, found {norm}")
    new = SyncBatchNorm2d(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    new.weight, new.bias = norm.weight, norm.bias
    new.running_mean, new.running_var = norm.running_mean, norm.running_var
    new.num_batches_tracked = norm.num_batches_tracked
    return new.train(norm.training)


class _Normalise(torch.autograd.Function):
    """(x, weight, bias) -> (y, mean, biased variance); the statistics are those of all ranks' x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        local_variance, local_mean = torch.var_mean(x.to(weight.dtype), dim=(0, 2, 3), correction=0)
        means, variances = ranks.gather_tensors(torch.stack([local_mean, local_variance])).unbind(1)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)  # shares of one size
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """``dx = w/σ (dy - Σ dy / N - x̂ Σ dy x̂ / N)``, both sums over all ranks; those of dw and db over this one."""
        x, weight, mean, variance = ctx.saved_tensors
        # With the statistics as constants: w/σ dy, and this rank's Σ dy x̂ and Σ dy.
        dx, dw, db = torch.ops.aten.native_batch_norm_backward(
            dy, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        n = x.numel() // x.shape[1] * ranks.world_size()
        sum_dw, sum_db = ranks.sum_(torch.stack([dw, db])).unbind()
        scale = -weight * (variance + ctx.eps).rsqrt() / n
        dx += F.batch_norm(x, mean, variance, scale * sum_dw, scale * sum_db, training=False, eps=ctx.eps)
        return dx, dw, db, None
