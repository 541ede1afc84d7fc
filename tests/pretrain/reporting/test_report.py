"""``pretrain.md`` of a finished run."""

import json

import cv2

from pretrain.reporting.report import write_report


def test_the_report_shows_losses_features_hypergradient_and_mask(finished):
    text = (finished / "pretrain.md").read_text()
    assert text.startswith("# Pretraining: metamask\n")
    assert f"({10})" in text
    for name in ("losses", "features", "hypergradient", "mask"):
        assert f"(report/{name}.png)" in text
        pixels = cv2.imread(str(finished / "report" / f"{name}.png"))
        assert (pixels < 128).any(axis=2).mean() > 0.001
    last = json.loads((finished / "metrics.jsonl").read_text().splitlines()[-1])
    assert f" {last['contrastive']:.4g} |\n" in text
    assert not list(finished.rglob("*.partial"))


def test_a_run_without_a_mask_or_anything_logged_has_a_report(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    text = write_report(tmp_path, {"method": "simclr"}).read_text()
    assert "Nothing was logged" in text
    assert ".png" not in text


def test_the_sum_of_balanced_terms_is_left_out_and_that_is_explained(tmp_path):
    line = {"loss": 15.5, "redundancy": 270.0, "contrastive": 4.25, "share_redundancy": 0.4, "share_contrastive": 0.6}
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps({"iteration": k, **line}) + "\n" for k in (1, 2, 3)))
    plain = write_report(tmp_path, {"method": "barlow_simclr"}).read_text()
    assert "| lower loss (what w descends) | 15.5 |" in plain
    balanced = write_report(tmp_path, {"method": "barlow_simclr"}, balanced=True).read_text()
    assert "15.5" not in balanced
    assert "the sum may rise while every term falls" in balanced
    assert "| contrastive (NT-Xent) | 4.25 |" in balanced


def test_the_last_verdict_is_repeated(tmp_path):
    look = {
        "objectness_knn_gain": -6.0,
        "objectness_knn_gain_standard_error": 1.0,
        "objects_effective_rank": 200.0,
        "objects_effective_rank_of": 512.0,
        "objects_effective_rank_random": 300.0,
        "objects_spread": 0.04,
        "objects_spread_healthy": 0.044,
    }
    lines = [{"iteration": k, **look, "objectness_knn_gain": gain} for k, gain in ((10, 6.0), (20, -6.0))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = write_report(tmp_path, {"method": "simclr"}).read_text()
    assert "After iteration 20, verdict: these features look worse for detection than random weights" in text
    assert "look better" not in text
