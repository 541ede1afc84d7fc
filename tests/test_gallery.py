import dataclasses
import shutil

import pytest

from tests.fake_runs import make_run
from transfer import digits, gallery, results
from transfer.compare import group
from transfer.errors import InputError
from transfer.report import read_run

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture
def runs(tmp_path):
    digits.write(tmp_path / "data", digits.Settings(size=48, train=1, val=4, unlabeled=1))
    return [read_run(make_run(tmp_path / init, tmp_path / "data", init)) for init in ("random", "metamask")]


def test_every_start_gets_a_column(runs, monkeypatch):
    seen = {}
    monkeypatch.setattr(gallery, "detections_png", lambda rows, *rest: seen.update(rows=rows, rest=rest) or b"png")
    png, caption = gallery.gallery(group(runs), gallery.Choice(3, 0.5, 1))
    assert png == b"png"
    assert seen["rest"][0] == ["ground truth", "random, seed 0", "metamask, seed 0"]
    assert caption == "3 of 4 val images, drawn by seed 1, not by result. Predictions with a score of at least 0.50."
    assert len(seen["rows"]) == 3
    for row in seen["rows"]:
        truth, *predicted = row.columns
        assert len(predicted) == 2
        assert all(instance.score >= 0.5 for column in predicted for instance in column)
        assert all(instance.score is None for instance in truth)
        assert row.image.shape == (48, 48, 3)


def test_without_kept_detections_there_is_a_reason_instead(runs):
    groups = group([dataclasses.replace(run, detections=None) for run in runs])
    assert gallery.gallery(groups, gallery.Choice()) == (None, "No picture: no run kept its detections.")


def test_a_val_set_that_went_away_or_changed_is_a_reason(runs, tmp_path):
    annotations = tmp_path / "data/coco/annotations/instances_val.json"
    annotations.write_text(annotations.read_text() + "\n")
    png, reason = gallery.gallery(group(runs), gallery.Choice())
    assert png is None
    assert "is not the file that the runs were measured on" in reason
    shutil.rmtree(tmp_path / "data")
    png, reason = gallery.gallery(group(runs), gallery.Choice())
    assert png is None
    assert "found nothing there" in reason


def test_detections_that_should_be_there_and_are_not_are_an_error(runs, tmp_path):
    (tmp_path / "random/inference/coco_instances_results.json").unlink()
    with pytest.raises(InputError, match="missing: expected a COCO results file"):
        gallery.gallery(group(runs), gallery.Choice())
    assert results.read(tmp_path / "random").detections == "inference/coco_instances_results.json"
