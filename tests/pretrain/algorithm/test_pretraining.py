"""The training step: exact reductions, what each level may touch, when each happens and what it logs."""

from unittest.mock import patch

import pytest
import torch

from pretrain.algorithm import pretraining
from pretrain.algorithm.pretraining import FIRST_MEASUREMENTS
from pretrain.method.methods import FUSIONS, METHODS
from pretrain.training.optimizers import build_optimizers
from tests.cases.bilevel_cases import relative_error
from tests.cases.pretrainings import batch, run, start, upper_weights
from tests.cases.rank_cases import HEADS, model_of, share_of

BILEVEL = [name for name, row in METHODS.items() if row.base]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_moves_all_its_weights(method):
    before = dict(start(method)[0].named_parameters())
    after = dict(run(method).named_parameters())
    unmoved = [k for k in before if torch.equal(before[k], after[k]) and not k.startswith("target.")]
    assert unmoved == []


@pytest.mark.parametrize(
    ("full", "objective", "reduced", "other"),
    [
        ("metamask_compmod", {"mcr_weight": 0.0}, "metamask", {}),
        ("simclr_compmod", {"mcr_weight": 0.0}, "simclr", {}),
        ("byol_compmod", {"mcr_weight": 0.0}, "byol", {}),
    ],
)
def test_compmod_without_its_lower_term_is_the_base_method_bit_for_bit(full, objective, reduced, other):
    a, b = run(full, objective=objective), run(reduced, objective=other)
    b_state = b.state_dict()
    assert b_state.keys() < a.state_dict().keys()
    assert all(torch.equal(a.state_dict()[k], v) for k, v in b_state.items())


def test_densecl_without_its_dense_loss_is_simclr_bit_for_bit():
    a, b = run("densecl", objective={"dense": 0.0}), run("simclr")
    assert a.state_dict().keys() == b.state_dict().keys()
    assert all(torch.equal(a.state_dict()[k], v) for k, v in b.state_dict().items())


def test_an_identity_mask_held_at_one_is_barlow_simclr_bit_for_bit():
    a = run("metamask", objective={"mask": "identity"}, meta={"mask_lr": 0.0})
    b = run("barlow_simclr")
    assert all(torch.equal(a.state_dict()[k], v) for k, v in b.state_dict().items())


@pytest.mark.parametrize("method", BILEVEL)
def test_the_real_step_leaves_the_upper_variables_alone(method):
    model, optimizers = start(method, meta={"every": 100})
    model.meta_start = 50
    before = upper_weights(model)
    for k in range(2):
        model.train_step(batch(k), optimizers)
    assert all(torch.equal(before[k], v) for k, v in upper_weights(model).items())


@pytest.mark.parametrize("method", BILEVEL)
@pytest.mark.parametrize("mode", ["feature_difference", "forward_mode", "finite_difference", "first_order"])
def test_the_meta_step_leaves_everything_else_alone(method, mode):
    """Weights, running statistics, BYOL's target and the random state are those of a run whose ψ cannot move.

    Of its own it keeps the running norms of the hypergradient alone.
    """
    frozen = {"mask_lr": 0.0, "fusion_lr": 0.0, "hypergradient": mode}
    off, optimizers = start(method)
    off.meta_start = 100
    on, on_optimizers = start(method, meta=frozen)
    for k in range(2):
        off.train_step(batch(k), optimizers)
        state = torch.get_rng_state()
        on.train_step(batch(k), on_optimizers)
        assert torch.equal(state, torch.get_rng_state())
    own = ("upper_step.", "objective.balance.norms.fusion_")
    assert all(torch.equal(on.state_dict()[k], v) for k, v in off.state_dict().items() if not k.startswith(own))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_single_level_moves_everything_on_one_loss(fusion):
    """The row without a bi-level part beside each fusion of CompMod's table 7."""
    objective, meta = {**HEADS, "comp_fusion": fusion}, {"hypergradient": "single_level"}
    model = model_of("metamask_compmod", objective=objective, meta=meta)
    optimizers = build_optimizers(model)
    assert model.upper is None
    before = upper_weights(model)
    log = model.train_step(share_of(0, 12), optimizers)
    assert not any(torch.equal(before[k], v) for k, v in upper_weights(model).items())
    assert "mask_direct" not in log


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("base", ["post", "inline"])
def test_every_fusion_is_learned_by_both_levels_with_mecs_own_constants(fusion, base):
    constants = {"balance": "none", "coding_mu": "mec", "coding_limit": None, "coding_distortion": 0.3}
    objective = {**HEADS, **constants, "comp_fusion": fusion}
    model = model_of("simclr_compmod", objective=objective, meta={"base": base})
    optimizers, before = build_optimizers(model), upper_weights(model)
    logs = [model.train_step(share_of(k, 12), optimizers) for k in range(2)]
    assert not any(torch.equal(before[k], v) for k, v in upper_weights(model).items())
    assert float(logs[1]["fusion_second_order"]) > 0


@pytest.mark.parametrize("method", METHODS)
def test_scales_are_measured_often_at_first_and_then_now_and_again(method):
    """And by default no term is below a hundredth of the step."""
    model = model_of(method, objective={**HEADS, "balance_every": 4}, meta={"every": 5})
    optimizers = build_optimizers(model)
    for k in range(FIRST_MEASUREMENTS + 8):
        log = model.train_step(share_of(k, 12), optimizers)
    assert int(model.objective.balance.measured) == FIRST_MEASUREMENTS + 2
    shares = {k: float(v) for k, v in log.items() if k.startswith("share_")}
    assert sum(shares.values()) == pytest.approx(1, rel=1e-5)
    assert min(shares.values()) > 0.01


def few_steps(objective):
    with patch.object(pretraining, "FIRST_MEASUREMENTS", 1):
        model = model_of("metamask_compmod", objective={**HEADS, **objective})
        optimizers = build_optimizers(model)
        for k in range(4):
            model.train_step(share_of(k, 12), optimizers)
    return model


def test_measuring_moves_nothing_of_a_plain_sum():
    often, once = (few_steps({"balance": "none", "balance_every": k}) for k in (1, 10**6))
    differ = {k for k, t in often.state_dict().items() if not torch.equal(t, once.state_dict()[k])}
    assert differ
    assert all(".balance." in k for k in differ)


@pytest.mark.parametrize("every", [1, 3])
def test_the_meta_step_comes_every_k_iterations(every):
    model, optimizers = start("metamask", meta={"every": every})
    model.meta_start = 2
    moved = ["mask_direct" in model.train_step(batch(k), optimizers) for k in range(8)]
    assert moved == [k >= 2 and (k - 2) % every == 0 for k in range(8)]


def test_the_log_has_the_last_meta_step_where_it_comes_at_other_iterations():
    model = model_of("metamask", meta={"every": 4}, run={"log_every": 3})
    optimizers = build_optimizers(model)
    logs = [model.train_step(share_of(k, 12), optimizers) for k in range(6)]
    assert [k for k, log in enumerate(logs) if "mask_direct" in log] == [0, 2, 4, 5]
    assert (logs[2]["mask_direct"], logs[5]["mask_direct"]) == (logs[0]["mask_direct"], logs[4]["mask_direct"])


def test_bf16_keeps_the_upper_level_in_float32():
    for method in ("metamask_compmod", "simclr_compmod"):
        run(method, steps=2, run={"precision": "bf16"})


@pytest.mark.parametrize(
    "way",
    [{"base": "inline", "trial": "lower"}, {"base": "inline", "trial": "meta"}],
    ids=["inline-lower", "inline-meta"],
)
def test_a_feature_difference_never_starts_from_bf16_features(way):
    """The second-order parts of the two modes agree, though the real step's features have three digits only."""
    parts = []
    for mode in ("forward_mode", "feature_difference"):
        model, optimizers = start("metamask_compmod", meta={"hypergradient": mode, **way}, run={"precision": "bf16"})
        model._move_upper = lambda found, optim: parts.append(found.second_order) or {}
        for k in range(2):
            model.train_step(batch(k), optimizers)
    exact, found = parts[len(parts) // 2 - 1], parts[-1]
    for variable in ("mask.", "fusion."):
        part = {k: t for k, t in exact.items() if k.startswith(variable)}
        assert relative_error({k: found[k] for k in part}, part) < 0.3


@pytest.mark.parametrize("method", METHODS)
def test_the_health_of_the_embeddings_is_logged_every_log_every_steps_and_moves_nothing(method):
    often, optimizers = start(method, run={"log_every": 1})
    never, other = start(method, run={"log_every": 100})
    log = often.train_step(batch(0), optimizers)
    silent = never.train_step(batch(0), other)
    assert all(torch.equal(often.state_dict()[k], v) for k, v in never.state_dict().items())
    assert 1 <= float(log["effective_rank_z"]) <= 6
    assert ("coding_top" in log) == METHODS[method].comp
    assert not {"effective_rank_z", "coding_top"} & silent.keys()
    if METHODS[method].comp:
        limit = 1 / (0.3 * often._coding_scale(0))
        assert limit / 6 - 1e-6 <= float(log["coding_top"]) <= limit + 1e-6
