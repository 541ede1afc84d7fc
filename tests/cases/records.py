"""Run records for tests."""

from transfer.records import record_file

METRICS = dict.fromkeys(record_file.ALL_METRICS) | {
    "AP": 12.5,
    "AP50": 30.0,
    "AP75": 0.0,
    "APs": None,
    "APm": 12.0,
    "APl": 100.0,
    "AR100": 20.5,
}


def make_record(init="random", seed=0, bbox=None, segm=None, **changes):
    """A valid record; ``bbox`` and ``segm`` replace some metrics, ``changes`` whole fields."""
    split = record_file.Split("images", "ann.json", "f" * 64, 10, 20, ["zero", "one"])
    weights = record_file.Weights("a.pth", "0" * 64, 100, 100, init, {"epoch": "3"})
    fields = {
        "name": f"{init}-{seed}",
        "init": init,
        "seed": seed,
        "weights": None if init == "random" else weights,
        "config": record_file.Config("c.yaml", "1" * 64),
        "data": record_file.Data(split, split),
        "schedule": record_file.Schedule(100, 4, 0.02, [60, 80], 10),
        "engine": "pycocotools",
        "versions": {"torch": "2.11.0"},
        "device": "CPU",
        "seconds": record_file.Seconds(1.5, None),
        "metrics": {"bbox": METRICS | (bbox or {}), "segm": METRICS | (segm or {})},
        "per_class": {"bbox": {"zero": 12.5, "one": None}, "segm": {}},
        "detections": None,
        "counts": record_file.Counts(images=10, objects=19, crowds=1, classes=2, detections=None),
    }
    return record_file.Record(**(fields | changes))
