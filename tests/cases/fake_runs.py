"""Run folders as train_net leaves them, with detections made from the ground truth, for tests of the report."""

import dataclasses
import hashlib
import json

import numpy as np
from pycocotools import mask as coco_mask

from tests.cases.records import make_record
from transfer.comparison.matcher import Matcher
from transfer.evaluation import weighted_ap
from transfer.records import record_file
from transfer.records.record import TASKS, Data, Split


def make_run(folder, data, init="random", seed=0, shift=3, share=1.0, **changes):
    """Write a run on the digits set ``data``: its detections are true masks moved right by about ``shift`` pixels.

    A ``share`` of the objects is detected. The record's AP, AP50, AP75 and classes are those of the detections.
    """
    annotations = data / "coco/annotations/instances_val.json"
    content = json.loads(annotations.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    rng = np.random.default_rng(seed)
    detections = []
    for entry in content["annotations"]:
        code = coco_mask.merge(coco_mask.frPyObjects(entry["segmentation"], *sizes[entry["image_id"]]))
        by = int(rng.integers(0, 2 * shift + 1))
        moved = coco_mask.encode(np.asfortranarray(np.roll(coco_mask.decode(code), by, axis=1)))
        moved["counts"] = moved["counts"].decode()
        x, y, w, h = entry["bbox"]
        one = {"image_id": entry["image_id"], "category_id": entry["category_id"], "segmentation": moved}
        one |= {"bbox": [x + by, y, w, h], "score": round(float(rng.uniform(0.3, 1)), 3)}
        if rng.uniform() < share:
            detections.append(one)
    (folder / "inference").mkdir(parents=True)
    file = folder / "inference/coco_instances_results.json"
    file.write_text(json.dumps(detections))
    val = Split(
        str(data / "coco/val"),
        str(annotations),
        hashlib.sha256(annotations.read_bytes()).hexdigest(),
        len(content["images"]),
        len(content["annotations"]),
        [category["name"] for category in content["categories"]],
    )
    fields = {
        "name": folder.name,
        "data": Data(val, val),
        "detections": "inference/coco_instances_results.json",
    }
    record = make_record(init, seed, **(fields | changes))
    metrics, per_class = measure(annotations, file)
    metrics = {task: record.metrics[task] | values for task, values in metrics.items()}
    record_file.write(folder / record_file.FILE_NAME, dataclasses.replace(record, metrics=metrics, per_class=per_class))
    return folder


def measure(annotations, detections):
    """AP, AP50, AP75 and per class, in percent, of a results file."""
    matcher = Matcher(annotations, "coco")
    read = matcher.read(detections, TASKS)
    metrics, per_class = {}, {}
    for task in TASKS:
        matches = matcher.match(read, task)
        once = weighted_ap.average_precision(matches, np.ones((1, matcher.images), dtype=np.int64))
        metrics[task] = {name: _number(value[0]) for name, value in weighted_ap.summary(once).items()}
        aps = weighted_ap.per_class(once)[0]
        per_class[task] = {name: _number(ap) for name, ap in zip(matches.classes, aps, strict=True)}
    return metrics, per_class


def _number(value):
    return None if np.isnan(value) else float(value)
