"""The pictures of a run's detections: which images, and what is refused."""

import json

import pytest

from tests.cases.fake_runs import make_run
from transfer.errors import InputError
from transfer.reporting.pictures import show

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def test_the_pictures_come_in_the_order_of_the_images(three_runs, tmp_path):
    paths = show(three_runs / "metamask", tmp_path / "out", images=["val_000002.jpg", "val_000000.jpg"])
    assert paths == [tmp_path / "out" / name for name in ("val_000002.png", "val_000000.png")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_random_images_depend_on_the_seed_alone(three_runs, tmp_path):
    runs = [("a", "metamask", 1), ("b", "metamask", 1), ("c", "metamask", 2), ("d", "random", 1)]
    names = [[p.name for p in show(three_runs / run, tmp_path / out, random=2, seed=seed)] for out, run, seed in runs]
    assert names[0] == names[1] == names[3]
    assert len(names[0]) == len(names[2]) == 2


def test_a_lower_score_draws_more(three_runs, tmp_path):
    pictures = [
        show(three_runs / "metamask", tmp_path / str(score), images=["val_000000.jpg"], score=score)[0].read_bytes()
        for score in (0.0, 1.0)
    ]
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected either images or a number of random ones, found both or neither"),
        ({"images": ["val_000000.jpg"], "random": 1}, "found both or neither"),
        ({"random": 0}, "found 0, 0, 0.5"),
        ({"random": 1, "seed": -1}, "found 1, -1, 0.5"),
        ({"random": 1, "score": 1.5}, "found 1, 0, 1.5"),
    ],
)
def test_what_cannot_be_shown_is_refused(three_runs, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        show(three_runs / "metamask", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.update(detections=None), "expected a run that kept its detections"),
        (lambda record: record["data"]["val"].update(images=""), "expected a record that says where its val images"),
        (
            lambda record: record["data"]["val"].update(fingerprint="0" * 64),
            "is not the file that the runs were measured on any more; restore it",
        ),
    ],
)
def test_a_run_without_detections_or_with_another_val_set_is_refused(three_runs, tmp_path, change, message):
    run = make_run(tmp_path / "run", three_runs / "data")
    record = json.loads((run / "record.json").read_text())
    change(record)
    (run / "record.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=message):
        show(run, tmp_path / "out", random=1)
    assert not (tmp_path / "out").exists()
