"""The step of ψ: clipped by running norms, L_comp as long beside the rest as its weight says."""

import pytest
import torch

from pretrain.method.bilevel import Hypergradient
from pretrain.training.optimizers import build_optimizers
from tests.cases.bilevel_cases import relative_error
from tests.cases.pretrainings import start, watch_gradients
from tests.cases.rank_cases import HEADS, model_of, share_of


def test_hypergradients_are_clipped_by_their_own_running_norms():
    """The first sets the scale; a tenfold one later comes out ``clip`` times as long as the mean, direction kept."""
    model, optimizers = start("metamask_compmod", meta={"clip": 2.0})
    direct = {k: torch.randn_like(p) for k, p in model.objective.upper_parameters().items()}
    second = {k: torch.randn_like(p) for k, p in direct.items()}
    zero, found = torch.zeros(()), watch_gradients(model, optimizers)
    norms = {"mask": [], "fusion": []}
    for factor in (1.0, 1.0, 10.0):
        parts = [{k: factor * t for k, t in part.items()} for part in (direct, second)]
        model._move_upper(Hypergradient(*parts, zero, zero), optimizers)
        for variable, found_norms in norms.items():
            found_norms.append(
                float(torch.cat([g.flatten() for k, g in found.items() if k.startswith(variable)]).norm())
            )
    assert norms["mask"] == pytest.approx([norms["mask"][0]] * 2 + [2 * norms["mask"][0]], rel=1e-4)
    assert norms["fusion"][2] == pytest.approx(2 * norms["fusion"][0], rel=1e-2)
    assert (
        relative_error(
            {"": found["mask.logits"] / norms["mask"][2]},
            {"": (direct["mask.logits"] + second["mask.logits"]) / norms["mask"][0]},
        )
        < 1e-4
    )


def test_compactness_is_as_long_beside_the_rest_as_its_weight_says():
    model = model_of("metamask_compmod", objective={**HEADS, "comp_weight": 0.3})
    log = model.train_step(share_of(0, 12), build_optimizers(model))
    assert float(log["fusion_direct"] / log["fusion_second_order"]) == pytest.approx(0.3, rel=1e-4)
    together = model_of(
        "metamask_compmod", objective={**HEADS, "comp_weight": 0.3}, meta={"hypergradient": "single_level"}
    )
    forward = together._forward(0, together._normalised(share_of(0, 12)["views"]))
    together._measure(forward)
    objective, xi = together.objective, list(together.objective.fusion.parameters())
    comp = objective.comp_coefficient() * objective.comp_loss(forward.batch.fixed, forward.batch.scale)
    own, rest = (
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, xi, retain_graph=True)]).norm()
        for loss in (comp, objective.lower(forward.losses))
    )
    assert float(own / rest) == pytest.approx(0.3, rel=1e-4)


def test_without_a_clip_there_is_no_state_and_psi_gets_the_sum_of_both_parts():
    model = model_of("metamask_compmod", objective={**HEADS, "balance": "none"}, meta={"clip": None})
    assert list(model.upper_step.state_dict()) == []
    optimizers, zero = build_optimizers(model), torch.zeros(())
    gradients = watch_gradients(model, optimizers)
    direct = {k: torch.randn_like(p) for k, p in model.objective.upper_parameters().items()}
    second = {k: torch.randn_like(p) for k, p in direct.items()}
    log = model.upper_step(model.objective, Hypergradient(direct, second, zero, zero), optimizers)
    assert all(torch.equal(gradients[k], direct[k] + second[k]) for k in direct)
    assert float(log["mask_direct"]) == pytest.approx(float(direct["mask.logits"].norm()))
    assert all(p.grad is None or not p.grad.any() for p in model.objective.upper_parameters().values())
