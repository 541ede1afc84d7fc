"""Masks of every kind become the same code, or are refused with the first detection at fault."""

import json

import hotcoco.mask
import pytest

from tests.cases import detection_sets
from tests.cases.detection_sets import edit, read
from transfer.errors import InputError


@pytest.fixture(scope="module")
def content():
    return detection_sets.make(0, images=6)


def shortened(results):
    results[7]["segmentation"]["counts"] = results[7]["segmentation"]["counts"][:-2]


BAD = {
    "other size": (
        edit(["segmentation", "size"], [5, 9]),
        "expected a mask of its image's size, [120, 160]",
    ),
    "cut code": (shortened, "detection 7: expected run lengths that fill its image, 19200 pixels"),
    "no mask at all": (edit(["segmentation"], 5), "detection 7: expected a mask, run lengths that fill its image"),
    "plain runs": (
        edit(["segmentation", "counts"], [5, 5]),
        "detection 7: expected a mask, run lengths that fill its image",
    ),
    "polygon of two points": (edit(["segmentation"], [[1, 2, 3, 4]]), "detection 7: expected a mask"),
    "polygon far away": (edit(["segmentation"], [[1, 2, 9999, 4, 5, 6]]), "not finite, or far from their image"),
    "polygon of texts": (edit(["segmentation"], [["1", 2, 3, 4, 5, 6]]), "polygons of other things than numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_content_is_refused_in_one_line(content, tmp_path, case):
    change, line = BAD[case]
    truth, results = json.loads(json.dumps(content))
    change(results)
    with pytest.raises(InputError) as error:
        read(tmp_path, truth, results, ["bbox", "segm"])
    assert line in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'results.json'}: ")
    assert "\n" not in str(error.value)


def test_a_mask_may_be_polygons_or_plain_runs(content, tmp_path):
    """Each is drawn as its compressed code is."""
    truth, results = json.loads(json.dumps(content))
    sizes = {image["id"]: [image["height"], image["width"]] for image in truth["images"]}
    codes = read(tmp_path / "codes", truth, results).masks
    runs = json.loads(json.dumps(results))
    for entry in runs:
        mask = hotcoco.mask.decode({**entry["segmentation"], "counts": entry["segmentation"]["counts"].encode()})
        entry["segmentation"] = {"size": sizes[entry["image_id"]], "counts": detection_sets._runs(mask)}
    assert read(tmp_path / "runs", truth, runs).masks == codes
    for entry in results:
        x, y, w, h = entry["bbox"]
        entry["segmentation"] = [[x, y, x + w, y, x + w, y + h / 2, x + w / 3, y + h]]
    assert read(tmp_path / "polygons", truth, results).masks == codes
