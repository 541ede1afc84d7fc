"""BYOL's target: what moves it, by how much, and what it may not do."""

import pytest
import torch
from torch import nn

from pretrain.algorithm.target import Target, target_momentum
from tests.cases.pretrainings import batch, start


def test_byols_target_follows_by_its_momentum():
    model, optimizers = start("byol", run={"target_momentum": 0.9})
    old = {k: p.clone() for k, p in model.target.named_parameters()}
    model.train_step(batch(0), optimizers)
    for k, p in model.target.named_parameters():
        online = (
            dict(model.backbone.named_parameters())
            if k.startswith("net.")
            else dict(model.objective.projector.named_parameters())
        )
        expected = 0.9 * old[k] + 0.1 * online[k.split(".", 1)[1]]
        assert torch.allclose(p, expected, atol=1e-6)


def test_the_momentum_rises_from_its_start_to_one_by_a_cosine():
    """Grill et al. 2020, eq. 3: halfway it has risen half of the way."""
    assert target_momentum(0.99, 0, 100) == pytest.approx(0.99)
    assert target_momentum(0.99, 50, 100) == pytest.approx(0.995)
    assert target_momentum(0.99, 100, 100) == 1.0
    momenta = [target_momentum(0.9, t, 40) for t in range(41)]
    assert momenta == sorted(momenta)


def test_the_target_is_a_copy_that_sends_no_gradient():
    net, projector = nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), nn.Linear(4, 3)
    target = Target(net, projector)
    views = torch.randn(2, 5, 3, 2, 2)
    embeddings = target(views, lambda h: 2 * h)
    assert torch.allclose(embeddings, torch.stack([projector(2 * net(view)) for view in views]))
    assert not embeddings.requires_grad
    assert not any(p.requires_grad for p in target.parameters())
    with torch.no_grad():
        net[1].weight.zero_()
    assert torch.equal(target(views, lambda h: 2 * h), embeddings)
