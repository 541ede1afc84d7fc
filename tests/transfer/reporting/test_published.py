import dataclasses

import pytest

from tests.cases.records import make_record
from transfer.records.record import Config, Data, Schedule, Split
from transfer.reporting import published


def coco_record(config="configs/segmentation/coco_mask_rcnn_R_50_C4_1x.yaml", max_iter=90000, batch=16, **changes):
    train = Split("train2017", "instances_train2017.json", "a" * 64, 118287, 860001, ["x"] * 80)
    val = Split("val2017", "instances_val2017.json", "b" * 64, 5000, 36781, ["x"] * 80)
    fields = {
        "config": Config(config, "1" * 64),
        "data": Data(train, val),
        "schedule": Schedule(max_iter, batch, 0.02, [], 100),
    }
    return make_record("metamask", **(fields | changes))


def test_rows_are_complete_and_in_range():
    rows = published.rows()
    assert len(rows) == len({(row.name, row.protocol) for row in rows}) > 30
    for row in rows:
        assert row.status in (published.VERIFIED, published.MEMORY)
        assert row.source
        aps = [m["AP"] for m in row.metrics.values() if m]
        assert aps
        assert all(20 < ap < 70 for ap in aps)
        for metrics in row.metrics.values():
            if metrics and metrics["AP50"] is not None:
                assert metrics["AP"] < metrics["AP75"] + 5 < metrics["AP50"] + 5
    for row in published.frozen_rows():
        assert len(row.accuracy) == 4
        assert all(0 < value < 100 for top1 in row.accuracy.values() for value in top1.values())


def test_known_numbers_are_in_their_places():
    rows = {(row.name, row.protocol): row for row in published.rows()}
    c4 = rows["Barlow Twins + CompMod", "COCO 2017, mask_rcnn_R_50_C4, 1x"]
    assert c4.metrics == {
        "bbox": {"AP": 39.1, "AP50": 59.3, "AP75": 43.1},
        "segm": {"AP": 35.2, "AP50": 56.2, "AP75": 36.9},
    }
    voc = rows["MoCo v2, 800 epochs", "VOC 07+12, faster_rcnn_R_50_C4, 24k"]
    assert voc.metrics["bbox"] == {"AP": 57.4, "AP50": 82.5, "AP75": 64.0}
    assert rows["SimSiam", "VOC 07+12, faster_rcnn_R_50_C4, 24k"].status == published.MEMORY


def test_rows_of_the_same_detector_data_and_schedule_stand_beside_ours():
    rows = published.beside([coco_record()])
    assert {row.protocol for row in rows} == {"COCO 2017, mask_rcnn_R_50_C4, 1x"}
    assert len(rows) == 13
    one_gpu = published.beside([coco_record(max_iter=720000, batch=2)])  # the same number of images
    assert rows == one_gpu
    fpn = coco_record("coco_mask_rcnn_R_50_FPN_1x.yaml")
    assert {row.detector for row in published.beside([fpn])} == {"mask_rcnn_R_50_FPN"}


@pytest.mark.parametrize(
    "changes",
    [
        {"max_iter": 45000},
        {"max_iter": 180000},
        {"config": "configs/segmentation/any_mask_rcnn_R_18_FPN_small.yaml"},
        {"config": "configs/segmentation/coco_mask_rcnn_R_50_C4_2x.yaml"},
        {"label_fraction": 0.1},
        {"label_fraction": None},
        {"schedule": None},
    ],
)
def test_everything_else_stands_apart(changes):
    config = changes.pop("config", "configs/segmentation/coco_mask_rcnn_R_50_C4_1x.yaml")
    assert published.beside([coco_record(config, **changes)]) == []


def test_other_data_stands_apart():
    record = coco_record()
    small = dataclasses.replace(record.data.val, n_images=500)
    assert published.beside([dataclasses.replace(record, data=Data(record.data.train, small))]) == []
    assert published.beside([dataclasses.replace(record, data=Data(None, record.data.val))]) == []
    assert published.beside([record, make_record()]) == []
