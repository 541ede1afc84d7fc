"""The optimisers: one for w, one each for m and ξ."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from pretrain.algorithm.pretraining import Pretraining
from pretrain.settings.schema import Settings


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling for SGD with momentum (You, Gitman, Ginsburg 2017, algorithm 1).

    ``local = trust ||w|| / (||g|| + wd ||w||)``; ``buf = momentum·buf + lr·local·(g + wd·w)``; ``w -= buf``. Groups
    with ``adapt=False`` (biases and norms) take the plain SGD step, as in SimCLR, BYOL and Barlow Twins.

    Args:
        params: parameters or groups.
        lr: > 0; of the order of 0.3 * batch / 256 (SimCLR).
        momentum: in [0, 1).
        weight_decay: >= 0.
        trust: the trust coefficient; 1e-3.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "adapt": True}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; ``closure`` re-evaluates the loss and is rarely given."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                update = p.grad.add(p, alpha=group["weight_decay"])
                if group["adapt"]:
                    update.mul_(ratio := _trust_ratio(p, p.grad, group))
                else:
                    ratio = torch.ones((), dtype=p.dtype, device=p.device)
                self.state[p]["trust_ratio"] = ratio  # the preconditioner of the trial step that follows
                buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                buffer.mul_(group["momentum"]).add_(update, alpha=group["lr"])
                p.sub_(buffer)
        return loss


class Wrapper(OptimWrapper):
    """MMEngine's, whose clipping would wait for the device in each step, to note a norm that nobody reads."""

    def _clip_grad(self) -> None:
        params = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if params:
            self.clip_func(params, **self.clip_grad_kwargs)


def build_optimizers(model: Pretraining) -> OptimWrapperDict:
    """``lower`` over w; ``mask`` over m and ``fusion`` over ξ where the method has them."""
    s = model.settings
    clip = None if s.optimizer.clip is None else {"max_norm": s.optimizer.clip}
    wrappers = {"lower": Wrapper(_build(model), clip_grad=clip)}
    for name in ("mask", "fusion"):
        part = getattr(model.objective, name, None)
        if part is not None:
            wrappers[name] = OptimWrapper(_build_upper(list(part.parameters()), s, name))
    return OptimWrapperDict(**wrappers)


def _build_upper(parameters: list[nn.Parameter], settings: Settings, name: str) -> Optimizer:
    """Adam as in DARTS (Liu et al. 2019), its decay decoupled, or SGD, by default that of w as in both papers."""
    meta, lr, decay = settings.meta, settings.upper_lr(name), settings.upper_decay(name)
    if meta.optimizer == "adam":
        beta1, beta2 = meta.betas
        return AdamW(parameters, lr=lr, betas=(beta1, beta2), weight_decay=decay)
    momentum = settings.optimizer.momentum if meta.momentum is None else meta.momentum
    return SGD(parameters, lr=lr, momentum=momentum, weight_decay=decay)


def _build(model: Pretraining) -> Optimizer:
    s, parameters = model.settings.optimizer, model.lower_parameters()
    if s.name == "sgd":
        return SGD(parameters, lr=s.lr, momentum=s.momentum, weight_decay=s.weight_decay)
    groups = _without_decay(parameters)
    if s.name == "lars":
        groups[1]["adapt"] = False
        return LARS(groups, lr=s.lr, momentum=s.momentum, weight_decay=s.weight_decay)
    return AdamW(groups, lr=s.lr, weight_decay=s.weight_decay)


def _without_decay(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Weights of layers, and, without weight decay, biases and norms: everything with fewer than two dimensions."""
    return [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _trust_ratio(w: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
    norm_w, norm_g = torch.linalg.vector_norm(w), torch.linalg.vector_norm(gradient)
    ratio = group["trust"] * norm_w / (norm_g + group["weight_decay"] * norm_w)
    return torch.where((norm_w > 0) & (norm_g > 0), ratio, torch.ones_like(ratio))
