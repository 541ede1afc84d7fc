"""Ground truth and detections in COCO's and LVIS's formats, with everything that makes an evaluation hard."""

import json

import hotcoco.mask
import numpy as np
from pycocotools import mask as coco_mask

SIZES = ((120, 160), (200, 140), (64, 96), (240, 240))  # height, width


def make(seed=0, images=12, classes=6, masks=True, many=130, lvis=False):
    """Return (ground truth, detections).

    The last class has no object; image 2 has no object and image 3 no detection; image 4 has ``many`` detections of
    one class; scores have one decimal, so that they tie; every third image has a crowd; objects are polygons (in two
    parts now and then) and run lengths; sizes reach from a few pixels to the whole image.
    """
    rng = np.random.default_rng(seed)
    sizes = {100 + i: SIZES[i % len(SIZES)] for i in range(images)}
    truth, detections = [], []
    for i, (image_id, size) in enumerate(sizes.items()):
        for _ in range(0 if i == 2 else int(rng.integers(1, 7))):
            truth.append(annotation(rng, image_id, size, int(rng.integers(1, classes)), masks))
        if i % 3 == 0 and not lvis:
            truth.append(annotation(rng, image_id, size, int(rng.integers(1, classes)), masks, crowd=True))
        here = [entry for entry in truth if entry["image_id"] == image_id]
        for _ in range(0 if i == 3 else many if i == 4 else int(rng.integers(0, 20))):
            near = here[rng.integers(len(here))] if here and rng.random() < 0.8 else None
            category = near["category_id"] if near and rng.random() < 0.8 else int(rng.integers(1, classes + 1))
            detections.append(detection(rng, image_id, size, 2 if i == 4 else category, near, masks))
    for number, entry in enumerate(truth):
        entry["id"] = number  # from 0 on, which pycocotools does not expect
    listed = [{"id": i, "file_name": f"{i}.png", "height": h, "width": w} for i, (h, w) in sizes.items()]
    names = [{"id": c, "name": f"class {c}"} for c in range(1, classes + 1)]
    if lvis:
        for image in listed:
            image["neg_category_ids"] = rng.choice(classes, 2, replace=False).tolist()
            image["not_exhaustive_category_ids"] = rng.choice(np.arange(1, classes + 1), 1).tolist()
        for i, category in enumerate(names):
            category["frequency"] = "rcf"[i % 3]
    return {"images": listed, "annotations": truth, "categories": names}, detections


def annotation(rng, image_id, size, category, masks, crowd=False):
    box = _box(rng, size)
    entry = {"image_id": image_id, "category_id": category, "iscrowd": int(crowd), "bbox": box, "area": box[2] * box[3]}
    if masks:
        x, y, w, h = box
        polygons = [[x, y, x + w, y, x + w, y + h / 2, x + w / 3, y + h]]
        if rng.random() < 0.3:
            polygons.append([x, y, x + 3, y, x, y + h])
        code = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
        entry["area"] = float(coco_mask.area(code))
        plain = crowd or rng.random() < 0.3
        entry["segmentation"] = {"size": list(size), "counts": _runs(hotcoco.mask.decode(code))} if plain else polygons
    return entry


def detection(rng, image_id, size, category, near, masks):
    """A detection near an object, or anywhere."""
    box = _box(rng, size)
    if near:
        box = [max(0.0, v + float(rng.normal(0, 0.12 * near["bbox"][2 + i % 2]))) for i, v in enumerate(near["bbox"])]
        box[2:] = [max(1.0, v) for v in box[2:]]
    entry = {"image_id": image_id, "category_id": category, "score": round(float(rng.random()), 1), "bbox": box}
    if masks:
        x, y, w, h = box
        code = coco_mask.merge(coco_mask.frPyObjects([[x, y, x + w, y, x + w, y + h / 2, x + w / 3, y + h]], *size))
        entry["segmentation"] = {"size": list(size), "counts": code["counts"].decode()}
    return entry


def write(folder, truth, detections):
    """Write both as files; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "ann.json", folder / "results.json"
    for path, content in zip(paths, (truth, detections), strict=True):
        path.write_text(json.dumps(content))
    return paths


def _box(rng, size):
    w, h = (max(2.0, float(v * rng.beta(1, 2.5))) for v in (size[1], size[0]))
    return [float(rng.uniform(0, size[1] - w)), float(rng.uniform(0, size[0] - h)), w, h]


def _runs(mask):
    """Plain run lengths, zeros first, down the columns."""
    flat = mask.flatten(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *changes.tolist(), flat.size]).tolist()
    return [0, *runs] if flat[0] else runs


def edit(place, value):
    """Return a function that changes one field of detection 7 of a list; KeyError as value takes it out."""

    def change(results):
        entry = results[7]
        for key in place[:-1]:
            entry = entry[key]
        if value is KeyError:
            del entry[place[-1]]
        else:
            entry[place[-1]] = value

    return change


def read(folder, truth, results, tasks=None):
    """Write both as files and read the detections; return them."""
    from transfer.evaluation import detections, ground_truth

    gt, file = write(folder, truth, results)
    return detections.read(file, ground_truth.read(gt), tasks)
