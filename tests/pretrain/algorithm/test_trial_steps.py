"""The trial step that stands for w's optimiser against the optimiser itself."""

from dataclasses import replace

import pytest
import torch

from pretrain.algorithm.trial_steps import trial_step
from pretrain.algorithm.upper import UpperLevel
from pretrain.method.trial_step import take
from pretrain.training.optimizers import build_optimizers
from tests.cases.pretrainings import OPTIMIZERS, run
from tests.cases.rank_cases import model_of, share_of


@pytest.mark.parametrize("optimizer", ["lars", "adamw"])
def test_other_optimisers_take_their_own_trial_rate(optimizer):
    model = run("metamask_compmod", optimizer={"name": optimizer, "lr": 0.001}, meta={"trial_lr": 0.03})
    assert model._trial_step(build_optimizers(model)).lr == 0.03


def after_one_step(name):
    """(model, w's optimiser, its parameters) in float64 after one step, with gradients for the next."""
    model = model_of("barlow_simclr", optimizer={"lr": 0.01, **OPTIMIZERS[name]}).double()
    optimizers = build_optimizers(model)
    model.train_step(share_of(0, 12), optimizers)
    parameters = model.lower_parameters()
    generator = torch.Generator().manual_seed(0)
    for p in parameters:
        p.grad = 1e-3 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model, optimizers["lower"].optimizer, parameters


def weights_of(model):
    """A copy of w as it is now."""
    return UpperLevel(model.backbone, model.objective, model.settings.meta).copied()


def test_sgds_next_step_is_foretold_exactly():
    model, optimizer, parameters = after_one_step("sgd")
    step = trial_step(optimizer, parameters, model.settings)
    reached = take(weights_of(model), [p.grad.clone() for p in parameters], step)
    optimizer.step()
    for t, p in zip(reached.tensors(), parameters, strict=True):
        assert torch.allclose(t, p, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["adamw", "lars"])
def test_a_step_that_was_taken_is_described_exactly(name):
    """With the preconditioner of after the step and the momenta of before it, the trial step ends where w does."""
    model, optimizer, parameters = after_one_step(name)
    start, gradient = weights_of(model), [p.grad.clone() for p in parameters]
    held = [optimizer.state[p].get("momentum_buffer", optimizer.state[p].get("exp_avg")).clone() for p in parameters]
    optimizer.step()
    step = trial_step(optimizer, parameters, model.settings, taken=True)
    if name == "adamw":  # in the units of the gradient that P multiplies
        held = [m * p / 0.1 for m, p in zip(held, step.preconditioner, strict=True)]
    reached = take(start, gradient, replace(step, buffers=held))
    for t, p in zip(reached.tensors(), parameters, strict=True):
        assert torch.allclose(t, p, rtol=1e-9, atol=1e-12)


def test_sgd_has_no_momentum_before_its_first_step():
    model = model_of("simclr", optimizer={"lr": 0.01})
    step = trial_step(build_optimizers(model)["lower"].optimizer, model.lower_parameters(), model.settings)
    assert (step.momentum, step.buffers, step.lr) == (0.0, None, 0.01)
