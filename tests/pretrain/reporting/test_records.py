"""What a run leaves beside its weights, and what --dry-run says of it, through the command line."""

import json

import cv2
import numpy as np
import pytest

from pretrain.__main__ import main
from pretrain.reporting.mask_snapshots import read_snapshots
from pretrain.reporting.plots import curves_png, histograms_png
from pretrain.reporting.report import write_report
from pretrain.settings.config_files import config_text, read_config
from pretrain.settings.schema import Settings, as_plain, load_settings
from pretrain.training import rehearsal
from tests.pretrain.training.test_train import CONFIG


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("images")
    for k in range(10):
        cv2.imwrite(str(folder / f"{k}.jpg"), rng.integers(0, 255, (40, 50, 3), np.uint8))
    (folder / "tiny.py").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    work = tmp_path_factory.mktemp("work") / "run"
    assert main([str(images / "tiny.py"), "--data", str(images), "--work-dir", str(work)]) == 0
    return work


def picture(path):
    return cv2.imread(str(path))


def test_the_report_shows_losses_features_hypergradient_and_mask(finished):
    text = (finished / "pretrain.md").read_text()
    assert text.startswith("# Pretraining: metamask\n")
    assert f"({10})" in text
    for name in ("losses", "features", "hypergradient", "mask"):
        assert f"(report/{name}.png)" in text
        drawn = picture(finished / "report" / f"{name}.png")
        assert (drawn < 128).any(axis=2).mean() > 0.001
    last = json.loads((finished / "metrics.jsonl").read_text().splitlines()[-1])
    assert f" {last['contrastive']:.4g} |\n" in text
    assert not list(finished.rglob("*.partial"))


def test_the_mask_is_kept_at_the_start_and_along_the_run(finished):
    snapshots = read_snapshots(finished / "mask.json")
    assert list(snapshots) == [0, 1, 2, 4]  # 1 to 25 %, 50 % and 100 % of four iterations
    assert set(snapshots[0]) == {0.5}
    assert len(snapshots[4]) == 512
    assert len(set(snapshots[4])) > 100
    assert snapshots[2] != snapshots[4]


def test_the_resolved_config_is_the_same_training(finished, images, tmp_path):
    settings = load_settings(read_config(finished / "resolved_config.py"))
    assert settings == load_settings(read_config(images / "tiny.py"))
    every = tmp_path / "every.py"
    every.write_text(config_text(as_plain(Settings())))
    assert load_settings(read_config(every)) == Settings()


def test_the_environment_is_kept_for_every_start(finished, images):
    from pretrain.reporting.environment import save_environment

    starts = json.loads((finished / "environment.json").read_text())
    assert len(starts) == 1
    assert starts[0]["packages"]["torch"]
    save_environment(finished / "environment.json")
    assert len(json.loads((finished / "environment.json").read_text())) == 2


def test_a_run_without_a_mask_or_anything_logged_has_a_report(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    text = write_report(tmp_path, {"method": "simclr"}).read_text()
    assert "Nothing was logged" in text
    assert ".png" not in text


def test_values_that_are_not_finite_leave_gaps():
    panel = [("a", [("x", [1, 2, 3], [1.0, float("nan"), 0.0]), ("y", [1, 2, 3], [1.0, 2.0, float("inf")])])]
    for log_scale in (False, True):
        assert curves_png(panel * 4, log_scale=log_scale, marks=2).startswith(b"\x89PNG")
    assert histograms_png({0: [0.5, 0.5]}, "weights").startswith(b"\x89PNG")


def test_a_dry_run_says_what_the_run_will_cost_and_leaves_nothing(images, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rehearsal, "FEWEST", 2)
    work = tmp_path / "run"
    argv = [str(images / "tiny.py"), "--data", str(images), "--work-dir", str(work), "--dry-run"]
    assert main([*argv, "--cfg-options", "meta.every=3", "run.checkpoint_every=1"]) == 0
    assert not work.exists()
    text = capsys.readouterr().out
    assert "3 iterations of 4 images measured, nothing kept" in text  # a whole cycle of the meta step
    for line in ("memory ", "speed ", "waiting ", "whole job ", "disk "):
        assert line in text
    assert "for 4 iterations, estimated" in text


def test_the_estimate_is_of_the_measured_iterations(images, monkeypatch):
    from pretrain.data.sources import open_source
    from pretrain.training.plan import make_plan

    settings = load_settings(read_config(images / "tiny.py"))
    plan = make_plan(settings, open_source([images]), images / "never")
    monkeypatch.setattr(rehearsal, "FEWEST", 2)

    def fake(settings, plan, init, hooks):
        assert settings.meta.start == 0
        assert plan.iterations == 4
        hooks[0].seconds += [9.0, 9.0, 1.0, 3.0]
        hooks[0].waited += [9.0, 9.0, 0.5, 0.5]
        plan.checkpoints.mkdir()
        (plan.checkpoints / "iteration_00000004.pth").write_bytes(b"x" * 1000)

    monkeypatch.setattr(rehearsal, "train", fake)
    estimate = rehearsal.rehearse(settings, plan)
    assert (estimate.iterations, estimate.seconds, estimate.waiting, estimate.checkpoint) == (2, 2.0, 0.25, 1000)
    assert len(estimate.memory) == len(estimate.available) == 1
    text = rehearsal.describe(estimate, settings, plan)
    assert "speed      2.0 img/s" in text
    assert "whole job  0:08 for 4" in text
    assert "waits for data" in text


def test_the_memory_of_many_ranks(images):
    from pretrain.data.sources import open_source
    from pretrain.training.plan import make_plan

    settings = load_settings(read_config(images / "tiny.py"))
    plan = make_plan(settings, open_source([images]), images / "never")
    memory = (*range(10**9, 10 * 10**9, 10**9), 20 * 10**9)
    available = (*(40 * 10**9 for _ in range(8)), 10 * 10**9, 80 * 10**9)
    text = rehearsal.describe(rehearsal.Estimate(5, 0.5, 0.0, memory, available, 10**9), settings, plan)
    assert "dry run on 10 processes, each " in text
    assert "memory     9.00 GB of 10.00 GB on the fullest, rank 8 (" in text
    assert "\n           ranks 0-7: 1.00 2.00 3.00 4.00 5.00 6.00 7.00 8.00 GB\n" in text
    assert "\n           ranks 8-9: 9.00 20.00 GB\n" in text
    assert "speed      8.0 img/s" in text
