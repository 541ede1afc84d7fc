"""The training step, as MMEngine's runner calls it. Reads as the algorithm in ``docs/method.md``, section 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from pretrain.algorithm.compilation import Compiled
from pretrain.algorithm.lower import Forward, Gradients, RealStep, grad_of
from pretrain.algorithm.mixed_precision import LossScale, autocast, widened
from pretrain.algorithm.target import Target, target_momentum
from pretrain.algorithm.upper import Batch, UpperLevel
from pretrain.backbones import build_backbone, feature_width
from pretrain.data.device_colour import coloured
from pretrain.distributed import ranks
from pretrain.distributed.sync_norm import synchronise
from pretrain.method import health
from pretrain.method.bilevel import Hypergradient, TrialStep, no_none
from pretrain.method.objective import Objective, per_view
from pretrain.method.tangent import Tensors
from pretrain.settings.schema import Settings


class Pretraining(BaseModel):
    """Backbone, heads and upper variables, and one step of all of them.

    Args:
        settings: the run's settings.
        iterations: length of the whole training, for the schedules of BYOL's target and of the coding series.
        meta_start: first iteration with a meta step.

    Attributes:
        loss_scale: of float16's gradients; None in other precisions.
    """

    def __init__(self, *, settings: Settings, iterations: int, meta_start: int = 0) -> None:
        super().__init__()
        self.settings, self.iterations, self.meta_start = settings, iterations, meta_start
        method = settings.resolved_method()
        self.backbone = build_backbone(settings.backbone.arch, settings.backbone.stem)
        if settings.run.channels_last:
            self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs
        if ranks.world_size() > 1:
            synchronise(self.backbone)
        self.objective = Objective(
            method=method, width=feature_width(settings.backbone.arch), settings=settings.objective
        )
        if method.bootstrap:
            self.target = Target(self.backbone, self.objective.projector)
        self.register_buffer("mean", torch.tensor(settings.data.mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(settings.data.std).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("iteration", torch.zeros((), dtype=torch.long))
        self.bilevel = method.base is not None and settings.meta.hypergradient != "single_level"
        self.upper = UpperLevel(self.backbone, self.objective, settings.meta) if self.bilevel else None
        self.loss_scale = LossScale() if settings.run.precision == "fp16" else None
        self.gradients = Gradients(self.backbone, self.objective, self.loss_scale)
        self.real_step = RealStep(self.objective, self.gradients, settings.meta.upper)
        self.compiled = Compiled(self.backbone) if settings.run.compile else None

    def forward(self, views: Tensor) -> Tensor:
        """Pooled features of both views, (2, n, 3, H, W) uint8 -> (2, N, D) float32; N counts all ranks' images."""
        return self._features(self._normalised(views))

    def train_step(self, data: Mapping[str, Any], optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """One iteration: the real step of w, then (or with it) the step of ψ.

        Args:
            data: a batch of `pretrain.data.two_views.collate`; with several processes this rank's share of it.
            optim_wrapper: ``lower`` over w and, as far as they exist, ``mask`` over m and ``fusion`` over ξ.

        Returns:
            Scalars to log: every loss, both parts of each hypergradient, the health of the embeddings.
        """
        t = int(self.iteration)
        *earlier, views = self._inputs(data).chunk(self.settings.optimizer.accumulate, dim=1)
        parts = [self._accumulate(t, part, optim_wrapper) for part in earlier]
        forward = self._forward(t, views)
        if self.upper is None:
            log = self._step_together(forward, optim_wrapper)
        elif self.settings.meta.look_ahead:
            log = self._step_look_ahead(t, forward, optim_wrapper)
        elif self.objective.method.base == "inline":
            log = self._step_inline(t, forward, optim_wrapper)
        else:
            log = self._step_post(t, forward, optim_wrapper)

        if self.loss_scale is None or not self.loss_scale.overflowed:
            self._move_target(t)
        self.iteration += 1
        log.update({name: _mean([part[name] for part in (*parts, forward.losses)]) for name in forward.losses})
        if parts:
            log["loss"] = _mean([log["loss"], *(part["loss"] for part in parts)])
        if self.loss_scale is not None:
            log.update(self.loss_scale.log())
        log["feature_std"] = health.embedding_std(forward.h[0])  # at every step: the warning of a collapse reads it
        if ((t + 1) % self.settings.run.log_every == 0 or t + 1 == self.iterations) and ranks.rank() == 0:
            log.update(self._health(forward))
        return log

    def _forward(self, t: int, views: Tensor) -> Forward:
        scale = self._coding_scale(t)
        h = self._features(views)
        targets = self._target_embeddings(views)
        leaves = self.upper.leaves(h) if self.upper is not None and self._graph_is_shared(t) else None
        losses, embeddings = self.real_step.losses(h, targets, scale, leaves)
        fixed = self.objective.comp_input(h) if self.objective.method.comp else None
        return Forward(h, losses, embeddings, Batch(views, targets, fixed, scale), leaves)

    def _graph_is_shared(self, t: int) -> bool:
        """Whether one pass over the heads serves both levels: at look-ahead; at inline it gained nothing."""
        meta = self.settings.meta
        return (
            meta.look_ahead
            and self._due(t)
            and meta.hypergradient in ("feature_difference", "forward_mode")
            and self.settings.run.precision == "fp32"  # the upper level's features are float32 ones
        )

    def _accumulate(self, t: int, views: Tensor, optim: OptimWrapperDict) -> dict[str, Tensor]:
        """Add a micro-batch's share to the gradients; returns its losses.

        Each loss sees the images of its own micro-batch: negatives, correlations and Gram matrices are not those of a
        larger batch, only the gradient is averaged.
        """
        forward = self._forward(t, views)
        total = self._total(forward)
        self.gradients.add(self._share(total), optim, None if self.upper is None else self.lower_parameters())
        return {"loss": total.detach(), **{name: loss.detach() for name, loss in forward.losses.items()}}

    def _share(self, loss: Tensor) -> Tensor:
        k = self.settings.optimizer.accumulate
        return loss if k == 1 else loss / k

    def _total(self, forward: Forward) -> Tensor:
        """What the real step descends: L_low, and with ``single_level`` L_comp too."""
        total, batch = self.objective.lower(forward.losses), forward.batch
        if self.upper is None and batch.fixed is not None:
            total = total + self.settings.objective.comp_weight * self.objective.comp_loss(batch.fixed, batch.scale)
        return total

    def _step_together(self, forward: Forward, optim: OptimWrapperDict) -> dict[str, Tensor]:
        """No upper level (or ``single_level``): one step of everything on ``L_low + λ2 L_comp``."""
        total = self._total(forward)
        self.gradients.add(self._share(total), optim)
        if self.gradients.settled(optim):
            for name in optim.keys():  # noqa: SIM118 - a wrapper, not a mapping
                _move(optim, name)
        return {"loss": total.detach()}

    def _step_post(self, t: int, forward: Forward, optim: OptimWrapperDict) -> dict[str, Tensor]:
        """MetaMask and the joint method: the real step, then a trial step from the new weights on the same batch."""
        lower = self.objective.lower(forward.losses)
        self.gradients.add(self._share(lower), optim, self.lower_parameters())
        log = {"loss": lower.detach()}
        if not self.gradients.settled(optim):
            return log
        _move(optim, "lower")
        if self._due(t):
            assert self.upper is not None
            log.update(self._move_upper(self.upper.post(forward.batch, self._trial_step(optim)), optim))
        return log

    def _step_inline(self, t: int, forward: Forward, optim: OptimWrapperDict) -> dict[str, Tensor]:
        """CompMod: the real step is the trial step; its forward pass serves both levels."""
        assert self.upper is not None
        lower, w, due = self.objective.lower(forward.losses), self.lower_parameters(), self._due(t)
        at_hand, gradient, exact = self._exact_features(forward.h), None, self.settings.run.precision == "fp32"
        if due and exact and self.settings.meta.trial == "meta":
            trial = self.objective.trial(forward.losses)
            gradient = no_none(torch.autograd.grad(trial, w, retain_graph=True, allow_unused=True), w)
        self.gradients.add(lower, optim, w)
        if not self.gradients.settled(optim):
            return {"loss": lower.detach()}
        if not due:
            _move(optim, "lower")
            return {"loss": lower.detach()}
        step, start = self._trial_step(optim), self.upper.copied()
        ahead = self.upper.weights()  # the weights themselves: after `_move` they are w⁺ where that is the same step
        if self._real_step_is_trial_step():
            kept = None if step.clip is None else [grad_of(p).clone() for p in w]
        else:
            if exact and gradient is None:
                gradient = [grad_of(p).clone() for p in w]
            at_hand, ahead, kept = self.upper.trial_step(forward.batch, at_hand, gradient, step)
        _move(optim, "lower")
        found = self.upper.inline(forward.batch, at_hand, start, ahead, step, kept)
        return {"loss": lower.detach(), **self._move_upper(found, optim)}

    def _real_step_is_trial_step(self) -> bool:
        """Whether the real step ends exactly where the trial step of `_trial_step` would."""
        s = self.settings
        return s.meta.trial == "lower" and s.optimizer.name == "sgd" and s.meta.trial_lr is None

    def _exact_features(self, h: Tensor) -> Tensor | None:
        """The real step's features where the upper level's own would be the same to the bit.

        Their difference to the features a small step away is what is looked for: neither 16-bit ones nor those of a
        compiled graph, which rounds in another order, can be its start.
        """
        run = self.settings.run
        return h.detach() if run.precision == "fp32" and not run.compile else None

    def _step_look_ahead(self, t: int, forward: Forward, optim: OptimWrapperDict) -> dict[str, Tensor]:
        """The last real step was ψ's trial step; this batch judges it."""
        assert self.upper is not None
        lower, found = self.objective.lower(forward.losses), None
        waits = self.upper.pending is not None
        comp, comp_direct = self.real_step.comp_gradient(forward) if waits else (0.0, {})
        v, direct, judged, slopes = self.real_step.judge(lower, forward, optim, waits=waits)
        if not self.gradients.settled(optim, v if self.settings.meta.upper == "meta" else None):
            self.upper.pending = None  # a resumed run could not find that batch again
            return {"loss": lower.detach()}
        if waits:
            direct = {k: g + comp_direct[k] if k in comp_direct else g for k, g in direct.items()}
            found = self.upper.look_back(self.upper.weights().like(v), direct, judged + comp)
        if self._due(t):
            gradient = [grad_of(p) for p in self.lower_parameters()]
            h, step = self._exact_features(forward.h), self._trial_step(optim)
            self.upper.remember(forward.batch, h, step, gradient, forward.leaves, slopes)
        _move(optim, "lower")
        return {"loss": lower.detach(), **({} if found is None else self._move_upper(found, optim))}

    def _move_upper(self, found: Hypergradient, optim: OptimWrapperDict) -> dict[str, Tensor]:
        """``ψ <- ψ - β dU/dψ``, each upper variable clipped by its own norm."""
        log = {"upper_loss": found.upper_loss}
        total, parameters = found.total(), self.objective.upper_parameters()
        ranks.average_(list(total.values()))
        for name in ("mask", "fusion"):
            keys = [k for k in total if k.startswith(f"{name}.")]
            if not keys:
                continue
            log[f"{name}_direct"] = _norm([found.direct[k] for k in keys])
            log[f"{name}_second_order"] = _norm([found.second_order[k] for k in keys])
            norm = _norm([total[k] for k in keys])
            clip = self.settings.meta.clip
            factor = 1.0 if clip is None else (clip / norm.clamp_min(1e-12)).clamp_max(1.0)
            for k in keys:
                parameters[k].grad = total[k] * factor
            _move(optim, name)
        return log

    def _trial_step(self, optim: OptimWrapperDict) -> TrialStep:
        """The trial step with the current learning rate and, for SGD, the optimiser's momentum buffers."""
        optimizer, s = optim["lower"].optimizer, self.settings
        buffers = [optimizer.state[p].get("momentum_buffer") for p in self.lower_parameters()]
        usable = s.optimizer.name == "sgd" and all(b is not None for b in buffers)
        return TrialStep(
            lr=s.trial_lr(float(optimizer.param_groups[0]["lr"])),
            momentum=s.optimizer.momentum if usable else 0.0,
            weight_decay=s.optimizer.weight_decay if s.optimizer.name == "sgd" else 0.0,
            buffers=buffers if usable else None,
            clip=s.optimizer.clip,
        )

    def _due(self, t: int) -> bool:
        return t >= self.meta_start and (t - self.meta_start) % self.settings.meta.every == 0

    def _inputs(self, data: Mapping[str, Any]) -> Tensor:
        """A batch's views on the model's device, normalised, after the colour work that the loader left to it."""
        views = data["views"].to(self.mean.device, non_blocking=True)
        return self._normalised(coloured(views, data["colour"]) if "colour" in data else views)

    def _normalised(self, views: Tensor) -> Tensor:
        return (views.to(self.mean.device, non_blocking=True).to(self.mean.dtype) - self.mean) / self.std

    def _features(self, views: Tensor) -> Tensor:
        net = self.compiled or ranks.replicated(self.backbone)
        with autocast(views.device, self.settings.run.precision):
            h = per_view(net, views)
        return ranks.gather(widened(h))

    def _target_embeddings(self, views: Tensor) -> Tensor | None:
        return self.target(views, self.objective.masked) if self.objective.method.bootstrap else None

    def _move_target(self, t: int) -> None:
        """BYOL's exponential moving average, once after the real step."""
        if self.objective.method.bootstrap:
            momentum = target_momentum(self.settings.run.target_momentum, t, self.iterations)
            self.target.follow(self.backbone, self.objective.projector, momentum)

    def _coding_scale(self, t: int) -> float:
        m = self.settings.meta
        progress = min(1.0, t / max(1.0, m.warmup_share * self.iterations))
        return m.warmup_scale ** (1 - progress)

    def look_ahead_state(self) -> dict[str, Any] | None:
        """Look-ahead's memory as plain containers of tensors, for a checkpoint."""
        return None if self.upper is None else self.upper.state()

    def load_look_ahead_state(self, state: dict[str, Any] | None) -> None:
        """The inverse of `look_ahead_state`, all but the images: they come by `recall`."""
        if self.upper is not None:
            self.upper.load_state(state)

    @property
    def forgot_images(self) -> bool:
        """Whether the next step needs the batch before it again: a checkpoint keeps no images."""
        return self.upper is not None and self.upper.forgot_images

    def recall(self, data: Mapping[str, Any]) -> None:
        """Take back the batch of the step before."""
        assert self.upper is not None
        self.upper.recall(self._inputs(data))

    def lower_parameters(self) -> list[nn.Parameter]:
        """w in the order of `Weights.tensors`."""
        return self.gradients.lower_parameters()

    @torch.no_grad()
    def _health(self, forward: Forward) -> Tensors:
        """What shows collapse, redundancy and a saturating mask (``docs/method.md``, section 5)."""
        embeddings, scale = forward.embeddings, forward.batch.scale
        z = embeddings[self.objective.meta_loss]
        log = health.feature_summary(forward.h.detach(), z)
        if self.objective.method.comp:
            distortion = self.settings.objective.coding_distortion
            log.update(health.coding_summary(embeddings["mcr"], z, distortion, scale))
        if self.objective.method.mask and self.settings.objective.mask == "sigmoid":
            log.update(health.mask_summary(self.objective.mask.weights()))
        return log


def _mean(values: list[Tensor]) -> Tensor:
    return values[0].detach() if len(values) == 1 else torch.stack([v.detach() for v in values]).mean()


def _move(optim: OptimWrapperDict, name: str) -> None:
    optim[name].step()
    optim[name].zero_grad()


def _norm(tensors: list[Tensor]) -> Tensor:
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(t) for t in tensors]))
