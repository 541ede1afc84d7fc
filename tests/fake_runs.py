"""Run folders as train_net leaves them, with detections made from the ground truth, for tests of the report."""

import hashlib
import json

import numpy as np
from pycocotools import mask as coco_mask

from tests.records import make_record
from transfer import results


def make_run(folder, data, init="random", seed=0, shift=3, **changes):
    """Write a run on the digits set ``data``: its detections are the true masks, moved right by ``shift`` pixels."""
    annotations = data / "coco/annotations/instances_val.json"
    content = json.loads(annotations.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    rng = np.random.default_rng(seed)
    detections = []
    for entry in content["annotations"]:
        code = coco_mask.merge(coco_mask.frPyObjects(entry["segmentation"], *sizes[entry["image_id"]]))
        moved = coco_mask.encode(np.asfortranarray(np.roll(coco_mask.decode(code), shift, axis=1)))
        moved["counts"] = moved["counts"].decode()
        x, y, w, h = entry["bbox"]
        found = {"image_id": entry["image_id"], "category_id": entry["category_id"], "segmentation": moved}
        detections.append({**found, "bbox": [x + shift, y, w, h], "score": round(float(rng.uniform(0.3, 1)), 3)})
    (folder / "inference").mkdir(parents=True)
    (folder / "inference/coco_instances_results.json").write_text(json.dumps(detections))
    val = results.Split(
        str(data / "coco/val"),
        str(annotations),
        hashlib.sha256(annotations.read_bytes()).hexdigest(),
        len(content["images"]),
        len(content["annotations"]),
        [category["name"] for category in content["categories"]],
    )
    fields = {
        "name": folder.name,
        "data": results.Data(val, val),
        "detections": "inference/coco_instances_results.json",
        "per_class": {
            "bbox": {"zero": 10.0, "two": 20.0, "four": None},
            "segm": {"zero": 1.0, "two": 2.0, "four": 3.0},
        },
    }
    results.write(folder / results.FILE_NAME, make_record(init, seed, **(fields | changes)))
    return folder
