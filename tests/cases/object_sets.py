"""COCO sets whose objects are plain squares of one colour a class, on grey noise, and regions without images."""

import json

import cv2
import numpy as np
import torch

from pretrain.probes.region_features import BACKGROUND, STAGES, RegionFeatures

COLOURS = {"blue": (30, 30, 220), "red": (220, 30, 30)}  # RGB


def object_set(root, images=6, *, seed=0, classes=tuple(COLOURS), visible=True, masks=True):
    """Write images of two squares of 32 pixels each; without ``visible`` the squares are marked and not drawn.

    Returns:
        The folder of images and the annotation file.
    """
    side, rng = 96, np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    content = {"images": [], "annotations": [], "categories": [{"id": 5 + k, "name": n} for k, n in enumerate(classes)]}
    for k in range(images):
        pixels = rng.normal(128, 10, (side, side + 32, 3))
        for number, left in enumerate((0, 64)):
            label = (k + number) % len(classes)
            top, left = int(rng.integers(0, side - 32)), left + int(rng.integers(0, 32))
            if visible:
                pixels[top : top + 32, left : left + 32] = rng.normal(COLOURS[classes[label]], 10, (32, 32, 3))
            corners = [left, top, left + 32, top, left + 32, top + 32, left, top + 32]
            content["annotations"].append(
                {
                    "id": 2 * k + number,
                    "image_id": k,
                    "category_id": 5 + label,
                    "bbox": [left, top, 32, 32],
                    "area": 1024,
                    "iscrowd": 0,
                    **({"segmentation": [corners]} if masks else {}),
                }
            )
        cv2.imwrite(str(root / "images" / f"{k}.png"), pixels.clip(0, 255).astype(np.uint8)[..., ::-1])
        content["images"].append({"id": k, "file_name": f"{k}.png", "height": side, "width": side + 32})
    (root / "ann.json").write_text(json.dumps(content))
    return root / "images", root / "ann.json"


def edited(annotations, change):
    """The annotation file after ``change(content)``."""
    content = json.loads(annotations.read_text())
    change(content)
    annotations.write_text(json.dumps(content))
    return annotations


def regions(labels, images, features, paired=None):
    """Regions with the same features at every stage."""
    labels = torch.as_tensor(labels)
    paired = torch.ones(len(labels), dtype=torch.bool) if paired is None else torch.as_tensor(paired)
    values = dict.fromkeys(STAGES, torch.as_tensor(features, dtype=torch.float32))
    return RegionFeatures(values, labels, torch.as_tensor(images), paired)


def with_background(labels):
    """Labels of objects, and as many of background."""
    return [*labels, *[BACKGROUND] * len(labels)]
