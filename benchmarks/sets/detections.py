"""A ground truth and detections of COCO val2017's density, made up, to time evaluations on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

HEIGHT, WIDTH, CLASSES = 480, 640, 80
OBJECTS = 7  # an image, as in COCO val2017 (36 781 in 5000)


def build(folder: Path, images: int, per_image: int, seed: int = 0) -> tuple[Path, Path]:
    """Write a ground truth and a results file; return their paths.

    Three of four detections lie near an object and most of these have its class, so that every path of the matching
    is taken; masks are polygons of 12 corners, detections' are run-length codes, as Detectron2 writes them.
    """
    rng = np.random.default_rng(seed)
    truth: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for image_id in range(1, images + 1):
        here = []
        for _ in range(OBJECTS):
            w, h = np.clip(rng.lognormal(4, 0.9, 2), 6, (WIDTH - 2, HEIGHT - 2))
            box = np.array([rng.uniform(0, WIDTH - w), rng.uniform(0, HEIGHT - h), w, h])
            here.append((box, int(rng.integers(1, CLASSES + 1))))
            polygon = _polygon(rng, box)
            entry = {"image_id": image_id, "category_id": here[-1][1], "bbox": _rounded(box), "iscrowd": 0}
            truth.append({**entry, "id": len(truth) + 1, "area": box[2] * box[3] * 0.75, "segmentation": [polygon]})
        for _ in range(per_image):
            box, category = here[rng.integers(OBJECTS)]
            if rng.random() < 0.25:
                box = np.array([rng.uniform(0, WIDTH / 2), rng.uniform(0, HEIGHT / 2), WIDTH / 5, HEIGHT / 5])
            box = box + rng.normal(0, 0.06, 4) * np.tile(box[2:], 2)
            if rng.random() < 0.3:
                category = int(rng.integers(1, CLASSES + 1))
            code = coco_mask.frPyObjects([_polygon(rng, box)], HEIGHT, WIDTH)[0]
            mask = {"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()}
            score = float(np.float32(rng.random()))
            entry = {"image_id": image_id, "category_id": category, "bbox": _rounded(box), "score": score}
            detections.append({**entry, "segmentation": mask})
    listed = [{"id": i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(1, images + 1)]
    names = [{"id": i, "name": f"class {i}"} for i in range(1, CLASSES + 1)]
    paths = folder / "ann.json", folder / "results.json"
    paths[0].write_text(json.dumps({"images": listed, "annotations": truth, "categories": names}))
    paths[1].write_text(json.dumps(detections))
    return paths


def _polygon(rng: np.random.Generator, box: np.ndarray) -> list[float]:
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    radii = rng.uniform(0.8, 1.0, 12)
    x = np.clip(box[0] + box[2] / 2 * (1 + radii * np.cos(angles)), 0, WIDTH)
    y = np.clip(box[1] + box[3] / 2 * (1 + radii * np.sin(angles)), 0, HEIGHT)
    return _rounded(np.stack([x, y], 1).ravel())


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(v), 2) for v in values]
