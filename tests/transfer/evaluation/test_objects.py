"""Objects and crowd regions by image, as the matchers take them."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.cases import detection_sets
from transfer.evaluation import detections, ground_truth
from transfer.evaluation.objects import Objects


@pytest.fixture
def files(tmp_path):
    truth, results = detection_sets.make(0, images=6)
    truth["annotations"].reverse()  # objects of an image follow no order of ids
    truth["categories"].reverse()
    return truth, results, *detection_sets.write(tmp_path, truth, results)


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_objects_and_crowds_apart_each_image_s_together(files, task):
    content, _, gt, _ = files
    objects = Objects(ground_truth.read(gt), task)
    ids = sorted(image["id"] for image in content["images"])
    assert objects.images.tolist() == [1, 2, 3, 4, 5, 6]
    assert objects.classes.tolist() == [1, 2, 3, 4, 5, 6]
    for regions, crowd in ((objects.real, 0), (objects.crowd, 1)):
        expected = [a for i in ids for a in content["annotations"] if (a["image_id"], a["iscrowd"]) == (i, crowd)]
        assert [entry["bbox"] for entry in regions.entries] == [entry["bbox"] for entry in expected]
        assert [ids[i] for i in regions.image] == [entry["image_id"] for entry in expected]
        assert (regions.category + 1).tolist() == [entry["category_id"] for entry in expected]
        counts = [sum(entry["image_id"] == i for entry in expected) for i in ids]
        assert np.diff(regions.start).tolist() == counts
        assert [len(regions.places(k)) for k in range(6)] == counts
    assert len(objects.crowd.entries) == 2


def test_places_are_boxes_or_the_masks_of_that_image(files):
    content, _, gt, _ = files
    truth = ground_truth.read(gt)
    kinds = {(type(a["segmentation"]), len(a["segmentation"])) for a in content["annotations"]}
    assert {(list, 1), (list, 2), (dict, 2)} <= kinds  # one polygon, two, plain run lengths
    boxes, masks = Objects(truth, "bbox").real, Objects(truth, "segm").real
    for image in range(6):
        entries = boxes.entries[boxes.start[image] : boxes.start[image + 1]]
        assert boxes.places(image).tolist() == [entry["bbox"] for entry in entries]
        # The area in the file is the mask's own, drawn polygon by polygon.
        assert coco_mask.area(masks.places(image)).tolist() == [entry["area"] for entry in entries]
        assert all(code["size"] == list(truth.sizes[image + 1]) for code in masks.places(image))


def test_compressed_codes_pass_unchanged(files, tmp_path):
    content, _, _, _ = files
    size = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    for entry in content["annotations"]:
        height, width = size[entry["image_id"]]
        code = coco_mask.frPyObjects(np.array([entry["bbox"]]), height, width)[0]
        entry["segmentation"] = {"size": [height, width], "counts": code["counts"].decode()}
    (tmp_path / "codes.json").write_text(json.dumps(content))
    regions = Objects(ground_truth.read(tmp_path / "codes.json"), "segm").real
    assert [code for image in range(6) for code in regions.places(image)] == [
        e["segmentation"] for e in regions.entries
    ]


def test_detections_point_at_their_image_and_class(files):
    content, results, gt, file = files
    truth = ground_truth.read(gt)
    images, classes = Objects(truth, "bbox").indices(detections.read(file, truth))
    ids = sorted(image["id"] for image in content["images"])
    assert [ids[i] for i in images] == [entry["image_id"] for entry in results]
    assert (classes + 1).tolist() == [entry["category_id"] for entry in results]
