"""The training step, as MMEngine's runner calls it. Reads as the algorithm in ``docs/method.md``, section 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from pretrain.algorithm.compilation import Compiled
from pretrain.algorithm.lower import Forward, Gradients, grad_of
from pretrain.algorithm.mixed_precision import LossScale, autocast, widened
from pretrain.algorithm.target import Target, target_momentum
from pretrain.algorithm.trial_steps import trial_step
from pretrain.algorithm.upper import Batch, UpperLevel
from pretrain.algorithm.upper_step import UpperStep
from pretrain.backbones import build_backbone, feature_width
from pretrain.data.device_colour import coloured
from pretrain.distributed import ranks
from pretrain.distributed.sync_norm import synchronise
from pretrain.method import health
from pretrain.method.balance import gradient_norms
from pretrain.method.bilevel import Hypergradient, no_none
from pretrain.method.objective import XI_PARTS, Objective, per_view, pooled
from pretrain.method.tangent import Tensors, norm_of
from pretrain.method.trial_step import TrialStep
from pretrain.settings.schema import Settings

FIRST_MEASUREMENTS = 10  # of the terms' scales: one an iteration


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
        self.backbone = build_backbone(settings.backbone.arch, settings.backbone.stem, maps=method.dense > 0)
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
        self.iterations_done = 0  # the same on the host, where nothing waits for the device to read it
        self.register_load_state_dict_post_hook(_read_iteration)
        self.bilevel = method.base is not None and settings.meta.hypergradient != "single_level"
        self.upper = UpperLevel(self.backbone, self.objective, settings.meta) if self.bilevel else None
        if self.bilevel:
            variables = [name for name, there in (("mask", method.mask), ("fusion", method.comp)) if there]
            self.upper_step = UpperStep(variables, settings.meta.clip)
        self._last_upper: dict[str, Tensor] = {}
        self.loss_scale = LossScale() if settings.run.precision == "fp16" else None
        self.gradients = Gradients(self.backbone, self.objective, self.loss_scale)
        self.compiled = Compiled(self.backbone) if settings.run.compile else None

    def forward(self, views: Tensor) -> Tensor:
        """Features of both views, (2, n, 3, H, W) uint8 -> (2, N, D) float32; N counts all ranks' images.

        With a dense loss the maps that the pooled features are the means of, (2, N, D, S, S).
        """
        return self._features(self._normalised(views))

    def train_step(self, data: Mapping[str, Any], optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """One iteration: the real step of w, then (or with it) the step of ψ.

        Args:
            data: a batch of `pretrain.data.two_views.collate`; with several processes this rank's share of it.
            optim_wrapper: ``lower`` over w and, as far as they exist, ``mask`` over m and ``fusion`` over ξ.

        Returns:
            Scalars to log: every loss, both parts of each hypergradient, the health of the embeddings.
        """
        t, balance = self.iterations_done, self.objective.balance
        before = None if self.loss_scale is None else balance.copied()
        first, *others = self._inputs(data).chunk(self.settings.optimizer.accumulate, dim=1)
        forward, parts = self._forward(t, first), []
        self._measure(forward)
        for views in others:
            parts.append(self._accumulate(forward, optim_wrapper))
            forward = self._forward(t, views)
        if self.upper is None:
            log = self._step_together(forward, optim_wrapper)
        elif self.objective.method.base == "inline":
            log = self._step_inline(t, forward, optim_wrapper)
        else:
            log = self._step_post(t, forward, optim_wrapper)

        if before is not None and self.loss_scale is not None and self.loss_scale.overflowed:
            balance.restore(before)
        else:
            self._move_target(t)
        self.iteration += 1
        self.iterations_done += 1
        log.update({name: _mean([part[name] for part in (*parts, forward.losses)]) for name in forward.losses})
        if parts:
            log["loss"] = _mean([log["loss"], *(part["loss"] for part in parts)])
        shares = balance.shares(self.objective.weights)
        log.update({f"share_{name}": share for name, share in shares.items()})
        if self.loss_scale is not None:
            log.update(self.loss_scale.log())
        # At every step: the warning of a collapse reads it.
        log["feature_std"] = health.embedding_std(pooled(forward.h[0]))
        if ((t + 1) % self.settings.run.log_every == 0 or t + 1 == self.iterations) and ranks.rank() == 0:
            log = {**self._last_upper, **log}  # the meta step may come at other iterations than the log
            log.update(self._health(forward))
        return log

    def _forward(self, t: int, views: Tensor) -> Forward:
        scale = self._coding_scale(t)
        h = self._features(views)
        targets = self._target_embeddings(views)
        losses, embeddings = self.objective.losses_and_embeddings(h, targets, scale)
        fixed = self.objective.comp_input(h, embeddings) if self.objective.method.comp else None
        return Forward(h, losses, embeddings, Batch(views, targets, fixed, scale))

    def _measure(self, forward: Forward) -> None:
        """Renew the scales that the terms have in this iteration: in each of the first ones, then now and again."""
        objective, measured = self.objective, self.objective.balance.times_measured
        if measured >= FIRST_MEASUREMENTS and self.iterations_done % self.settings.objective.balance_every:
            return
        norms = gradient_norms({k: forward.losses[k] for k, w in objective.weights.items() if w}, forward.h)
        ranks.average_(list(norms.values()))
        objective.balance.update(norms)
        objective.balance.count()
        if self.upper is None and forward.batch.fixed is not None and objective.settings.balance == "gradient":
            objective.balance.update(self._fusion_norms(forward, forward.batch.fixed))

    def _fusion_norms(self, forward: Forward, fixed: Tensor) -> dict[str, Tensor]:
        """Those of ξ's two gradients where it moves with w: that of L_comp, and that of L_mcr in L_low."""
        xi, (comp, rest) = list(self.objective.fusion.parameters()), XI_PARTS
        own = torch.autograd.grad(self.objective.comp_loss(fixed, forward.batch.scale), xi)
        other = torch.autograd.grad(forward.losses["mcr"], xi, retain_graph=True)
        share = self.objective.balance.coefficients(self.objective.weights)["mcr"]
        norms = {comp: norm_of(list(own)), rest: share * norm_of(list(other))}
        ranks.average_(list(norms.values()))
        return norms

    def _accumulate(self, forward: Forward, optim: OptimWrapperDict) -> dict[str, Tensor]:
        """Add a micro-batch's share to the gradients; returns its losses.

        Each loss sees the images of its own micro-batch: negatives, correlations and Gram matrices are not those of a
        larger batch, only the gradient is averaged.
        """
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
            total = total + self.objective.comp_coefficient() * self.objective.comp_loss(batch.fixed, batch.scale)
        return total

    def _step_together(self, forward: Forward, optim: OptimWrapperDict) -> dict[str, Tensor]:
        """No upper level (or ``single_level``): one step of everything on ``L_low + λ2 L_comp``."""
        total = self._total(forward)
        self.gradients.add(self._share(total), optim)
        if self.gradients.unscale_and_check(optim):
            for name in optim.keys():  # noqa: SIM118 - a wrapper, not a mapping
                _step(optim, name)
        return {"loss": total.detach()}

    def _step_post(self, t: int, forward: Forward, optim: OptimWrapperDict) -> dict[str, Tensor]:
        """MetaMask and the joint method: the real step, then a trial step from the new weights on the same batch."""
        lower = self.objective.lower(forward.losses)
        self.gradients.add(self._share(lower), optim, self.lower_parameters())
        log = {"loss": lower.detach()}
        if not self.gradients.unscale_and_check(optim):
            return log
        _step(optim, "lower")
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
        if not self.gradients.unscale_and_check(optim):
            return {"loss": lower.detach()}
        if not due:
            _step(optim, "lower")
            return {"loss": lower.detach()}
        start, kept = self.upper.copied(), None
        if self._real_step_is_trial_step():
            if self.settings.optimizer.clip is not None:
                kept = [grad_of(p).clone() for p in w]
            _step(optim, "lower")
            step, ahead = self._trial_step(optim, taken=True), self.upper.weights()
        else:
            if exact and gradient is None:
                gradient = [grad_of(p).clone() for p in w]
            step = self._trial_step(optim)
            at_hand, ahead, kept = self.upper.trial_step(forward.batch, at_hand, gradient, step)
            _step(optim, "lower")
        found = self.upper.inline(forward.batch, at_hand, start, ahead, step, kept)
        return {"loss": lower.detach(), **self._move_upper(found, optim)}

    def _real_step_is_trial_step(self) -> bool:
        """Whether the real step ends exactly where the trial step of `_trial_step` would."""
        s = self.settings
        return s.meta.trial == "lower" and s.meta.trial_lr is None

    def _exact_features(self, h: Tensor) -> Tensor | None:
        """The real step's features where the upper level's own would be the same to the bit.

        Their difference to the features a small step away is what is looked for: neither 16-bit ones nor those of a
        compiled graph, which rounds in another order, can be its start.
        """
        run = self.settings.run
        return h.detach() if run.precision == "fp32" and not run.compile else None

    def _move_upper(self, found: Hypergradient, optim: OptimWrapperDict) -> dict[str, Tensor]:
        self._last_upper = self.upper_step(self.objective, found, optim)
        return dict(self._last_upper)

    def _trial_step(self, optim: OptimWrapperDict, *, taken: bool = False) -> TrialStep:
        return trial_step(optim["lower"].optimizer, self.lower_parameters(), self.settings, taken=taken)

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

    @torch.no_grad()
    def held_out_losses(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Each term's loss of a batch that is not trained on, unweighted, at the end of the schedules.

        Batch norms take the batch's own statistics, as in training; nothing of the model stays moved. For a training of
        one process.

        Args:
            data: a batch of `pretrain.data.two_views.collate`.
        """
        kept, modes = [b.clone() for b in self.buffers()], [(m, m.training) for m in self.modules()]
        try:
            views = self.train()._inputs(data)
            h, targets = per_view(self.backbone, views).float(), self._target_embeddings(views)
            losses, _ = self.objective.losses_and_embeddings(h, targets)
        finally:
            for buffer, before in zip(self.buffers(), kept, strict=True):
                buffer.copy_(before)
            for module, training in modes:
                module.training = training
        return {name: float(loss) for name, loss in losses.items()}

    def lower_parameters(self) -> list[nn.Parameter]:
        """w in the order of `Weights.tensors`."""
        return self.gradients.lower_parameters()

    @torch.no_grad()
    def _health(self, forward: Forward) -> Tensors:
        """What shows collapse, redundancy and a saturating mask (``docs/method.md``, section 5)."""
        embeddings, scale = forward.embeddings, forward.batch.scale
        z = embeddings[self.objective.meta_head]
        log = health.feature_summary(pooled(forward.h.detach()), z)
        if self.objective.method.comp:
            distortion = self.settings.objective.coding_distortion
            log.update(health.coding_summary(embeddings["mcr"], z, distortion, scale))
        if self.objective.method.mask and self.settings.objective.mask == "sigmoid":
            log.update(health.mask_summary(self.objective.mask.weights()))
        return log


def _read_iteration(model: Pretraining, keys: object) -> None:
    model.iterations_done = int(model.iteration)


def _mean(values: list[Tensor]) -> Tensor:
    return values[0].detach() if len(values) == 1 else torch.stack([v.detach() for v in values]).mean()


def _step(optim: OptimWrapperDict, name: str) -> None:
    optim[name].step()
    optim[name].zero_grad()
