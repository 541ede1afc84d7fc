"""The training step: exact reductions, what each level may touch, and look-ahead against the unrolled gradient."""

from dataclasses import replace

import pytest
import torch

from pretrain.algorithm.pretraining import Pretraining
from pretrain.algorithm.upper import Batch
from pretrain.method.bilevel import Problem
from pretrain.method.objective import METHODS, per_view
from pretrain.settings.schema import load_settings
from pretrain.training.optimizers import build_optimizers
from tests.cases.bilevel_cases import as_problem, relative_error, unrolled

TINY = {
    "redundancy_widths": [16, 16],
    "contrastive_widths": [16, 12],
    "bootstrap_widths": [16, 12],
    "predictor_width": 16,
}
BILEVEL = [name for name, row in METHODS.items() if row.base]


def settings(method, objective=None, **sections):
    config = {
        "method": method,
        "backbone": {"arch": "resnet18", "stem": "imagenet"},
        "objective": {**TINY, "coding_distortion": 0.3, **(objective or {})},
        "optimizer": {"lr": 0.01},
        "data": {"batch": 6},
        **sections,
    }
    return load_settings(config)


def start(method, objective=None, **sections):
    torch.manual_seed(0)
    model = Pretraining(settings=settings(method, objective, **sections), iterations=20)
    return model.train(), build_optimizers(model)


def batch(seed, size=16):
    generator = torch.Generator().manual_seed(seed)
    return {"views": torch.randint(0, 256, (2, 6, 3, size, size), dtype=torch.uint8, generator=generator)}


def lower_weights(model):
    names = {f"objective.{k}" for k in model.objective.upper_parameters()}
    return {k: p.detach().clone() for k, p in model.named_parameters() if k not in names}


def upper_weights(model):
    return {k: p.detach().clone() for k, p in model.objective.upper_parameters().items()}


def run(method, steps=3, objective=None, size=16, **sections):
    model, optimizers = start(method, objective, **sections)
    for k in range(steps):
        log = model.train_step(batch(k, size), optimizers)
        assert all(torch.isfinite(v) for v in log.values())
    return model


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
    """Weights, running statistics, BYOL's target and the random state are those of a run whose ψ cannot move."""
    frozen = {"mask_lr": 0.0, "fusion_lr": 0.0, "hypergradient": mode}
    off, optimizers = start(method)
    off.meta_start = 100
    on, on_optimizers = start(method, meta=frozen)
    for k in range(2):
        off.train_step(batch(k), optimizers)
        state = torch.get_rng_state()
        on.train_step(batch(k), on_optimizers)
        assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(on.state_dict()[k], v) for k, v in off.state_dict().items())


def in_float64(clip=None, **meta):
    """(model, optimizers, three batches) of the joint method in float64 with the exact hypergradient."""
    meta = {"hypergradient": "forward_mode", "clip": None, **meta}
    model, _ = start("metamask_compmod", meta=meta, optimizer={"lr": 0.01, "clip": clip})
    return model.double(), build_optimizers(model), [{"views": batch(k)["views"].double()} for k in range(3)]


def assert_equal_parts(found, expected):
    for variable in ("mask.", "fusion."):
        part = {k: t for k, t in expected.items() if k.startswith(variable)}
        assert relative_error({k: found[k] for k in part}, part) < 1e-8


def test_post_is_the_unrolled_gradient_on_the_real_network():
    """After a real step, dU/dψ of the model's own upper level against double backward."""
    model, optimizers, data = in_float64()
    model.meta_start = 100
    model.train_step(data[0], optimizers)
    views, step = model._normalised(data[1]["views"]), model._trial_step(optimizers)
    assert step.buffers is not None
    with torch.no_grad():
        fixed = model.objective.comp_input(per_view(model.backbone, views))
    found = model.upper.post(Batch(views, None, fixed), step)
    problem = as_problem(model.backbone, model.objective, views, None, "trial")
    _, expected = unrolled(problem, model.upper.weights(), model.upper.variables(), step)
    assert_equal_parts(found.total(), expected)


@pytest.mark.parametrize(("trial", "clip"), [("meta", None), ("lower", None), ("meta", 0.5), ("lower", 0.5)])
def test_inline_is_the_unrolled_gradient_through_the_real_step(trial, clip):
    model, optimizers, data = in_float64(clip, base="inline", trial=trial)
    model.train_step(data[0], optimizers)
    views, step, w = model._normalised(data[1]["views"]), model._trial_step(optimizers), model.upper.weights()
    kind = "trial" if trial == "meta" else "lower"
    problem = as_problem(model.backbone, model.objective, views, None, kind, scale=model._coding_scale(1))
    copied = w.like([t.clone() for t in w.tensors()])
    psi = {k: t.clone() for k, t in model.upper.variables().items()}
    buffers = replace(step, buffers=[b.clone() for b in step.buffers])
    found = {}
    model._move_upper = lambda h, optim: found.update(h.total()) or {}
    model.train_step(data[1], optimizers)
    _, expected = unrolled(problem, copied, psi, buffers)
    assert_equal_parts(found, expected)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_look_ahead_is_the_derivative_through_the_real_step(clip):
    """d U(w_{t+1}(ψ)) / dψ on the next batch, by double backward through momentum SGD."""
    model, optimizers, data = in_float64(clip, look_ahead=True, trial="lower", upper="lower")
    model.meta_start = 1  # the first step only fills the momentum buffers
    model.train_step(data[0], optimizers)
    w, step = model.upper.weights(), model._trial_step(optimizers)
    copied = w.like([t.clone() for t in w.tensors()])
    psi = {k: t.clone() for k, t in model.upper.variables().items()}
    step = replace(step, buffers=[b.clone() for b in step.buffers])
    model.train_step(data[1], optimizers)
    reached = {k: t.clone() for k, t in model.upper.weights().backbone.items()}
    found = {}
    model._move_upper = lambda h, optim: found.update(h.total()) or {}
    model.train_step(data[2], optimizers)

    views = [model._normalised(d["views"]) for d in data]
    first = as_problem(model.backbone, model.objective, views[1], None, "lower", scale=model._coding_scale(1))
    # L_comp reads the features at the reached weights, as constants
    judge = as_problem(
        model.backbone, model.objective, views[2], None, "lower", "upper_lower", model._coding_scale(2), reached
    )
    problem = Problem(first.features, first.trial, judge.upper)
    _, expected = unrolled(problem, copied, psi, step, judge.features)
    assert_equal_parts(found, expected)


def test_single_level_moves_everything_on_one_loss():
    model, optimizers = start("metamask_compmod", meta={"hypergradient": "single_level"})
    assert model.upper is None
    before = upper_weights(model)
    log = model.train_step(batch(0), optimizers)
    assert not any(torch.equal(before[k], v) for k, v in upper_weights(model).items())
    assert "mask_direct" not in log


def test_hypergradients_are_clipped_per_variable():
    model, optimizers = start("metamask_compmod", meta={"clip": 1e-2, "momentum": 0.0, "weight_decay": 0.0})
    before = upper_weights(model)
    model.train_step(batch(0), optimizers)
    for variable in ("mask.", "fusion."):
        moved = [before[k] - v for k, v in upper_weights(model).items() if k.startswith(variable)]
        norm = torch.cat([m.flatten() for m in moved]).norm()
        assert float(norm) <= 0.01 * 1e-2 * 1.01
        assert float(norm) > 0


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


@pytest.mark.parametrize("every", [1, 3])
def test_the_meta_step_comes_every_k_iterations(every):
    model, optimizers = start("metamask", meta={"every": every})
    model.meta_start = 2
    moved = ["mask_direct" in model.train_step(batch(k), optimizers) for k in range(8)]
    assert moved == [k >= 2 and (k - 2) % every == 0 for k in range(8)]


@pytest.mark.parametrize("optimizer", ["lars", "adamw"])
def test_other_optimisers_take_their_own_trial_rate(optimizer):
    model = run("metamask_compmod", optimizer={"name": optimizer, "lr": 0.001}, meta={"trial_lr": 0.03})
    assert model._trial_step(build_optimizers(model)).lr == 0.03


# PyTorch 2.11 on a CPU: in bfloat16 the weight gradient of a 3x3 convolution of stride 2 over a single pixel reads
# memory that nobody wrote (NaN, sometimes). Views of 16 px come down to that, 64 px do not.
BF16_SIZE = 64


def test_bf16_keeps_the_upper_level_in_float32():
    for method in ("metamask_compmod", "simclr_compmod"):
        run(method, steps=2, size=BF16_SIZE, run={"precision": "bf16"})


@pytest.mark.parametrize(
    "way",
    [
        {"look_ahead": True, "trial": "lower", "upper": "lower"},
        {"base": "inline", "trial": "lower"},
        {"base": "inline", "trial": "meta"},
    ],
    ids=["look-ahead", "inline-lower", "inline-meta"],
)
def test_a_feature_difference_never_starts_from_bf16_features(way):
    """The second-order parts of the two modes agree, though the real step's features have three digits only."""
    parts = []
    for mode in ("forward_mode", "feature_difference"):
        model, optimizers = start("metamask_compmod", meta={"hypergradient": mode, **way}, run={"precision": "bf16"})
        model._move_upper = lambda found, optim: parts.append(found.second_order) or {}
        for k in range(2):
            model.train_step(batch(k, BF16_SIZE), optimizers)
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
