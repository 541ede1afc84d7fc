"""Run records for tests."""

from transfer.records.record import ALL_METRICS, Config, Counts, Data, Record, Schedule, Seconds, Split, Weights

METRICS = dict.fromkeys(ALL_METRICS) | {
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
    split = Split("images", "ann.json", "f" * 64, 10, 20, ["zero", "one"])
    weights = Weights("a.pth", "0" * 64, 100, 100, init, {"epoch": "3"})
    fields = {
        "name": f"{init}-{seed}",
        "init": init,
        "seed": seed,
        "weights": None if init == "random" else weights,
        "config": Config("c.yaml", "1" * 64),
        "data": Data(split, split),
        "schedule": Schedule(100, 4, 0.02, [60, 80], 10),
        "engine": "pycocotools",
        "versions": {"torch": "2.11.0"},
        "device": "CPU",
        "seconds": Seconds(1.5, None),
        "metrics": {"bbox": METRICS | (bbox or {}), "segm": METRICS | (segm or {})},
        "per_class": {"bbox": {"zero": 12.5, "one": None}, "segm": {}},
        "detections": None,
        "counts": Counts(images=10, objects=19, crowds=1, classes=2, detections=None),
    }
    return Record(**(fields | changes))
