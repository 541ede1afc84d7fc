import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tests.cases.coco_sets import write_coco
from tests.cases.finetuning import TINY, run
from transfer import __main__ as transfer
from transfer.finetuning import predict
from transfer.records import record_file

FEW = ["SOLVER.BASE_LR", "0.0001", "TEST.DETECTIONS_PER_IMAGE", "5"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp("data") / "set", 3)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    both = ["--train", *write_coco(folder.parent / "train", 3, seed=1), "--val", *data]
    run("--init", "random", "--seed", 0, *both, "OUTPUT_DIR", folder, *TINY, *FEW)
    return folder


def test_the_results_are_those_of_the_runs_own_evaluation(finished, data, tmp_path):
    out = tmp_path / "out/found.json"
    assert transfer.main(["predict", str(finished), "--images", data[0], "--out", str(out), "--score", "0"]) == 0
    found = json.loads(out.read_text())
    own = json.loads((finished / record_file.read(finished).detections).read_text())
    assert len(found) == len(own) > 0
    for ours, theirs in zip(found, own, strict=True):
        assert (ours["image_id"], ours["category_id"]) == (theirs["image_id"], theirs["category_id"])
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)
        assert ours["bbox"] == pytest.approx(theirs["bbox"], abs=1e-3)
        assert ours["file_name"] == f"{theirs['image_id'] - 1}.png"
    truth = COCO(str(predict.images_file(out)))
    assert len(truth.loadRes(found).anns) == len(found)  # pycocotools takes both files


def test_overlays_are_drawn_on_the_photographs_whatever_their_names(finished, data, tmp_path, capsys):
    folder = tmp_path / "images"
    for name in ("a/0.jpg", "b/0.jpg", "0.png", "0.webp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(Path(data[0]) / "0.png") as image:
            image.save(folder / name)
            size = image.size
    words = ["predict", str(finished), "--images", str(folder), "--out", str(tmp_path / "f.json")]
    assert transfer.main([*words, "--score", "0", "--draw", "0", "--overlays", str(tmp_path / "drawn")]) == 0
    drawn = sorted(file for file in (tmp_path / "drawn").rglob("*") if file.is_file())
    names = ["0.png", "0.webp", "a/0.jpg", "b/0.jpg"]
    assert [file.relative_to(tmp_path / "drawn").as_posix() for file in drawn] == names
    for file, kind in zip(drawn, ("PNG", "WEBP", "JPEG", "JPEG"), strict=True):
        with Image.open(file) as image, Image.open(folder / file.relative_to(tmp_path / "drawn")) as photograph:
            assert (image.format, image.size) == (kind, size)
            both = (np.asarray(one.convert("RGB")).astype(int) for one in (image, photograph))
            assert np.abs(np.subtract(*both)).max() > 60
    lines = capsys.readouterr().out.splitlines()
    count = int(lines[0].partition(" ")[0])
    assert lines[1] == f"{count} drawn; 0 more lie below a score of 0"


def test_what_lies_below_the_limit_is_counted_and_images_where_nothing_reaches_it_are_not_left_bare(
    finished, data, tmp_path
):
    """No results file is needed for drawings."""
    predictions = predict.predict(finished, data[0], score=0, overlays=tmp_path / "drawn", draw=1.0)
    drawings = predictions.drawings
    assert (drawings.images, drawings.drawn, drawings.below) == (3, 0, len(predictions.detections))
    assert drawings.dimmed + drawings.empty == 3
    assert drawings.dimmed == len({entry["image_id"] for entry in predictions.detections})
    assert f"; on {drawings.dimmed} of 3 images nothing reaches it: their best few are drawn dimmed" in str(drawings)
    for number in {entry["image_id"] for entry in predictions.detections}:
        with Image.open(tmp_path / f"drawn/{number - 1}.png") as image:
            assert np.asarray(image.convert("RGB")).std() > 5
    assert predict.predict(finished, data[0], score=0).drawings is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w, t: w.update(run=str(t)), "record.json is missing"),
        (lambda w, t: w.update(images=str(t / "none")), "expected an image or a folder of images, found nothing"),
        (lambda w, t: w.update(images=str(t)), "expected images (.bmp"),
        (lambda w, t: (t / "out.json").write_text("x"), "out.json is taken: expected a new file, found one"),
        (lambda w, t: w.update(score="2"), "--score, --draw: expected numbers in 0-1, found 2.0"),
    ],
)
def test_what_cannot_be_used(finished, data, tmp_path, capsys, change, said):
    words = {"run": str(finished), "images": data[0], "score": "0"}
    change(words, tmp_path)
    given = ["--images", words["images"], "--out", str(tmp_path / "out.json"), "--score", words["score"]]
    code = transfer.main(["predict", words["run"], *given])
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 1
    assert said in line
    assert [f.name for f in tmp_path.iterdir()] in ([], ["out.json"])


def test_images_that_cannot_be_read_are_counted_and_named_and_the_rest_is_written(finished, data, tmp_path, capsys):
    folder = tmp_path / "images"
    shutil.copytree(data[0], folder)
    (folder / "broken.png").write_text("no image")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(20))
    (folder / "._0.png").write_text("what a Mac leaves beside an image")
    out = tmp_path / "f.json"
    assert transfer.main(["predict", str(finished), "--images", str(folder), "--out", str(out), "--score", "0"]) == 0
    shown = capsys.readouterr()
    (line,) = [line for line in shown.err.splitlines() if "cannot be read" in line]
    assert line.startswith("2 of 5 images cannot be read: ")
    assert "broken.png: UnidentifiedImageError" in line
    assert "cut.jpg: " in line
    assert "detections on 3 images" in shown.out
    listing = json.loads(predict.images_file(out).read_text())
    assert [image["file_name"] for image in listing["images"]] == ["0.png", "1.png", "2.png"]
    assert {entry["image_id"] for entry in json.loads(out.read_text())} <= {1, 2, 3}


def test_a_single_image(finished, data, tmp_path):
    predictions = predict.predict(finished, Path(data[0]) / "1.png", score=0)
    assert [image["file_name"] for image in predictions.listing["images"]] == ["1.png"]
    whole = predict.predict(finished, data[0], score=0)
    assert predictions.detections == [{**entry, "image_id": 1} for entry in whole.detections if entry["image_id"] == 2]


def test_where_no_image_can_be_read_nothing_is_written(finished, tmp_path, capsys):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_text("no image")
    words = ["predict", str(finished), "--images", str(tmp_path / "images"), "--out", str(tmp_path / "f.json")]
    assert transfer.main(words) == 1
    assert "a.png: expected an image, found UnidentifiedImageError" in capsys.readouterr().err
    assert [f.name for f in Path(tmp_path).iterdir()] == ["images"]


def test_files_are_read_ahead_and_come_in_order():
    begun, order = [], []

    def read(file):
        begun.append(file)
        return file * 10

    for file, result in predict._ahead(read, [1, 2, 3, 4, 5, 6]):
        order.append((file, result))
        assert len(begun) <= file + 1 + predict.AHEAD
    assert order == [(k, 10 * k) for k in range(1, 7)]
    assert list(predict._ahead(read, [])) == []


def test_the_least_score_is_kept(finished, data, tmp_path):
    everything = predict.predict(finished, data[0], score=0).detections
    least = sorted(entry["score"] for entry in everything)[len(everything) // 2]
    assert predict.predict(finished, data[0], score=least).detections == [e for e in everything if e["score"] >= least]


def test_overlays_among_the_images_are_refused(data, tmp_path, capsys):
    """The next prediction would take the pictures for images."""
    drawn = Path(data[0]) / "drawn"
    words = ["predict", str(tmp_path), "--images", data[0], "--out", str(tmp_path / "f.json"), "--overlays", str(drawn)]
    assert transfer.main(words) == 1
    assert "--overlays: expected a folder outside of the images, found" in capsys.readouterr().err
    assert not drawn.exists()
