"""The next step of w's optimiser as the trial step that ψ is judged by (``docs/method.md``, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from pretrain.method.trial_step import TrialStep
from pretrain.settings.schema import Settings


def trial_step(
    optimizer: Optimizer, parameters: Sequence[nn.Parameter], settings: Settings, *, taken: bool = False
) -> TrialStep:
    """A step as the optimiser would take it, its preconditioner a constant: as it was at the last real step.

    With ``meta.trial_lr`` under LARS or AdamW it is plain SGD of that rate instead.

    Args:
        optimizer: of w; LARS and AdamW must have taken a step.
        parameters: w in the order of `pretrain.method.trial_step.Weights.tensors`.
        settings: of the run.
        taken: the step that was just taken (its preconditioner and rate are all that is meaningful then), not the next.
    """
    s, rate = settings.optimizer, float(optimizer.param_groups[0]["lr"])
    lr = rate if settings.meta.trial_lr is None else settings.meta.trial_lr
    if s.name == "sgd":
        buffers = [optimizer.state[p].get("momentum_buffer") for p in parameters]
        usable = all(b is not None for b in buffers)
        return TrialStep(lr, s.momentum if usable else 0.0, s.weight_decay, buffers if usable else None, s.clip)
    if settings.meta.trial_lr is not None:
        return TrialStep(lr, clip=s.clip)
    decays = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    decay, states = [decays[p] for p in parameters], [optimizer.state[p] for p in parameters]
    if s.name == "lars":  # its buffers hold the learning rate, and its decay is inside the trust ratio
        ratios = [state["trust_ratio"] for state in states]
        scaled = [ratio * d for ratio, d in zip(ratios, decay, strict=True)]
        return TrialStep(lr, s.momentum / lr, scaled, [state["momentum_buffer"] for state in states], s.clip, ratios)
    group = optimizer.param_groups[0]
    (beta1, beta2), eps = group["betas"], group["eps"]
    with torch.no_grad():
        scales = []
        for state in states:
            step = float(state["step"])
            denominator = (state["exp_avg_sq"] / (1 - beta2**step)).sqrt_().add_(eps)
            scales.append(denominator.reciprocal_().div_(1 - beta1 ** (step if taken else step + 1)))
        moments = [state["exp_avg"] * scale for state, scale in zip(states, scales, strict=True)]
        torch._foreach_mul_(scales, 1 - beta1)
    return TrialStep(lr, beta1, decay, moments, s.clip, scales)
