"""The peer is fed with the same views in the same order as the method beside it."""

import pytest
import torch

from benchmarks.learning import peer
from benchmarks.learning.cells import CONFIGS, Length
from pretrain.data.order import BatchOrder
from pretrain.data.sources import open_source
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import load_settings
from pretrain.training.plan import make_plan
from pretrain.training.runner import build_loader

LENGTH = Length(iterations=3, batch=4, size=32, looks=3)


@pytest.fixture(scope="module")
def settings():
    return load_settings(read_config(CONFIGS / "simclr_r18_any_100e.py", ["views.size=32", "data.batch=4"]))


def test_the_same_batches_as_pretraining(cifar10, settings, tmp_path):
    plan = make_plan(settings, open_source([cifar10 / "train"], None), tmp_path / "run")
    order = BatchOrder(len(plan.source), 4, 3, seed=0)
    ours = [batch["views"] for batch in build_loader(settings, plan, order)]
    theirs = [batch["views"] for batch in peer._batches(cifar10 / "train", settings, LENGTH, seed=0)]
    assert len(ours) == len(theirs) == 3
    assert all(torch.equal(a, b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True))


def test_it_learns_and_is_looked_at(cifar10, settings):
    pytest.importorskip("lightly")
    weights = []
    seconds = peer.train(
        cifar10 / "train", settings, LENGTH, 0, lambda net, t: weights.append((t, net.conv1.weight.clone()))
    )
    assert [t for t, _ in weights] == [1, 2, 3]
    assert not torch.equal(weights[0][1], weights[1][1])
    assert seconds > 0


def test_warm_up_and_cosine():
    factors = [peer._factor(t, 4, 12) for t in range(12)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4] == 1.0
    assert factors[8] == pytest.approx(0.5)
    assert 0 < factors[11] < 0.05
