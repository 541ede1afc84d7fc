"""1,000 damages of good COCO, results and VOC files: one line, or the right numbers, and no AP that moves unsaid.

Where a damaged file is measured all the same, its AP is that of the whole file, or something is said, or pycocotools
(for VOC: Detectron2's reader) makes the same of the damaged file: then it is another file, not a damaged one.
"""

import contextlib
import io
import json
import logging
import shutil
from pathlib import Path

import pytest
from detectron2.data.datasets import load_voc_instances
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.cases import damages, detection_sets
from tests.cases.coco_sets import write_coco
from tests.cases.detector_sets import write_voc
from transfer.__main__ import main
from transfer.data import check, voc
from transfer.errors import InputError
from transfer.records import record_file

CASES = {"ground truth": 400, "results": 400, "voc": 200}
PART = 40
CLASSES = ("cross", "square")


def parts(kind):
    """Twenty-fives of all cases: the first ones run always, 200 in all, the others with the slow tests."""
    count = CASES[kind] // PART
    fast = count // 5
    return [pytest.param(i, marks=() if i < fast else pytest.mark.slow) for i in range(count)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A set with polygons, run lengths and crowds, detections of it, and its AP of boxes and masks."""
    truth, results = detection_sets.make(0, images=5, classes=4, many=10)
    folder = tmp_path_factory.mktemp("whole")
    truth["categories"] = truth["categories"][:3]
    results = [entry for entry in results if entry["category_id"] < 4]
    detection_sets.write(folder, truth, results)
    assert evaluate(folder, folder / "record.json") == 0
    return truth, results, aps(folder / "record.json")


def evaluate(folder, out):
    words = ["--gt", folder / "ann.json", "--detections", folder / "results.json", "--out", out, "--force"]
    return main(["evaluate", *map(str, words)])


def aps(record):
    metrics = record_file.read(record).metrics
    return [metrics[task]["AP"] for task in ("bbox", "segm")]


def reference(truth, results):
    """The AP that pycocotools makes of both files as they are; None where it stops."""
    values = []
    for task, other in (("bbox", "segmentation"), ("segm", "bbox")):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                coco = COCO()
                coco.dataset = json.loads(truth)
                for number, entry in enumerate(coco.dataset["annotations"], 1):
                    entry["id"] = number  # which it would take for no match
                coco.createIndex()
                entries = [{k: v for k, v in e.items() if k != other} for e in json.loads(results)]
                run = COCOeval(coco, coco.loadRes(entries), task)
                run.evaluate()
                run.accumulate()
                run.summarize()
            values.append(100 * float(run.stats[0]))
        except Exception:  # whatever it stops with
            values.append(None)
    return values


def check_measured(folder, before, warnings):
    now = aps(folder / "record.json")
    if now == pytest.approx(before, nan_ok=True) or warnings:
        return
    theirs = reference((folder / "ann.json").read_bytes(), (folder / "results.json").read_bytes())
    assert now == pytest.approx([t if n is not None else None for t, n in zip(theirs, now, strict=True)])
    assert now != [None, None]


@pytest.mark.filterwarnings("ignore")  # NumPy's, about what pycocotools is given
@pytest.mark.parametrize(
    ("kind", "part"),
    [pytest.param(kind, *p.values, marks=p.marks) for kind in CASES if kind != "voc" for p in parts(kind)],
)
def test_a_damaged_file_is_one_line_or_the_right_numbers(world, tmp_path, capsys, caplog, kind, part):
    truth, results, before = world
    refused = 0
    for case in range(part * PART, (part + 1) * PART):
        rng = damages.generator(case, sorted(CASES).index(kind))
        folder = tmp_path / str(case)
        detection_sets.write(folder, truth, results)
        file, content = ("ann.json", truth) if kind == "ground truth" else ("results.json", results)
        (folder / file).write_bytes(damages.json_bytes(content, rng))
        caplog.clear()
        capsys.readouterr()
        with caplog.at_level(logging.WARNING):
            code = evaluate(folder, folder / "record.json")
        errors = capsys.readouterr().err.splitlines()
        if code == 0:
            check_measured(folder, before, caplog.text)
        else:
            refused += 1
            assert code == 1
            lines = [line for line in errors if line.startswith("transfer evaluate: ")]
            assert len(lines) == 1, (case, errors)
            assert errors[-1] == lines[0], (case, errors)
            assert str(folder) in lines[0], (case, errors)
            assert not (folder / "record.json").exists()
        shutil.rmtree(folder)
    assert refused > PART // 2


@pytest.fixture(scope="module")
def voc_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voc")
    return write_voc(*write_coco(folder / "coco", 4), folder / "VOC2007", ("trainval", "train", "val", "test"))


def boxes(content):
    images = {image["id"]: Path(image["file_name"]).name for image in content["images"]}
    return sorted((images[a["image_id"]], a["category_id"] - 1, a["bbox"]) for a in content["annotations"])


def detectron2s(root):
    """What Detectron2's own reader makes of the folder; None where it stops."""
    try:
        return sorted(
            (
                Path(r["file_name"]).name,
                a["category_id"],
                [a["bbox"][0], a["bbox"][1]] + [a["bbox"][i + 2] - a["bbox"][i] for i in (0, 1)],
            )
            for r in load_voc_instances(str(root), "trainval", list(CLASSES))
            for a in r["annotations"]
        )
    except Exception:  # whatever it stops with
        return None


def listed(file, whole):
    """The boxes of the images that a list names: a shorter list is another list."""
    names = [f"{line.split()[0]}.jpg" for line in file.read_text().splitlines() if line.strip()]
    return sorted(box for name in names for box in whole if box[0] == name)


def read_voc(root):
    """The line that refuses the folder, or (content, what is only counted)."""
    try:
        data = voc.read_voc([voc.VocSplit(root, "trainval")], CLASSES, masks=False)
        return data.content, check.check(data, masks=False)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("part", parts("voc"))
def test_a_damaged_voc_folder_is_one_line_or_the_right_boxes(voc_root, tmp_path, part):
    whole = boxes(voc.read_voc([voc.VocSplit(voc_root, "trainval")], CLASSES, masks=False).content)
    assert whole == detectron2s(voc_root)
    refused = 0
    for case in range(part * PART, (part + 1) * PART):
        rng = damages.generator(case, 99)
        root = tmp_path / str(case) / "VOC2007"
        shutil.copytree(voc_root, root)
        files = [root / "ImageSets/Main/trainval.txt", *sorted((root / "Annotations").glob("*.xml"))]
        file = files[rng.integers(len(files))]
        damage = damages.bytes_of if file.suffix == ".txt" else damages.xml_text
        file.write_bytes(damage(file.read_bytes(), rng))
        outcome = read_voc(root)
        if isinstance(outcome, str):
            refused += 1
            assert len(outcome.splitlines()) == 1, (case, file)
            assert str(root) in outcome, (case, file)
        else:
            content, lines = outcome
            wanted = listed(file, whole) if file.suffix == ".txt" else detectron2s(root)
            assert boxes(content) == whole or lines or boxes(content) == wanted, (case, file)
        shutil.rmtree(root)
    assert refused > PART // 4
