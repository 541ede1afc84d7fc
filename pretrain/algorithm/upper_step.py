"""The step of ψ along a hypergradient: L_comp on its scale, clipping by running norms, the optimisers of m and ξ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from pretrain.distributed import ranks
from pretrain.method.balance import RunningMean
from pretrain.method.bilevel import Hypergradient
from pretrain.method.objective import XI_PARTS, Objective
from pretrain.method.tangent import norm_of


class UpperStep(nn.Module):
    """Moves ψ; its state are the running means of the norms that it clips by.

    Args:
        variables: those that there are, ``mask`` and ``fusion``.
        clip: largest ‖dU/dψ‖ of each upper variable, in units of the running mean of its own; None for no clipping.
    """

    def __init__(self, variables: Sequence[str], clip: float | None) -> None:
        super().__init__()
        self.variables, self.clip = variables, clip
        self.norms = nn.ModuleDict({} if clip is None else {name: RunningMean() for name in variables})

    def forward(self, objective: Objective, found: Hypergradient, optim: OptimWrapperDict) -> dict[str, Tensor]:
        """``ψ <- OPT(ψ, dU/dψ)``; returns U and the norms of both parts of each hypergradient."""
        ranks.average_([*found.direct.values(), *found.second_order.values()])
        if objective.settings.balance == "gradient" and objective.method.comp:
            found = _rebalanced(objective, found)
        log = {"upper_loss": found.upper_loss}
        total, parameters = found.total(), objective.upper_parameters()
        for name in self.variables:
            keys = [k for k in total if k.startswith(f"{name}.")]
            log[f"{name}_direct"] = norm_of([found.direct[k] for k in keys])
            log[f"{name}_second_order"] = norm_of([found.second_order[k] for k in keys])
            factor = self._clip_factor(name, norm_of([total[k] for k in keys]))
            for k in keys:
                parameters[k].grad = total[k] * factor
            optim[name].step()
            optim[name].zero_grad()
        return log

    @torch.no_grad()
    def _clip_factor(self, name: str, norm: Tensor) -> Tensor | float:
        """What brings the norm down to ``clip`` times its running mean, which takes it in as it is after that."""
        if self.clip is None:
            return 1.0
        mean = self.norms[name]
        assert isinstance(mean, RunningMean)
        limit = torch.where(mean.weight > 0, self.clip * mean.value(), torch.inf)
        factor = (limit / norm.clamp_min(torch.finfo(norm.dtype).tiny)).clamp_max(1.0)
        mean.update(norm * factor)
        return factor


def _rebalanced(objective: Objective, found: Hypergradient) -> Hypergradient:
    """The hypergradient with κ of `Objective.comp_coefficient` renewed by its own two parts.

    L_comp reads features that are constants, so its gradient by ξ is all of U's direct one, and another κ scales that.
    """
    if objective.settings.compactness == 0:
        return found
    before, (comp, rest) = objective.comp_coefficient(), XI_PARTS
    keys = [k for k in found.direct if k.startswith("fusion.")]
    own, other = (norm_of([part[k] for k in keys]) for part in (found.direct, found.second_order))
    objective.balance.update({comp: own / before, rest: other})
    factor = objective.comp_coefficient() / before
    return replace(found, direct={k: t * factor if k in keys else t for k, t in found.direct.items()})
