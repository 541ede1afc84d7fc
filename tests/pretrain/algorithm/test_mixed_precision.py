"""float16 in the real step: the loss scale changes no gradient, and an overflow leaves everything as it was."""

import json
import shutil
from unittest.mock import patch

import pytest
import torch

from pretrain.__main__ import main
from pretrain.algorithm import mixed_precision
from pretrain.algorithm.mixed_precision import LossScale, widened
from pretrain.errors import InputError
from pretrain.method.methods import METHODS
from pretrain.training.checkpoint_files import find_checkpoints
from pretrain.training.optimizers import build_optimizers
from tests.cases.bilevel_cases import cosine, relative_error
from tests.cases.rank_cases import HEADS, model_of, share_of
from tests.cases.runs import Run, arguments, assert_same_to_the_bit, write_inputs

WAYS = {
    "post": {},
    "post, plain sum": {"trial": "meta"},
    "inline": {"base": "inline"},
    "inline, trial=meta": {"base": "inline", "trial": "meta"},
}
FITS, OVERFLOWS = 2.0**4, 2.0**40


def made(method="metamask_compmod", scale=FITS, precision="fp16", optimizer=None, **sections):
    sections = {"optimizer": {"lr": 0.01, **(optimizer or {})}, "run": {"precision": precision}, **sections}
    with patch.object(mixed_precision, "FIRST_SCALE", scale):
        model = model_of(method, **sections)
    return model, build_optimizers(model)


def batch(seed):
    return share_of(seed, size=32)


def watched(model, optimizers):
    """Where every gradient that w moves by, and both parts of every hypergradient, will be found."""
    gradients, upper = [], []

    def keep(*_):
        gradients.append({k: p.grad.clone() for k, p in enumerate(model.lower_parameters())})

    def move(found, optim, original=model._move_upper):
        upper.append([{k: t.clone() for k, t in part.items()} for part in (found.direct, found.second_order)])
        return original(found, optim)

    optimizers["lower"].optimizer.register_step_pre_hook(keep)
    model._move_upper = move
    return gradients, upper


def first_gradients(steps, **settings):
    """The first gradient of w after clipping, and the first dU/dψ in its two parts."""
    model, optimizers = made(**settings)
    gradients, upper = watched(model, optimizers)
    for k in range(steps):
        model.train_step(batch(k), optimizers)
    return gradients[0], *upper[0]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("clip", [None, 0.5])
def test_gradients_and_hypergradients_are_free_of_the_scale(way, clip):
    """Two scales 256 apart give the same, and what float32 gives to float16's three digits."""
    lr = 0.01 if clip else 1e-5  # an unclipped step on a summed L_drr leads anywhere
    settings = {"optimizer": {"clip": clip, "lr": lr}, "meta": {"hypergradient": "forward_mode", **WAYS[way]}}
    if "plain sum" in way:
        settings["objective"] = {**HEADS, "balance": "none"}
    low, high, exact = (
        first_gradients(1, scale=scale, precision=precision, **settings)
        for scale, precision in ((FITS / 256, "fp16"), (FITS, "fp16"), (1.0, "fp32"))
    )
    for a, b, wide in zip(low, high, exact, strict=True):
        assert relative_error(a, b) < 0.1
        assert cosine(b, wide) > 0.98
        assert relative_error(b, wide) < 0.2
    if clip:
        norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in high[0].values()]))
        assert float(norm) == pytest.approx(clip, rel=1e-3)  # of the gradient itself, not of the scaled one


def test_single_level_moves_the_upper_variables_by_their_own_gradients():
    """There they take part in the scaled backward pass."""
    moved = []
    for scale, precision in ((FITS / 256, "fp16"), (FITS, "fp16"), (1.0, "fp32")):
        model, optimizers = made(scale=scale, precision=precision, meta={"hypergradient": "single_level"})
        before = {k: p.detach().clone() for k, p in model.objective.upper_parameters().items()}
        model.train_step(batch(0), optimizers)
        moved.append({k: p.detach() - before[k] for k, p in model.objective.upper_parameters().items()})
    assert relative_error(moved[0], moved[1]) < 0.03
    assert relative_error(moved[1], moved[2]) < 0.1


def test_accumulated_gradients_are_unscaled_once():
    settings = {"optimizer": {"accumulate": 2, "clip": 0.5}, "meta": {"hypergradient": "forward_mode"}}
    model, optimizers = made(**settings)
    gradients, _ = watched(model, optimizers)
    model.train_step(batch(0), optimizers)
    wide, wide_optimizers = made(precision="fp32", **settings)
    exact, _ = watched(wide, wide_optimizers)
    wide.train_step(batch(0), wide_optimizers)
    assert cosine(gradients[0], exact[0]) > 0.99
    assert relative_error(gradients[0], exact[0]) < 0.1
    assert model.loss_scale.state()["scaler"]["_growth_tracker"] == 1


def state_of(model, optimizers):
    """All that a step may move, but running statistics and the count of iterations."""
    found = {k: t.clone() for k, t in model.state_dict().items() if "running" not in k and "num_batches" not in k}
    for name in optimizers.keys():  # noqa: SIM118 - a wrapper, not a mapping
        for k, held in enumerate(optimizers[name].optimizer.state.values()):
            found |= {f"{name}.{k}.{what}": t.clone() for what, t in held.items()}
    return found


@pytest.mark.parametrize("method", METHODS)
def test_an_overflow_moves_nothing_but_running_statistics(method):
    model, optimizers = made(method)
    model.train_step(batch(0), optimizers)
    before, statistics = state_of(model, optimizers), model.backbone[1].running_mean.clone()
    model.loss_scale.load_state({**model.loss_scale.state(), **huge(model.loss_scale)})
    log = model.train_step(batch(1), optimizers)
    after = state_of(model, optimizers)
    assert before.keys() == after.keys()
    assert [k for k in before if not torch.equal(before[k], after[k])] == ["iteration"]
    assert not torch.equal(statistics, model.backbone[1].running_mean)
    assert torch.isfinite(log["loss"])
    assert (float(log["skipped_steps"]), float(log["loss_scale"])) == (1, OVERFLOWS / 2)
    assert all(p.grad is None for p in model.parameters())
    assert "mask_direct" not in log
    assert "fusion_direct" not in log


def huge(scale):
    return {"scaler": {**scale.state()["scaler"], "scale": OVERFLOWS}}


def test_the_scale_falls_until_the_gradients_fit():
    model, optimizers = made("simclr", scale=2.0**24)
    logs = [model.train_step(batch(k), optimizers) for k in range(20)]
    skipped = [float(log["skipped_steps"]) for log in logs]
    assert 2 <= skipped[-1] < 18
    assert skipped[-1] == skipped[-2]
    assert float(logs[-1]["loss_scale"]) == 2.0 ** (24 - skipped[-1])


def test_gradients_that_never_fit_end_the_training_with_one_line():
    scale, w = LossScale(), torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([w], lr=1)

    def step():
        scale.up(torch.inf * w.sum()).backward()
        return scale.unscale_and_check([optimizer])

    for _ in range(30):
        assert not step()
    with pytest.raises(
        InputError, match=r"found an overflow even at a loss scale of 3.1e-05 \(31 steps skipped\)"
    ) as e:
        step()
    assert "\n" not in str(e.value)


def test_only_16_bit_features_are_widened():
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert widened(torch.ones(2, dtype=dtype)).dtype == torch.float32
    assert widened(torch.ones(2, dtype=torch.float64)).dtype == torch.float64


@pytest.fixture(scope="module")
def on_the_edge(tmp_path_factory):
    """(inputs, work folder) of a float16 run whose scale grows after every good iteration, and so overflows often."""
    folder = tmp_path_factory.mktemp("edge")
    write_inputs(folder)
    with patch.multiple(mixed_precision, GROWTH=1, FIRST_SCALE=2.0**11):
        assert main(arguments(folder, folder / "run", options=EDGE)) == 0
    return folder, folder / "run"


EDGE = ["run.precision=fp16", "run.keep=9", "views.size=32"]


def skipped_steps(work):
    return [json.loads(line)["skipped_steps"] for line in (work / "metrics.jsonl").read_text().splitlines()]


def test_left_out_iterations_are_counted_and_said(on_the_edge):
    counts = skipped_steps(on_the_edge[1])
    assert 0 < counts[-1] < 9
    assert counts == sorted(counts)
    text = (on_the_edge[1] / "pretrain.md").read_text()
    assert f"| left out | {counts[-1]:.0f} iterations: gradients overflowed in float16 |" in text


def copy_up_to(done, whole, work):
    """A finished run as if it had ended after the checkpoint of iteration ``done``."""
    shutil.copytree(whole, work)
    for path in find_checkpoints(work / "checkpoints"):
        if int(path.stem.split("_")[1]) > done:
            path.unlink()
    (work / "backbone.safetensors").unlink()


@pytest.mark.parametrize("done", [pytest.param(3, marks=pytest.mark.slow), 6])
def test_a_resumed_run_has_the_scale_of_the_one_before(on_the_edge, tmp_path, done):
    """To the bit, overflows before and after the checkpoint included."""
    inputs, whole = on_the_edge
    work = tmp_path / "run"
    copy_up_to(done, whole, work)
    # What the resumed process would begin with is not what the run was at: the state must come from the file.
    with patch.multiple(mixed_precision, GROWTH=1, FIRST_SCALE=2.0**3):
        assert main(arguments(inputs, work, "--resume", options=EDGE)) == 0
    assert_same_to_the_bit(work, whole)
    last = [torch.load(find_checkpoints(w / "checkpoints")[-1], weights_only=True)["loss_scale"] for w in (work, whole)]
    assert last[0] == last[1]
    assert skipped_steps(work) == skipped_steps(whole)


@pytest.mark.slow
def test_two_processes_resume_with_one_scale(inputs, tmp_path):
    """To the bit, with overflows before and after the checkpoint that they go on from."""
    options = [*EDGE, "objective.redundancy=0.001", "objective.contrastive=0.01"]  # L_drr is a sum
    whole, work = tmp_path / "whole", tmp_path / "run"
    Run(inputs, whole, processes=2, options=options, constants=first_scale(2.0**15)).ends_well()
    counts = skipped_steps(whole)
    assert 0 < counts[5] < counts[-1] < 9
    copy_up_to(6, whole, work)
    Run(inputs, work, "--resume", processes=2, options=options, constants=first_scale(2.0**9)).ends_well()
    assert_same_to_the_bit(work, whole)
    assert skipped_steps(work) == counts


def first_scale(value):
    """For both processes: grows after every good iteration."""
    return {"pretrain.algorithm.mixed_precision": {"GROWTH": 1, "FIRST_SCALE": value}}


def test_a_non_finite_loss_still_ends_the_training(on_the_edge, tmp_path, capsys):
    options = [*EDGE, "method=simclr", "optimizer.lr=1e30", "schedule.warmup_epochs=0"]
    with patch.multiple(mixed_precision, FIRST_SCALE=1.0):
        assert main(arguments(on_the_edge[0], tmp_path / "run", options=options)) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert "the loss became nan at iteration" in line
