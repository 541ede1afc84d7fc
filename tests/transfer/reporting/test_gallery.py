import dataclasses
import shutil

import numpy as np
import pytest

from tests.cases.fake_runs import make_run
from transfer.comparison import bootstrap
from transfer.comparison.compare import group
from transfer.demo import digits
from transfer.errors import InputError
from transfer.records import record_file
from transfer.records.record import Data
from transfer.records.record_file import read_run
from transfer.reporting import gallery

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture
def runs(tmp_path):
    digits.write(tmp_path / "data", digits.Settings(size=48, train=1, val=8, unlabeled=1))
    starts = (("random", 3, 0.6), ("metamask", 1, 1.0))
    return [read_run(make_run(tmp_path / n, tmp_path / "data", n, shift=s, share=f)) for n, s, f in starts]


def show(runs, choice=None, images=None):
    groups = group(runs)
    images = images or bootstrap.resample(runs, 100, 0)
    leading = groups[1] if len(groups) > 1 else None
    return gallery.gallery(groups, groups[0], leading, choice or gallery.Choice(3, 0.0, 1), images, "segm")


def test_the_most_improved_come_first_then_the_worsened_then_some_at_random(runs):
    shown = show(runs)
    assert shown.titles == ["random, seed 0", "metamask, seed 0"]
    assert shown.pair == (0, 1)
    titles = [strip.title for strip in shown.strips]
    assert titles[0] == "Most improved"
    assert titles[-1] == "Drawn at random"
    improved = [image.change for image in shown.strips[0].images]
    assert improved == sorted(improved, reverse=True)
    assert min(improved) > 0
    for strip in shown.strips:
        for image in strip.images:
            theirs, ours = image.f1
            assert image.change == pytest.approx(ours - theirs)
            assert image.pixels.shape == (48, 48, 3)
    worsened = [image.change for strip in shown.strips if strip.title == "Most worsened" for image in strip.images]
    assert worsened == sorted(worsened)
    everything = show(runs, gallery.Choice(99, 0.0, 1))
    changes = {image.name: image.change for strip in everything.strips for image in strip.images}
    assert max(changes.values()) == improved[0]
    counts = sum(change > 0 for change in changes.values()), sum(change < 0 for change in changes.values())
    assert f"of 8 val images {counts[0]} improved, {counts[1]} worsened" in shown.strips[0].caption


def test_the_page_has_what_a_lower_limit_would_draw_and_knows_of_each_what_it_is(runs):
    shown = show(runs, gallery.Choice(8, 0.7, 1))
    images = shown.strips[-1].images
    scores = [one.score for image in images for run in image.runs for one in run.instances]
    assert gallery.LEAST <= min(scores) < 0.7
    assert all(one.score is None for image in images for one in image.truth)
    for image in images:
        for run in image.runs:
            assert len(run.kinds) == len(run.instances) <= gallery.MOST
            assert len(run.matched) == len(image.truth)
            assert run.kinds.count("right") == sum(score is not None for score in run.matched)


def test_the_compared_pair_has_its_confusions(runs):
    shown = show(runs)
    assert list(shown.confusions) == shown.titles
    for whole, run in zip(shown.confusions.values(), runs, strict=True):
        assert whole.counts[:-1].sum() == run.data.val.n_instances
    assert list(show(runs[:1]).confusions) == ["random, seed 0"]


def test_without_resampling_only_random_images_are_shown(runs):
    shown = show(runs, images=bootstrap.ImageResamples(8))
    assert [strip.title for strip in shown.strips] == ["Drawn at random"]
    assert shown.strips[0].caption == "3 of 8 val images, drawn by seed 1."
    assert shown.strips[0].images[0].change is None
    assert len(show(runs[:1]).strips) == 1


def test_without_kept_detections_there_is_a_reason_instead(runs):
    bare = [dataclasses.replace(run, detections=None) for run in runs]
    assert show(bare) == gallery.Gallery([], [], [], "No picture: no run kept its detections.")


def test_detections_measured_alone_do_not_say_where_the_images_are(runs):
    nowhere = dataclasses.replace(runs[0].data.val, images="")
    foreign = [dataclasses.replace(run, data=Data(None, nowhere)) for run in runs]
    assert "do not say where the val images are" in show(foreign).why


def test_a_val_set_that_went_away_or_changed_is_a_reason(runs, tmp_path):
    images = bootstrap.resample(runs, 100, 0)
    annotations = tmp_path / "data/coco/annotations/instances_val.json"
    annotations.write_text(annotations.read_text() + "\n")
    assert "is not the file that the runs were measured on" in show(runs, images=images).why
    shutil.rmtree(tmp_path / "data")
    assert "the val annotations are not at" in show(runs, images=images).why


def test_detections_and_images_that_should_be_there_and_are_not_are_an_error(runs, tmp_path):
    images = bootstrap.resample(runs, 100, 0)
    (tmp_path / "random/inference/coco_instances_results.json").unlink()
    with pytest.raises(InputError, match="missing: expected a COCO results file"):
        show(runs, images=images)
    assert record_file.read(tmp_path / "random").detections == "inference/coco_instances_results.json"


def test_ties_go_by_image():
    change = np.array([0.5, 0.0, 0.5, -1.0])
    (_, caption, better), (_, _, worse) = gallery._most(change, [7, 3, 5, 9], 2, "a", "b")
    assert (better, worse) == ([5, 7], [9])
    assert "2 improved, 1 worsened" in caption
