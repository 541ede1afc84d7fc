import math

from transfer.finetuning import outcome
from transfer.records.record import ALL_METRICS


def test_not_measured_is_null_and_single_classes_have_the_ap_of_the_task():
    found = {
        "bbox": {
            "AP": 12.5,
            "AP50": -1,
            "AP75": math.nan,
            "APs": 0.0,
            "APm": 1.0,
            "APl": 2.0,
            "AP-a": math.nan,
            "AP-b": 3.0,
        }
    }
    measured, per_class = outcome.from_detectron2(found, ("a", "b"))
    found = {"AP": 12.5, "AP50": None, "AP75": None, "APs": 0.0, "APm": 1.0, "APl": 2.0}
    assert measured["bbox"] == dict.fromkeys(ALL_METRICS) | found
    assert set(measured["segm"].values()) == {None}
    assert per_class == {"bbox": {"a": None, "b": 3.0}, "segm": {}}
    assert outcome.from_detectron2({"bbox": found}, ("only",))[1]["bbox"] == {"only": 12.5}
