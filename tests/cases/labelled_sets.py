"""Small labelled image sets: class folders, and archives laid out like the published ones."""

import hashlib
import pickle

import cv2
import numpy as np
from torchvision.datasets import CIFAR10, STL10

COLOURS = {"blue": (30, 30, 200), "green": (30, 200, 30), "red": (200, 30, 30)}  # RGB


def coloured(colour, rng, side=24):
    """A noisy image of one colour, (side, side + 6, 3) uint8 RGB."""
    noise = rng.normal(0, 25, (side, side + 6, 3))
    return np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)


def class_folder(root, per_class=6, seed=0, classes=tuple(COLOURS)):
    """Folders named after colours, full of images of that colour."""
    rng = np.random.default_rng(seed)
    for name in classes:
        (root / name).mkdir(parents=True)
        for k in range(per_class):
            cv2.imwrite(str(root / name / f"{k}.png"), cv2.cvtColor(coloured(name, rng), cv2.COLOR_RGB2BGR))
    return root


def _md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def cifar10(root, monkeypatch, seed=0):
    """Two training files and a test file of four images each; torchvision is told their checksums."""
    folder = root / CIFAR10.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    files = {}
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        pixels = rng.integers(0, 255, (4, 3 * 32 * 32), dtype=np.uint8)
        files[name] = pixels, [int(v) for v in rng.integers(0, 10, 4)]
        (folder / name).write_bytes(pickle.dumps({"data": files[name][0], "labels": files[name][1]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {k}" for k in range(10)]}))
    monkeypatch.setattr(CIFAR10, "train_list", [[n, _md5(folder / n)] for n in ("data_batch_1", "data_batch_2")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", _md5(folder / "test_batch")]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": _md5(folder / "batches.meta")}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    return files


def stl10(root, monkeypatch, seed=0):
    """Three training, two test and four unlabelled images, column by column as published, with checksums."""
    folder = root / STL10.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    splits = {}
    for split, n in (("train", 3), ("test", 2)):
        images = rng.integers(0, 255, (n, 96, 96, 3), dtype=np.uint8)
        labels = rng.integers(1, 11, n).astype(np.uint8)
        images.transpose(0, 3, 2, 1).tofile(folder / f"{split}_X.bin")
        labels.tofile(folder / f"{split}_y.bin")
        splits[split] = images, labels
    splits["unlabeled"] = rng.integers(0, 255, (4, 96, 96, 3), dtype=np.uint8), None
    splits["unlabeled"][0].transpose(0, 3, 2, 1).tofile(folder / "unlabeled_X.bin")
    (folder / "class_names.txt").write_text("\n".join(f"class {k}" for k in range(10)))
    for split in ("train", "test"):
        files = [[n, _md5(folder / n)] for n in (f"{split}_X.bin", f"{split}_y.bin")]
        if split == "train":
            files += [[n, _md5(folder / n)] for n in ("unlabeled_X.bin", "class_names.txt")]
        monkeypatch.setattr(STL10, f"{split}_list", files)
    return splits
