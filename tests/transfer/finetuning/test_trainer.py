"""Detectron2's trainer in which (seed, iteration) decides everything: resumed, stopped, and what an iteration costs."""

import json
import os
import signal
import time

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.solver import build_optimizer
from torch import nn

from tests.cases.finetuning import WORKERS, final, process, run, same, words
from tests.cases.placement import DEVICE, Watch
from transfer.finetuning import trainer
from transfer.finetuning.trainer import Trainer
from transfer.records import record_file


def test_a_run_killed_and_resumed_ends_bit_for_bit_like_an_uninterrupted_one(whole, data, tmp_path):
    folder = tmp_path / "run"
    child = process(words(data, folder, *WORKERS), start_new_session=True)
    deadline = time.monotonic() + 120
    while not (folder / "model_0000003.pth").is_file():
        assert time.monotonic() < deadline
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert not (folder / "record.json").exists()
    # Other workers than before: they decide nothing.
    run(*words(data, folder, *WORKERS, "DATALOADER.NUM_WORKERS", "0"), "--resume")
    assert same(final(folder), final(whole))
    again, first = record_file.read(folder), record_file.read(whole)
    assert again.metrics == first.metrics
    assert again.seconds.train is None
    lines = [[json.loads(line) for line in (f / "metrics.json").read_text().splitlines()] for f in (folder, whole)]
    assert sorted(line["iteration"] for line in lines[0]) == sorted(line["iteration"] for line in lines[1])


def test_a_run_stopped_between_checkpoint_and_evaluation_makes_it_up(whole, data, tmp_path):
    """The evaluation of iteration 4 was lost with the process; it is in the log of the resumed run."""
    folder = tmp_path / "run"
    run(*words(data, folder, "SOLVER.MAX_ITER", "6", "SOLVER.STEPS", "(5,)"))
    for name in ("record.json", "model_final.pth", "model_0000005.pth"):
        (folder / name).unlink()
    (folder / "last_checkpoint").write_text("model_0000003.pth")
    before = (folder / "log.txt").read_text().count("Start inference")
    run(*words(data, folder, "SOLVER.MAX_ITER", "6", "SOLVER.STEPS", "(5,)"), "--resume")
    assert (folder / "log.txt").read_text().count("Start inference") - before == 2


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_stop_saves_and_goes_on_like_one_that_was_not(whole, data, tmp_path, signum):
    """The signal goes to the loading processes too, as a terminal and a queue send it."""
    folder = tmp_path / "run"
    # Checkpoints are far apart: what is saved is saved because of the signal.
    seldom = ["SOLVER.CHECKPOINT_PERIOD", "100"]
    child = process(words(data, folder, *WORKERS, *seldom), start_new_session=True)
    deadline = time.monotonic() + 300
    while "Starting training" not in (folder / "log.txt").read_text() if (folder / "log.txt").is_file() else True:
        assert time.monotonic() < deadline
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)
    os.killpg(child.pid, signum)
    _, err = child.communicate(timeout=300)
    assert child.returncode == 128 + signum
    (line,) = err.splitlines()
    last = (folder / "last_checkpoint").read_text()
    assert f"{folder}/{last} is saved: continue with the same arguments and --resume" in line
    assert not (folder / "record.json").exists()
    run(*words(data, folder, *WORKERS, *seldom), "--resume")
    assert same(final(folder)["model"], final(whole)["model"])
    assert record_file.read(folder).metrics == record_file.read(whole).metrics


def test_a_step_of_the_optimiser_is_detectron2s():
    """Up to the rounding of sums that are taken in another order."""
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    cfg = get_cfg()
    ours, theirs = Trainer.build_optimizer(cfg, models[0]), build_optimizer(cfg, models[1])
    assert [group["weight_decay"] for group in ours.param_groups] == [g["weight_decay"] for g in theirs.param_groups]
    for step in range(3):
        for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
            q.grad = p.grad.clone()
        ours.step()
        theirs.step()
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)
    assert all(group["fused"] and not group["foreach"] for group in ours.param_groups)


def test_an_optimisers_state_from_before_goes_on_as_it_was():
    model = nn.Linear(3, 2)
    theirs, ours = build_optimizer(get_cfg(), model), Trainer.build_optimizer(get_cfg(), model)
    ours.load_state_dict(theirs.state_dict())
    assert all(group["foreach"] and not group["fused"] for group in ours.param_groups)


def test_the_look_at_the_losses_names_all_of_them_and_only_in_training():
    module, losses = nn.Identity(), {"loss_a": torch.tensor(1.5), "loss_b": torch.tensor(float("nan"))}
    with pytest.raises(FloatingPointError, match=r"loss_a 1\.5, loss_b nan"):
        trainer._check_losses(module, None, losses)
    trainer._check_losses(module, None, {"loss_a": torch.tensor(1.5)})
    trainer._check_losses(module.eval(), None, losses)


def test_the_look_at_the_losses_waits_for_the_device_once():
    losses = {name: torch.zeros((), device=DEVICE) for name in "abcde"}
    with Watch() as watch:
        trainer._check_losses(nn.Identity(), None, losses)
    assert watch.waits == ["transfer/finetuning/trainer.py:_check_losses"]
