"""dU/dψ inside a training step against double backward through the whole unrolled one, wherever it starts from."""

from dataclasses import replace

import pytest
import torch

from pretrain.algorithm.upper import Batch, UpperLevel
from pretrain.method.bilevel import trial_gradient
from pretrain.method.trial_step import TrialStep, take
from pretrain.settings.sections import MetaSettings
from tests.cases.bilevel_cases import as_problem, relative_error, unrolled
from tests.cases.pretrainings import OPTIMIZERS, assert_equal_parts, in_float64, watch_gradients
from tests.cases.rank_cases import model_of, share_of


@pytest.mark.parametrize(
    ("optimizer", "trial", "small"),
    [(name, trial, True) for name in OPTIMIZERS for trial in ("lower", "meta")] + [("adamw", "lower", False)],
)
def test_post_moves_by_the_unrolled_gradient(optimizer, trial, small):
    """What ψ's optimisers get, L_comp on its own scale included, against double backward through the trial step.

    Once on the real network.
    """
    model, optimizers, data = in_float64(OPTIMIZERS[optimizer], small, trial=trial)
    model.meta_start, found = 1, watch_gradients(model, optimizers)
    model.train_step(data[0], optimizers)
    psi = {k: t.clone() for k, t in model.upper.variables().items()}
    after = {}
    original = model.upper.post
    model.upper.post = lambda given, step: after.update(batch=given, step=step) or original(given, step)
    model.train_step(data[1], optimizers)
    views, step, kind = after["batch"].views, after["step"], "trial" if trial == "meta" else "lower"
    problem = as_problem(model.backbone, model.objective, views, None, kind, after["batch"].scale, after["batch"].fixed)
    _, expected = unrolled(problem, model.upper.weights(), psi, step)
    assert step.buffers is not None
    assert (step.preconditioner is None) is (optimizer.startswith("sgd"))
    assert_equal_parts(found, expected)


@pytest.mark.parametrize(
    ("optimizer", "trial"), [(name, "lower") for name in OPTIMIZERS] + [("sgd", "meta"), ("sgd clipped", "meta")]
)
def test_inline_is_the_unrolled_gradient_through_the_real_step(optimizer, trial):
    model, optimizers, data = in_float64(OPTIMIZERS[optimizer], base="inline", trial=trial)
    model.train_step(data[0], optimizers)
    held = optimizers["lower"].optimizer.state
    w, psi = model.upper.copied(), {k: t.clone() for k, t in model.upper.variables().items()}
    momenta = [held[p].get("momentum_buffer", held[p].get("exp_avg")).clone() for p in model.lower_parameters()]
    found, ahead = watch_gradients(model, optimizers), {}
    original = model.upper.inline

    def inline(given, h, start, reached, step, gradient):
        copied = {k: t.clone() for k, t in reached.backbone.items()}
        ahead.update(fixed=given.fixed, step=step, backbone=copied)
        return original(given, h, start, reached, step, gradient)

    model.upper.inline = inline
    model.train_step(data[1], optimizers)
    step = ahead["step"]
    if "adamw" in optimizer:  # what it adds to is of before the step, what it divides by of after it
        momenta = [m * p / 0.1 for m, p in zip(momenta, step.preconditioner, strict=True)]
    kind = "trial" if trial == "meta" else "lower"
    step = replace(step, buffers=momenta)
    views = model._normalised(data[1]["views"])
    problem = as_problem(model.backbone, model.objective, views, None, kind, model._coding_scale(1), ahead["fixed"])
    reached = take(w, trial_gradient(problem, w, psi).gradient, step)
    assert relative_error(reached.backbone, ahead["backbone"]) < 1e-12
    _, expected = unrolled(problem, w, psi, step)
    assert_equal_parts(found, expected)


@pytest.fixture
def model():
    return model_of("metamask_compmod")


def test_weights_and_variables_are_w_and_psi_themselves_outside_any_graph(model):
    upper = UpperLevel(model.backbone, model.objective, MetaSettings())
    tensors, psi = upper.weights().tensors(), upper.variables()
    assert [t.data_ptr() for t in tensors] == [p.data_ptr() for p in model.lower_parameters()]
    assert not any(t.requires_grad for t in [*tensors, *psi.values()])
    assert len(tensors) + len(psi) == len(list(model.backbone.parameters())) + len(list(model.objective.parameters()))
    start = upper.copied()
    with torch.no_grad():
        for p in model.lower_parameters():
            p.add_(1)
    assert all(torch.equal(a + 1, b) for a, b in zip(start.tensors(), upper.weights().tensors(), strict=True))


@pytest.mark.parametrize(("precision", "widened"), [("fp32", False), ("bf16", True)])
def test_features_leave_running_statistics_alone_and_come_in_float32(model, precision, widened):
    upper = UpperLevel(model.backbone, model.objective, MetaSettings(precision=precision))
    views, before = model._normalised(share_of(0, 32)["views"]), {k: b.clone() for k, b in model.named_buffers()}
    problem = upper.problem(Batch(views, None, None))
    h = problem.features(upper.weights().backbone)
    assert h.dtype == torch.float32
    assert (problem.exact is not None) is widened
    assert torch.equal(h, problem.exact_features(upper.weights().backbone)) is not widened
    assert all(torch.equal(before[k], b) for k, b in model.named_buffers())


def test_a_trial_step_takes_the_features_and_the_gradient_that_are_at_hand(model):
    """Computed or given, w⁺ is the same; what is given is not computed again."""
    model = model.double()
    upper, step = UpperLevel(model.backbone, model.objective, MetaSettings()), TrialStep(lr=0.1, clip=0.5)
    views = model._normalised(share_of(0, 12)["views"])
    with torch.no_grad():
        fixed = model.objective.comp_input(model._features(views), {})
    given = Batch(views, None, fixed)
    h, reached, gradient = upper.trial_step(given, None, None, step)
    trial = trial_gradient(upper.problem(given), upper.weights(), upper.variables())
    assert torch.equal(h, trial.h)
    assert all(torch.equal(a, b) for a, b in zip(gradient, trial.gradient, strict=True))
    at_hand, again, _ = upper.trial_step(given, h, [g.clone() for g in gradient], step)
    assert at_hand is h
    assert all(torch.equal(a, b) for a, b in zip(reached.tensors(), again.tensors(), strict=True))
