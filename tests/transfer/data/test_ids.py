"""Ids of every kind, through the reader and every engine: perfect detections are worth 100, whatever the ids are."""

import json

import pytest

from tests.cases.coco_sets import edit, write_coco
from transfer.data import ids
from transfer.errors import InputError
from transfer.evaluation import detections, ground_truth, measure, tide
from transfer.evaluation.matching import match
from transfer.evaluation.objects import Objects

KINDS = {
    "small": lambda i: i + 1,
    "from zero": lambda i: i,
    "negative": lambda i: i - 5,
    "beyond 2^53": lambda i: 2**53 + i,
    "hashes": lambda i: 2**60 + 7919 * i,
    "at 2^63": lambda i: 2**63 - 2 + i,
    "at 2^64": lambda i: 2**64 - 2 + i,
    "beyond any machine's": lambda i: 10**30 + i,
    "very negative": lambda i: -(2**70) - i,
    "whole floats": lambda i: float(i),
    "texts": lambda i: f"image-{i:03d}",
    "texts of numbers": lambda i: str(100 - i),
}


def perfect(folder, kind, n=6):
    """A set whose images and classes have such ids, in an order that is not theirs, and its perfect detections."""
    images, ann = write_coco(folder, n, classes=("a", "b", "c"))
    change = KINDS[kind]

    def rename(content):
        for image in content["images"]:
            image["id"] = change(image["id"])
        for category in content["categories"]:
            category["id"] = change(category["id"])
        for annotation in content["annotations"]:
            annotation["id"] = change(annotation["id"])
            annotation["image_id"], annotation["category_id"] = map(
                change, (annotation["image_id"], annotation["category_id"])
            )
        content["images"].reverse()

    edit(ann, rename)
    with open(ann, encoding="utf-8") as file:
        truth = json.load(file)
    fields = ("image_id", "category_id", "bbox", "segmentation")
    detected = [{key: a[key] for key in fields} | {"score": 0.9} for a in truth["annotations"]]
    results = folder / "results.json"
    results.write_text(json.dumps(detected))
    return images, folder / "ann.json", results


@pytest.mark.parametrize("engine", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize("kind", KINDS)
def test_perfect_detections_are_worth_100_under_any_ids(tmp_path, kind, engine):
    _, gt, results = perfect(tmp_path / "set", kind)
    truth = ground_truth.read(gt)
    detected = detections.read(results, truth)
    measured = measure.measure(truth, detected, engine, cross_check=True)
    for task in ("bbox", "segm"):
        assert measured.metrics[task]["AP"] == pytest.approx(100)
        assert measured.per_class[task] == dict.fromkeys(measured.per_class[task], pytest.approx(100))
        assert len(measured.per_class[task]) == 3
        assert tide.errors(truth, detected, task).ap50 == pytest.approx(100)
        assert (match(Objects(truth, task), detected).object >= 0).all()
    assert sorted(truth.sizes) == list(range(1, 7))
    with gt.open(encoding="utf-8") as file:
        content = json.load(file)
    assert truth.image_ids == sorted(ids.plain(image["id"]) for image in content["images"])
    assert truth.category_ids == sorted(ids.plain(category["id"]) for category in content["categories"])


@pytest.mark.parametrize("kind", KINDS)
def test_one_unit_beside_an_id_is_another_id(tmp_path, kind):
    """Neighbouring whole numbers stay apart, however large."""
    _, gt, results = perfect(tmp_path / "set", kind)
    truth = ground_truth.read(gt)
    detected = json.loads(results.read_text())
    last = max(entry["image_id"] for entry in detected)
    detected[0]["image_id"] = f"{last} " if isinstance(last, str) else last + 1
    results.write_text(json.dumps(detected))
    with pytest.raises(InputError, match="detection 0: expected an image_id of the ground truth, found"):
        detections.read(results, truth)


@pytest.mark.parametrize("kind", KINDS)
def test_detectron2_trains_on_them(tmp_path, kind):
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from transfer.data import splits

    images, gt, _ = perfect(tmp_path / "set", kind)
    split, _ = splits.from_files(images, str(gt), masks=True)
    name = splits.register(split, f"train_{kind}")
    records = DatasetCatalog.get(name)
    content = json.loads(gt.read_text())
    assert [r["image_id"] for r in records] == sorted(ids.plain(image["id"]) for image in content["images"])
    files = {ids.plain(image["id"]): image["file_name"] for image in content["images"]}
    by_image = {ids.plain(a["image_id"]): a for a in content["annotations"]}
    order = sorted(ids.plain(c["id"]) for c in content["categories"])
    for record in records:
        (entry,) = record["annotations"]
        wanted = by_image[record["image_id"]]
        assert record["file_name"].endswith(files[record["image_id"]])
        assert entry["category_id"] == order.index(ids.plain(wanted["category_id"]))
        assert (entry["bbox"], entry["segmentation"]) == (wanted["bbox"], wanted["segmentation"])
    assert MetadataCatalog.get(name).thing_classes == split.classes
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


@pytest.mark.parametrize(
    "value", [True, None, 1.5, 2.0**53, -(2.0**60), float("nan"), float("inf"), "", " ", "a\nb", [], {}]
)
def test_what_is_no_id(value):
    assert ids.plain(value) is None


@pytest.mark.parametrize(
    ("value", "plain"), [(3, 3), (3.0, 3), (-0.0, 0), (10**40, 10**40), ("7", "7"), ("Straße 5.jpg", "Straße 5.jpg")]
)
def test_what_is_one(value, plain):
    assert ids.plain(value) == plain
    assert type(ids.plain(value)) is type(plain)
