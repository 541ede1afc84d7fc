"""``--dry-run``: what it measures, how it is worded, and that nothing of it stays."""

from pretrain.__main__ import main
from pretrain.data.sources import open_source
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import load_settings
from pretrain.training import rehearsal
from pretrain.training.plan import make_plan


def test_a_dry_run_says_what_the_run_will_cost_and_leaves_nothing(tiny_images, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rehearsal, "FEWEST", 2)
    work = tmp_path / "run"
    argv = [str(tiny_images / "tiny.py"), "--data", str(tiny_images), "--work-dir", str(work), "--dry-run"]
    assert main([*argv, "--cfg-options", "meta.every=3", "run.checkpoint_every=1"]) == 0
    assert not work.exists()
    text = capsys.readouterr().out
    assert "3 iterations of 4 images measured, nothing kept" in text  # a whole cycle of the meta step
    for line in ("memory ", "speed ", "waiting ", "whole job ", "disk "):
        assert line in text
    assert "for 4 iterations, estimated" in text


def test_the_estimate_is_of_the_measured_iterations(tiny_images, monkeypatch):
    settings = load_settings(read_config(tiny_images / "tiny.py"))
    plan = make_plan(settings, open_source([tiny_images]), tiny_images / "never")
    monkeypatch.setattr(rehearsal, "FEWEST", 2)

    def fake(settings, plan, init, hooks):
        assert settings.meta.start == 0
        assert plan.iterations == 4
        hooks[0].seconds += [9.0, 9.0, 1.0, 3.0]
        hooks[0].waited += [9.0, 9.0, 0.5, 0.5]
        plan.checkpoints.mkdir()
        (plan.checkpoints / "iteration_00000004.pth").write_bytes(b"x" * 1000)

    monkeypatch.setattr(rehearsal, "run_training", fake)
    estimate = rehearsal.rehearse(settings, plan)
    assert (estimate.iterations, estimate.seconds, estimate.waiting, estimate.checkpoint) == (2, 2.0, 0.25, 1000)
    assert len(estimate.memory) == len(estimate.available) == 1
    text = rehearsal.describe(estimate)
    assert "speed      2.0 img/s" in text
    assert "whole job  0:08 for 4" in text
    assert "waits for data" in text


def test_the_memory_of_many_ranks():
    memory = (*range(10**9, 10 * 10**9, 10**9), 20 * 10**9)
    available = (*(40 * 10**9 for _ in range(8)), 10 * 10**9, 80 * 10**9)
    whole = {"planned": 100, "batch": 4, "workers": 0, "keep": 2, "device": None, "threads": 2}
    text = rehearsal.describe(rehearsal.Estimate(5, 0.5, 0.0, memory, available, 10**9, **whole))
    assert "dry run on 10 processes, each " in text
    assert "memory     9.00 GB of 10.00 GB on the fullest, rank 8 (" in text
    assert "\n           ranks 0-7: 1.00 2.00 3.00 4.00 5.00 6.00 7.00 8.00 GB\n" in text
    assert "\n           ranks 8-9: 9.00 20.00 GB\n" in text
    assert "speed      8.0 img/s" in text
