"""COCO sets of small pictures, and the class folders made of them."""

import json

import cv2
import numpy as np

from benchmarks.sets.single_objects import main as make_folders


def write_counts(folder, counts):
    """Image k of a COCO set has counts[k] objects of class k % 2; returns the command's two arguments."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(len(counts)):
        small = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{k}.png"), cv2.resize(small, (40, 40)))
    content = {
        "images": [{"id": k + 1, "file_name": f"{k}.png"} for k in range(len(counts))],
        "annotations": [
            {"image_id": k + 1, "category_id": 7 + k % 2, "bbox": [4, 4, 10, 8]}
            for k, n in enumerate(counts)
            for _ in range(n)
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return [str(folder / "images"), str(folder / "annotations.json")]


def folders(tmp_path, counts):
    """Both splits as class folders below ``tmp_path/out``, which is returned."""
    train, val = write_counts(tmp_path / "a", counts), write_counts(tmp_path / "b", counts)
    assert make_folders(["--train", *train, "--val", *val, "--out", str(tmp_path / "out")]) == 0
    return tmp_path / "out"
