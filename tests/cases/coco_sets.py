"""Tiny COCO-format data sets on disk, for the tests of fine-tuning."""

import json

import numpy as np
from PIL import Image

CLASSES = ("square", "cross")


def write_coco(folder, n_images=4, *, seed=0, size=64, classes=CLASSES, rle=False):
    """Write ``folder/images`` and ``folder/ann.json`` (one filled square per image); return both as strings."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for i in range(n_images):
        side, x, y = 24, *map(int, rng.integers(0, size - 24, 2))
        pixels = rng.integers(0, 80, (size, size, 3), dtype=np.uint8)
        pixels[y : y + side, x : x + side] = (255, 60 * (i % 2), 0)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        images.append({"id": i + 1, "file_name": f"{i}.png", "width": size, "height": size})
        polygon = [[x, y, x + side, y, x + side, y + side, x, y + side]]
        mask = {"size": [size, size], "counts": _counts(x, y, side, size)} if rle else polygon
        annotations.append(
            {
                "id": i + 1,
                "image_id": i + 1,
                "category_id": 1 + i % len(classes),
                "bbox": [x, y, side, side],
                "area": side * side,
                "iscrowd": 0,
                "segmentation": mask,
            }
        )
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(classes)]
    write_json(folder / "ann.json", {"images": images, "annotations": annotations, "categories": categories})
    return str(folder / "images"), str(folder / "ann.json")


def _counts(x, y, side, size):
    """COCO's uncompressed run lengths of a square, down the columns, zeros first."""
    counts, start = [], x * size + y
    for column in range(side):
        counts += [start if column == 0 else size - side, side]
    return [*counts, size * size - sum(counts)]


def write_json(path, content):
    path.write_text(json.dumps(content))


def edit(ann, change):
    """Apply ``change(content)`` to the annotation file ``ann``."""
    with open(ann, encoding="utf-8") as file:
        content = json.load(file)
    change(content)
    with open(ann, "w", encoding="utf-8") as file:
        json.dump(content, file)
