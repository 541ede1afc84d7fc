"""The way of the gradients of a real step."""

import pytest
import torch

from pretrain.algorithm.lower import Gradients, grad_of
from pretrain.algorithm.mixed_precision import LossScale
from pretrain.training.optimizers import build_optimizers
from tests.cases.rank_cases import model_of, share_of


@pytest.fixture
def model():
    return model_of("metamask_compmod")


def loss_of(model):
    return model.objective.lower(model._forward(0, model._normalised(share_of(0, 12)["views"])).losses)


def test_lower_parameters_are_those_of_the_backbone_and_then_the_heads(model):
    parameters, psi = model.gradients.lower_parameters(), model.objective.upper_parameters().values()
    backbone = list(model.backbone.parameters())
    assert [p is q for p, q in zip(parameters, backbone, strict=False)] == [True] * len(backbone)
    assert {id(p) for p in parameters}.isdisjoint(id(p) for p in psi)
    assert len(parameters) + len(psi) == len(list(model.parameters()))


def test_gradients_of_some_inputs_leave_the_others_without(model):
    optimizers = build_optimizers(model)
    model.gradients.add(loss_of(model), optimizers, model.lower_parameters())
    assert all(p.grad is None for p in model.objective.upper_parameters().values())
    assert all(p.grad is not None for p in model.lower_parameters())


def test_gradients_are_added_up(model):
    optimizers = build_optimizers(model)
    model.gradients.add(loss_of(model), optimizers)
    once = [p.grad.clone() for p in model.lower_parameters()]
    model.gradients.add(loss_of(model), optimizers)
    for p, g in zip(model.lower_parameters(), once, strict=True):
        assert torch.allclose(p.grad, 2 * g, rtol=1e-4, atol=1e-6 * float(g.abs().max()))


def test_an_overflow_leaves_no_gradient_at_all(model):
    optimizers, scale = build_optimizers(model), LossScale()
    gradients = Gradients(model.backbone, model.objective, scale)
    gradients.add(loss_of(model), optimizers)
    whole = {name: p.grad.clone() for name, p in model.objective.named_parameters()}
    model.backbone[0].weight.grad.view(-1)[0] = torch.inf
    assert not gradients.unscale_and_check(optimizers)
    assert not any(p.grad is not None and p.grad.any() for p in model.parameters())
    gradients.add(loss_of(model), optimizers)
    assert gradients.unscale_and_check(optimizers)
    for name, p in model.objective.named_parameters():
        assert torch.allclose(p.grad, whole[name] / 2**16, rtol=1e-3, atol=1e-7)


def test_a_parameter_without_gradient_has_a_gradient_of_zeros():
    p = torch.nn.Parameter(torch.ones(3))
    assert torch.equal(grad_of(p), torch.zeros(3))
    p.grad = torch.full((3,), 2.0)
    assert grad_of(p) is p.grad
