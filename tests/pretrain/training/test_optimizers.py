import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from pretrain.algorithm.pretraining import Pretraining
from pretrain.settings.schema import ADAM_DECAY, ADAM_LR, load_settings
from pretrain.training.optimizers import LARS, build_optimizers

TINY = {
    "redundancy_widths": [8, 8],
    "contrastive_widths": [8, 8],
    "bootstrap_widths": [8, 8],
    "predictor_width": 8,
    "coding_distortion": 0.3,
}


def build(**config):
    return Pretraining(
        settings=load_settings({"backbone": {"arch": "resnet18"}, "objective": TINY, **config}), iterations=10
    )


def test_lars_is_the_formula():
    torch.manual_seed(0)
    w, b = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(4))
    optimizer = LARS(
        [{"params": [w]}, {"params": [b], "weight_decay": 0.0, "adapt": False}], lr=0.5, momentum=0.9, weight_decay=0.1
    )
    expected = [w.detach().clone(), b.detach().clone()]
    buffers = [torch.zeros(4, 3), torch.zeros(4)]
    for _ in range(3):
        gradients = [torch.randn(4, 3), torch.randn(4)]
        local = 1e-3 * expected[0].norm() / (gradients[0].norm() + 0.1 * expected[0].norm())
        buffers[0] = 0.9 * buffers[0] + 0.5 * local * (gradients[0] + 0.1 * expected[0])
        buffers[1] = 0.9 * buffers[1] + 0.5 * gradients[1]
        expected = [e - u for e, u in zip(expected, buffers, strict=True)]
        w.grad, b.grad = [g.clone() for g in gradients]
        optimizer.step()
    assert torch.allclose(w, expected[0], rtol=1e-6)
    assert torch.allclose(b, expected[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("meta", "kind", "rates", "decays"),
    [
        ({}, AdamW, {"mask": ADAM_LR["mask"], "fusion": ADAM_LR["fusion"]}, ADAM_DECAY),
        ({"mask_lr": 0.01, "weight_decay": 0.3}, AdamW, {"mask": 0.01, "fusion": 1e-3}, {"mask": 0.3, "fusion": 0.3}),
        ({"optimizer": "sgd", "mask_lr": 0.01}, SGD, {"mask": 0.01, "fusion": 0.2}, {"mask": 5e-4, "fusion": 5e-4}),
    ],
)
def test_upper_variables_have_their_own_optimiser(meta, kind, rates, decays):
    model = build(method="metamask_compmod", optimizer={"lr": 0.2}, meta=meta)
    optimizers = build_optimizers(model)
    assert sorted(optimizers.keys()) == ["fusion", "lower", "mask"]
    for name in ("mask", "fusion"):
        (group,) = optimizers[name].optimizer.param_groups
        assert type(optimizers[name].optimizer) is kind
        assert (group["lr"], group["weight_decay"]) == (rates[name], decays[name])
        assert group.get("betas", (0.5, 0.999)) == (0.5, 0.999)
    held = [{id(p) for g in o.optimizer.param_groups for p in g["params"]} for o in optimizers.values()]
    everything = {id(p) for p in model.parameters() if p.requires_grad}
    assert set().union(*held) == everything
    assert sum(len(h) for h in held) == len(everything)


@pytest.mark.parametrize("name", ["lars", "adamw"])
def test_biases_and_norms_are_not_decayed(name):
    optimizers = build_optimizers(build(method="simclr", optimizer={"name": name, "weight_decay": 0.1}))
    groups = optimizers["lower"].optimizer.param_groups
    assert [g["weight_decay"] for g in groups] == [0.1, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert all(p.ndim <= 1 for p in groups[1]["params"])


def test_byols_target_is_not_optimised():
    model = build(method="byol")
    held = {id(p) for g in build_optimizers(model)["lower"].optimizer.param_groups for p in g["params"]}
    assert not held & {id(p) for p in model.target.parameters()}
