"""The pictures of a run's detections: which images, and what is refused."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cases.fake_runs import make_run
from transfer.drawing.selection import Selection
from transfer.errors import InputError
from transfer.reporting import pictures
from transfer.reporting.pictures import show

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def test_the_pictures_come_in_the_order_of_the_images_under_their_names_and_in_their_format(three_runs, tmp_path):
    paths = show(three_runs / "metamask", tmp_path / "out", images=["val_000002.jpg", "val_000000.jpg"])
    assert paths == [tmp_path / "out" / name for name in ("val_000002.jpg", "val_000000.jpg")]
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "JPEG"
            assert image.width > 1.9 * image.height


def test_two_images_of_one_stem_have_a_picture_each(three_runs, tmp_path):
    """Names that differ in folder or suffix alone: all come out, and none leaves the folder."""
    run = make_run(tmp_path / "run", three_runs / "data")
    record = json.loads((run / "record.json").read_text())
    val, images = record["data"]["val"], tmp_path / "images"
    content = json.loads(Path(val["annotations"]).read_text())
    names = ["a/1.jpg", "b/1.jpg", "1.jpg", "1.png"]
    for entry, name in zip(content["images"], names, strict=False):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(Path(val["images"]) / entry["file_name"]) as image:
            image.save(images / name)
        entry["file_name"] = name
    annotations = tmp_path / "annotations.json"
    annotations.write_text(json.dumps(content))
    fingerprint = hashlib.sha256(annotations.read_bytes()).hexdigest()
    val.update(images=str(images), annotations=str(annotations), fingerprint=fingerprint)
    (run / "record.json").write_text(json.dumps(record))
    paths = show(run, tmp_path / "out", images=names)
    assert paths == [tmp_path / "out" / name for name in names]
    assert len({path.read_bytes() for path in paths}) == 4


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Selection([None] * 4, 0), "4 of at least 0.5"),
        (Selection([None], 12), "1 of at least 0.5, 12 below"),
        (Selection([None] * 3, 9, dimmed=True), "nothing reaches 0.5; dimmed, the best 3 of 9"),
        (Selection([], 0), "nothing detected"),
    ],
)
def test_a_title_says_what_is_drawn_and_what_is_not(choice, words):
    assert pictures.in_words(choice, 0.5) == words


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
