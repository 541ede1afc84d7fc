"""The memory format reaches every convolution, and mixed precision every pass of the backbone; hooks look at each."""

from unittest.mock import patch

import pytest
import torch
from torch import nn

from pretrain.algorithm import pretraining, upper
from pretrain.method.methods import METHODS
from tests.cases.pretrainings import batch, start

WAYS = [
    ("simclr", {}),
    ("byol_compmod", {}),
    ("metamask_compmod", {"hypergradient": "feature_difference"}),
    ("metamask_compmod", {"hypergradient": "forward_mode"}),
    ("metamask_compmod", {"hypergradient": "finite_difference"}),
    ("metamask_compmod", {"base": "inline"}),
]
LAST = {"memory_format": torch.channels_last}


def inputs_of_convolutions(model, optimizers, steps=1):
    """The input, and the output, of every convolution of the backbone (and of BYOL's target) in some steps."""
    pairs = []
    hooks = [
        module.register_forward_hook(lambda module, args, y: pairs.append((args[0], y)))
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
    ]
    for k in range(steps):
        views = batch(k)["views"].flatten(0, 1).contiguous(**LAST)  # as the loader gives them
        model.train_step({"views": views.unflatten(0, (2, -1))}, optimizers)
    for hook in hooks:
        hook.remove()
    return pairs


def convolutions_of(net):
    return sum(isinstance(module, nn.Conv2d) for module in net.modules())


@pytest.mark.parametrize(("method", "meta"), WAYS)
def test_channels_come_last_in_every_convolution(method, meta):
    model, optimizers = start(method, meta=meta, run={"channels_last": True}, resnet18=True)
    pairs = inputs_of_convolutions(model, optimizers)
    assert len(pairs) >= 40  # two views of twenty convolutions
    for x, y in pairs:
        assert x.is_contiguous(**LAST)
        assert y.is_contiguous(**LAST)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(**LAST)


@pytest.mark.parametrize(("method", "meta"), [way for way in WAYS if "finite_difference" not in way[1].values()])
def test_16_bits_in_every_pass_that_is_meant_to_have_them(method, meta):
    upper_level = METHODS[method].base is not None
    precision = {"precision": "bf16"} if upper_level else {}
    model, optimizers = start(method, meta={**meta, **precision}, run={"precision": "bf16"})
    pairs = inputs_of_convolutions(model, optimizers)
    kinds = [y.dtype for _, y in pairs]
    one_pass = 2 * convolutions_of(model.backbone)  # of both views
    exact = 0
    if upper_level and meta.get("hypergradient", "feature_difference") == "feature_difference":
        exact = 2 * one_pass  # the two ends of the difference of features: rounded to 16 bits they are noise
    targets = one_pass if model.objective.method.bootstrap else 0  # BYOL's target, which nothing is derived from
    assert kinds.count(torch.float32) == exact + targets
    assert kinds.count(torch.bfloat16) == len(kinds) - exact - targets > 0


def test_the_hooks_see_a_format_that_gets_lost():
    model, optimizers = start("simclr", run={"channels_last": True}, resnet18=True)
    with patch.object(pretraining, "per_view", lambda net, views: torch.stack([net(v.contiguous()) for v in views])):
        model.backbone.to(memory_format=torch.contiguous_format)
        assert not all(x.is_contiguous(**LAST) for x, _ in inputs_of_convolutions(model, optimizers))


def test_the_hooks_see_a_pass_without_16_bits():
    model, optimizers = start("metamask", meta={"precision": "bf16"}, run={"precision": "bf16"})
    real = upper.autocast
    with patch.object(upper, "autocast", lambda device, precision: real(device, "fp32")):
        kinds = [y.dtype for _, y in inputs_of_convolutions(model, optimizers)]
    assert kinds.count(torch.float32) > 4 * convolutions_of(model.backbone)
