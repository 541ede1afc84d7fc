"""Tiny data sets on disk in the shapes of VOC, LVIS and Cityscapes, all made from a COCO-format one."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


def write_voc(images, ann, folder, splits=("trainval", "test"), difficult=(), backwards=()):
    """Write the COCO-format set as a VOC folder whose splits are all the same; return the folder.

    ``difficult`` holds numbers of images (from 0) whose objects are; ``backwards`` splits that list the images from the
    last to the first: the same list to train and to measure on would be refused.
    """
    images, ann, folder = Path(images), Path(ann), Path(folder)
    parts = ("Annotations", "JPEGImages", "SegmentationObject", "ImageSets/Main", "ImageSets/Segmentation")
    for part in parts:
        (folder / part).mkdir(parents=True)
    content = json.loads(ann.read_text())
    labels = {category["id"]: category["name"] for category in content["categories"]}
    for number, image in enumerate(content["images"]):
        stem = Path(image["file_name"]).stem
        Image.open(images / image["file_name"]).save(folder / f"JPEGImages/{stem}.jpg")
        objects, mask = "", np.zeros((image["height"], image["width"]), dtype=np.uint8)
        own = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        for i, a in enumerate(own, 1):
            x, y, w, h = a["bbox"]
            box = f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
            flags = f"<pose>x</pose><truncated>0</truncated><difficult>{int(number in difficult)}</difficult>"
            objects += f"<object><name>{labels[a['category_id']]}</name>{flags}<bndbox>{box}</bndbox></object>"
            mask[y : y + h, x : x + w] = i
        Image.fromarray(mask).convert("P").save(folder / f"SegmentationObject/{stem}.png")
        size = f"<size><width>{image['width']}</width><height>{image['height']}</height></size>"
        (folder / f"Annotations/{stem}.xml").write_text(f"<annotation>{size}{objects}</annotation>")
    stems = [Path(image["file_name"]).stem for image in content["images"]]
    for kind in ("Main", "Segmentation"):
        for split in splits:
            ordered = stems[::-1] if split in backwards else stems
            (folder / f"ImageSets/{kind}/{split}.txt").write_text("\n".join(ordered) + "\n")
    return folder


def write_coco_home(images, ann, root):
    """Write the set below DETECTRON2_DATASETS ``root`` as COCO 2017 train and val, with COCO's 80 categories."""
    from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES

    content = json.loads(Path(ann).read_text())
    things = [category for category in COCO_CATEGORIES if category["isthing"]]
    content["categories"] = [{"id": category["id"], "name": category["name"]} for category in things]
    (root / "coco/annotations").mkdir(parents=True)
    for split in ("train", "val"):
        (root / f"coco/{split}2017").mkdir()
        for file in Path(images).iterdir():
            (root / f"coco/{split}2017" / file.name).write_bytes(file.read_bytes())
        content["info"] = {"description": split}  # the same file for both would be refused
        (root / f"coco/annotations/instances_{split}2017.json").write_text(json.dumps(content))


def write_lvis_home(images, ann, root):
    """Write the set below ``root`` as LVIS v1 train and val: its 1203 categories, images named by their address."""
    from detectron2.data.datasets.lvis_v1_categories import LVIS_CATEGORIES

    content = json.loads(Path(ann).read_text())
    (root / "lvis").mkdir(parents=True)
    counts = {c: sum(a["category_id"] == c for a in content["annotations"]) for c in (1, 2)}
    keys = ("id", "name", "synonyms", "def", "synset", "frequency")
    content["categories"] = [
        {key: c[key] for key in keys} | {"image_count": counts.get(c["id"], 0), "instance_count": 0}
        for c in LVIS_CATEGORIES
    ]
    for split in ("train", "val"):
        folder = root / f"coco/{split}2017"
        folder.mkdir(parents=True, exist_ok=True)
        for image in content["images"]:
            file = Path(images) / Path(image["file_name"]).name
            (folder / file.name).write_bytes(file.read_bytes())
            image |= {"coco_url": f"http://images.example/{split}2017/{file.name}"}
            image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
        (root / f"lvis/lvis_v1_{split}.json").write_text(json.dumps(content))


def write_cityscapes_home(images, ann, root):
    """Write the set below ``root`` as Cityscapes' fine train and val: its first class persons, its second cars."""
    content = json.loads(Path(ann).read_text())
    for split in ("train", "val"):
        left, fine = root / f"cityscapes/leftImg8bit/{split}/x", root / f"cityscapes/gtFine/{split}/x"
        left.mkdir(parents=True)
        fine.mkdir(parents=True)
        for image in content["images"]:
            stem = f"x_{split}{Path(image['file_name']).stem}_000000"
            Image.open(Path(images) / image["file_name"]).save(left / f"{stem}_leftImg8bit.png")
            _write_cityscapes_truth(fine / f"{stem}_gtFine", image, content["annotations"])


def _write_cityscapes_truth(start, image, annotations):
    ids = np.full((image["height"], image["width"]), 7, dtype=np.uint16)  # road
    objects = [
        {"label": "road", "polygon": [[0, 0], [ids.shape[1], 0], [ids.shape[1], ids.shape[0]], [0, ids.shape[0]]]}
    ]
    for number, a in enumerate([a for a in annotations if a["image_id"] == image["id"]]):
        name, label = ("person", 24) if a["category_id"] == 1 else ("car", 26)
        x, y, w, h = a["bbox"]
        ids[y : y + h, x : x + w] = label * 1000 + number
        objects.append({"label": name, "polygon": [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]})
    Image.fromarray(ids).save(f"{start}_instanceIds.png")
    Image.fromarray(np.where(ids > 1000, ids // 1000, ids).astype(np.uint8)).save(f"{start}_labelIds.png")
    shape = {"imgHeight": image["height"], "imgWidth": image["width"], "objects": objects}
    Path(f"{start}_polygons.json").write_text(json.dumps(shape))
