"""Gradient accumulation and memory formats: the same step by another road, or another step that says so."""

import pytest
import torch

from pretrain.errors import InputError
from pretrain.settings.schema import load_settings
from pretrain.training.optimizers import build_optimizers
from tests.pretrain.training.test_optimizers import build


def batch(n=8):
    views = torch.randint(0, 255, (2, n, 32, 32, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return {"views": views.permute(0, 1, 4, 2, 3)}


def made(**config):
    torch.manual_seed(0)
    model = build(data={"batch": 8}, **config).double().train()
    return model, build_optimizers(model)


def gradients(model, views):
    """∇_w L_low of some images by plain backward passes; the scales are measured on the first of them."""
    forward = model._forward(0, model._normalised(views))
    if not model.objective.balance.measured:
        model._measure(forward)
    lower = model.objective.lower(forward.losses)
    return torch.autograd.grad(lower, model.lower_parameters()), lower.detach()


@pytest.mark.parametrize("method", ["simclr", "barlow_simclr", "metamask"])
def test_the_step_is_along_the_mean_gradient_of_the_micro_batches(method):
    data = batch()
    sgd = {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}
    model, optimizers = made(method=method, optimizer={**sgd, "accumulate": 2})
    reference, _ = made(method=method, optimizer=sgd)
    before = [p.detach().clone() for p in model.lower_parameters()]
    parts = [gradients(reference, data["views"][:, k : k + 4]) for k in (0, 4)]
    log = model.train_step(data, optimizers)
    for p, start, *grads in zip(model.lower_parameters(), before, *(g for g, _ in parts), strict=True):
        assert torch.allclose(p, start - 0.1 * sum(grads) / 2, rtol=1e-6, atol=1e-9)
    assert torch.allclose(log["loss"], torch.stack([loss for _, loss in parts]).mean())
    whole, _ = gradients(made(method=method)[0], data["views"])
    assert not torch.allclose(whole[0], sum(g[0] for g, _ in parts) / 2, rtol=1e-2)  # not a larger batch
    assert ("mask_direct" in log) == (method == "metamask")


def test_single_level_moves_the_upper_variables_with_the_rest():
    config = {"method": "metamask_compmod", "meta": {"hypergradient": "single_level"}, "optimizer": {"accumulate": 2}}
    model, optimizers = made(**config)
    before = {k: p.detach().clone() for k, p in model.objective.upper_parameters().items()}
    model.train_step(batch(), optimizers)
    assert all(not torch.equal(p, before[k]) for k, p in model.objective.upper_parameters().items())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"optimizer": {"accumulate": 4}, "data": {"batch": 6}}, "expected a divisor of data.batch = 6"),
        ({"optimizer": {"accumulate": 6}, "data": {"batch": 6}}, "at least 2 images, found 6"),
        ({"optimizer": {"accumulate": 0}}, "whole number from 1 to"),
        ({"method": "simclr_compmod", "optimizer": {"accumulate": 2}}, "expected 1 with base=inline"),
    ],
)
def test_what_cannot_be_accumulated_is_one_line(config, message):
    with pytest.raises(InputError, match=message):
        load_settings({"method": "simclr", **config})


@pytest.mark.parametrize("meta", [{}, {"base": "inline"}, {"hypergradient": "forward_mode"}])
def test_channels_last_is_the_same_training(meta):
    logs = []
    for channels_last in (False, True):
        model, optimizers = made(method="metamask_compmod", meta=meta, run={"channels_last": channels_last})
        logs.append([model.train_step(batch(), optimizers) for _ in range(2)])
        assert model.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last) == channels_last
    for plain, last in zip(*logs, strict=True):
        for name in plain:
            assert torch.allclose(plain[name].double(), last[name].double(), rtol=1e-5, atol=1e-9), name
