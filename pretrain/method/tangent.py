"""ḣ, the directional derivative of the features: exact or a difference quotient (``docs/method.md``, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor

Tensors = dict[str, Tensor]
Features = Callable[[Tensors], Tensor]  # backbone weights -> features

# Length of the feature difference's step relative to ||w||. Too long meets the curvature and the ReLU kinks, too short
# the rounding of float32 features; tests/pretrain/method/test_bilevel_float32.py prints the error over a range of
# lengths.
RELATIVE_STEP = 1e-5


@torch.no_grad()
def feature_tangent(
    features: Features, backbone: Tensors, direction: Tensors, h: Tensor | None, relative_step: float = RELATIVE_STEP
) -> Tensor:
    """ḣ, the derivative of the features along ``direction``: a difference quotient from h, or exact where h is None.

    In float32 on a ResNet-18 the mixed derivative behind it is right to 1e-2 (cosine 0.9999) on weights that have seen
    some training. On fresh ones it is right to about 0.1 (cosine 0.995), with 8 images as with 32, and no other length
    of the step does much better: what a shorter one loses to rounding, a longer one loses to ReLUs that pass a kink.
    Where 0.1 is too much, forward mode is exact.

    The step is ``relative_step * ||w||`` long: what counts for the rounding error is how far the weights move beside
    their own size, and v's size differs by orders of magnitude over a run.
    """
    if h is None:
        return _exact_tangent(features, backbone, direction)
    s = step_length(backbone.values(), direction.values(), relative_step)
    moved = features({name: torch.addcmul(w, direction[name], s.to(w.dtype)) for name, w in backbone.items()})
    s = torch.where(s > 0, s, torch.inf)  # v vanishes: no difference, and no derivative
    return moved.sub_(h).div_(s) if moved.dtype == h.dtype else (moved - h) / s


def step_length(weights: Iterable[Tensor], direction: Iterable[Tensor], relative: float) -> Tensor:
    """s with ``||s v|| = relative ||w||``, a scalar where the weights are; 0 where v vanishes."""
    w, v = norm_of(list(weights)), norm_of(list(direction))
    return torch.where(v > 0, relative * w / v, 0.0)


def _exact_tangent(features: Features, backbone: Tensors, direction: Tensors) -> Tensor:
    with forward_ad.dual_level():
        dual = {name: forward_ad.make_dual(w.detach(), direction[name]) for name, w in backbone.items()}
        tangent = forward_ad.unpack_dual(features(dual)).tangent
        if tangent is None:
            raise ValueError("forward mode: the features do not depend on the backbone's weights")
        return tangent.clone()


def norm_of(tensors: list[Tensor]) -> Tensor:
    """Euclidean norm of all tensors together."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors)))
