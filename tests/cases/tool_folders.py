"""The same three labelled images as each annotation tool would leave them, written from the formats' own pages.

labelme: its repository's _label_file.py. YOLO: docs.ultralytics.com/datasets/detect and /segment; CVAT's, Roboflow's
and Label Studio's variants of it: docs.cvat.ai (Ultralytics YOLO, YOLO 1.1), what Roboflow downloads as "YOLOv8", and
the converter of label-studio-sdk. COCO: docs.cvat.ai (COCO 1.0, which Datumaro writes), what Roboflow downloads as
"COCO JSON", the converter of label-studio-sdk. Pascal VOC: the development kit of VOC2012. Masks: the Data Science Bowl
2018 (one PNG an object), Cellpose (label images called NAME_masks.png).
"""

import base64
import json

import numpy as np
from PIL import Image

SIZE = (64, 48)  # width, height
# name -> (class, x, y, width, height) of each object, whole pixels; each object is a filled rectangle
SCENES = {
    "a.png": [("cat", 4, 6, 20, 16), ("dog", 30, 10, 24, 30)],
    "b.png": [("dog", 8, 8, 40, 20)],
    "c.png": [],
}
CLASSES = ["cat", "dog"]


def pixels(name):
    number = sorted(SCENES).index(name)
    array = np.full((SIZE[1], SIZE[0], 3), 40 + 60 * number, np.uint8)
    for _, x, y, w, h in SCENES[name]:
        array[y : y + h, x : x + w] = 250
    return array


def write_images(folder, names=None):
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCENES if names is None else names:
        Image.fromarray(pixels(name)).save(folder / name)


def write_json(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def corners(x, y, w, h):
    return [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]


def flat(x, y, w, h):
    return [value for corner in corners(x, y, w, h) for value in corner]


def png(array):
    import io

    written = io.BytesIO()
    Image.fromarray(array).save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()


# ---- labelme


def shape(label, points, kind="polygon", group=None, **more):
    own = {"label": label, "points": points, "group_id": group, "description": "", "shape_type": kind, "flags": {}}
    return own | {"mask": None} | more


def labelme_file(name, shapes, embedded=False, path=None):
    with_image = png(pixels(name)) if embedded else None
    size = {"imageHeight": SIZE[1], "imageWidth": SIZE[0]}
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": path or name,
        "imageData": with_image,
    } | size


def labelme(folder, embedded=False):
    if not embedded:
        write_images(folder)
    for name, objects in SCENES.items():
        shapes = [shape(label, corners(*box)) for label, *box in objects]
        write_json(folder / name.replace(".png", ".json"), labelme_file(name, shapes, embedded))
    return folder


# ---- YOLO


def yolo_row(label, x, y, w, h, segment):
    width, height = SIZE
    if segment:
        numbers = [v / (width, height)[i % 2] for i, v in enumerate(flat(x, y, w, h))]
    else:
        numbers = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    return " ".join([str(CLASSES.index(label)), *map(repr, numbers)])


def yolo_labels(folder, names, segment, empty_files=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        rows = [yolo_row(*one, segment) for one in SCENES[name]]
        if rows or empty_files:
            (folder / name.replace(".png", ".txt")).write_text("".join(f"{row}\n" for row in rows))


def yolo(folder, segment=False, names="names: [cat, dog]\n"):
    """images/{train,val} and labels/{train,val}."""
    for split, own in (("train", ["a.png", "c.png"]), ("val", ["b.png"])):
        write_images(folder / "images" / split, own)
        yolo_labels(folder / "labels" / split, own, segment)
    (folder / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\ntest:\n{names}")
    return folder


def yolo_roboflow(folder):
    """SPLIT/images and SPLIT/labels; the paths of data.yaml lead outside, and test is not delivered."""
    for split, own in (("train", ["a.png", "c.png"]), ("valid", ["b.png"])):
        write_images(folder / split / "images", own)
        yolo_labels(folder / split / "labels", own, segment=True)
    lines = ["train: ../train/images", "val: ../valid/images", "test: ../test/images", "nc: 2", "names: ['cat', 'dog']"]
    (folder / "data.yaml").write_text("\n".join([*lines, "roboflow:", "  workspace: w", "  version: 1"]))
    return folder


def yolo_cvat(folder):
    """train.txt lists the images; names is a dictionary; an image without objects has no text file."""
    write_images(folder / "images/train")
    yolo_labels(folder / "labels/train", SCENES, segment=False, empty_files=False)
    (folder / "train.txt").write_text("".join(f"images/train/{name}\n" for name in SCENES))
    (folder / "data.yaml").write_text("path: ./\ntrain: train.txt\nnames:\n  0: cat\n  1: dog\n")
    return folder


def yolo_darknet(folder):
    """CVAT's YOLO 1.1: text files beside the images, names in obj.names."""
    write_images(folder / "obj_train_data")
    yolo_labels(folder / "obj_train_data", SCENES, segment=False)
    (folder / "obj.names").write_text("cat\ndog\n")
    (folder / "obj.data").write_text("classes = 2\nnames = obj.names\ntrain = train.txt\n")
    (folder / "train.txt").write_text("".join(f"data/obj_train_data/{name}\n" for name in SCENES))
    return folder


def yolo_label_studio(folder):
    write_images(folder / "images")
    yolo_labels(folder / "labels", SCENES, segment=False)
    (folder / "classes.txt").write_text("cat\ndog\n")
    write_json(
        folder / "notes.json", {"categories": [{"id": 0, "name": "cat"}], "info": {"contributor": "Label Studio"}}
    )
    return folder


# ---- COCO


def coco_content(names, categories, first=1, **changes):
    """A COCO file's content; ``changes`` are put into each annotation, None takes a key away."""
    ids = {category["name"]: category["id"] for category in categories}
    images, annotations = [], []
    for name in names:
        images.append({"id": first + len(images), "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        for label, x, y, w, h in SCENES[name]:
            own = {"id": first + len(annotations), "image_id": images[-1]["id"], "category_id": ids[label]}
            own |= {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, "segmentation": [flat(x, y, w, h)]} | changes
            annotations.append({k: v for k, v in own.items() if v is not None})
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}


def coco_cvat(folder):
    """annotations/instances_SUBSET.json and images/SUBSET, with file names that both subsets have."""
    categories = [{"id": 1, "name": "cat", "supercategory": ""}, {"id": 2, "name": "dog", "supercategory": ""}]
    for subset, names in (("Train", ["a.png", "c.png"]), ("Validation", ["b.png"])):
        content = coco_content(names, categories, attributes={"occluded": False})
        write_images(folder / "images" / subset, names)
        write_json(folder / f"annotations/instances_{subset}.json", content)
    return folder


def coco_roboflow(folder):
    """_annotations.coco.json beside the images; ids from 0; class 0 only names the project."""
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
        {"id": 2, "name": "dog", "supercategory": "pets"},
    ]
    for split, names in (("train", ["a.png"]), ("valid", ["b.png"]), ("test", ["c.png"])):
        write_images(folder / split, names)
        write_json(folder / split / "_annotations.coco.json", coco_content(names, categories, first=0))
    return folder


def coco_label_studio(folder):
    """result.json; rectangles without a mask; paths with ``images/`` and backslashes; width and height null."""
    content = coco_content(
        SCENES, [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}], first=0, segmentation=[], ignore=0
    )
    write_images(folder / "images")
    paths = ["images\\a.png", "../../label-studio/data/media/upload/1/b.png", "/data/local-files/?d=images/c.png"]
    for image, path in zip(content["images"], paths, strict=True):
        image["file_name"] = path
    content["images"][2] |= {"width": None, "height": None}
    write_json(folder / "result.json", content)
    return folder


# ---- Pascal VOC


def voc_xml(name, objects=None, size=SIZE, file_name=None):
    text = f"<annotation><folder>x</folder><filename>{file_name or name}</filename>"
    text += f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    for label, x, y, w, h in SCENES[name] if objects is None else objects:
        box = f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
        text += f"<object><name>{label}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>"
    return f"{text}</annotation>"


def voc(folder, masks=False):
    """VOC's own folders with lists of train and val."""
    root = folder / "VOCdevkit/VOC2012"
    write_images(root / "JPEGImages")
    kind = "Segmentation" if masks else "Main"
    for part in ("Annotations", "SegmentationObject", f"ImageSets/{kind}"):
        (root / part).mkdir(parents=True)
    for name, objects in SCENES.items():
        (root / "Annotations" / name.replace(".png", ".xml")).write_text(voc_xml(name))
        numbers = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        for i, (_, x, y, w, h) in enumerate(objects, 1):
            numbers[y : y + h, x : x + w] = i
        if masks:
            Image.fromarray(numbers).convert("P").save(root / "SegmentationObject" / name)
    for split, stems in (("train", "a\nc\n"), ("val", "b\n"), ("trainval", "a\nb\nc\n")):
        (root / f"ImageSets/{kind}/{split}.txt").write_text(stems)
    return folder


def voc_beside(folder):
    """As LabelImg and Roboflow leave them: XML files beside the images, in a folder for each split."""
    for split, names in (("train", ["a.png", "c.png"]), ("valid", ["b.png"])):
        write_images(folder / split, names)
        for name in names:
            (folder / split / name.replace(".png", ".xml")).write_text(voc_xml(name))
    return folder


# ---- masks


def object_mask(x, y, w, h):
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask[y : y + h, x : x + w] = 255
    return mask


def masks_dsb(folder):
    """ID/images/ID.png and one PNG an object in ID/masks."""
    for name, objects in SCENES.items():
        own = folder / name.removesuffix(".png")
        write_images(own / "images", [name])
        (own / "masks").mkdir()
        for i, (_, *box) in enumerate(objects):
            Image.fromarray(object_mask(*box)).save(own / f"masks/{i}.png")
    return folder


def label_image(name, kind="uint8"):
    """All objects of an image in one file: grey values, or a colour each."""
    labels = np.zeros((SIZE[1], SIZE[0]), np.uint16)
    for i, (_, x, y, w, h) in enumerate(SCENES[name], 1):
        labels[y : y + h, x : x + w] = i * (300 if kind == "uint16" else 1)
    if kind == "colour":
        palette = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
        return Image.fromarray(palette[labels])
    return Image.fromarray(labels if kind == "uint16" else labels.astype(np.uint8))


def masks_labels(folder, kind="uint8"):
    """images/NAME.png and masks/NAME.png."""
    write_images(folder / "images")
    (folder / "masks").mkdir()
    for name in SCENES:
        label_image(name, kind).save(folder / "masks" / name)
    return folder


def masks_cellpose(folder):
    """NAME.png and NAME_masks.png side by side."""
    write_images(folder)
    for name in SCENES:
        label_image(name, "uint16").save(folder / name.replace(".png", "_masks.png"))
    return folder


# name -> (maker, format, has masks, splits of a, b and c, has classes)
TOOLS = {
    "labelme": (labelme, "labelme", True, (None,) * 3),
    "labelme, images inside": (lambda folder: labelme(folder, embedded=True), "labelme", True, (None,) * 3),
    "yolo detect": (yolo, "yolo", False, ("train", "val", "train")),
    "yolo segment": (lambda folder: yolo(folder, segment=True), "yolo", True, ("train", "val", "train")),
    "yolo of roboflow": (yolo_roboflow, "yolo", True, ("train", "val", "train")),
    "yolo of cvat": (yolo_cvat, "yolo", False, ("train",) * 3),
    "yolo 1.1 of cvat": (yolo_darknet, "yolo", False, ("train",) * 3),
    "yolo of label studio": (yolo_label_studio, "yolo", False, (None,) * 3),
    "coco of cvat": (coco_cvat, "coco", True, ("train", "val", "train")),
    "coco of roboflow": (coco_roboflow, "coco", True, ("train", "val", "test")),
    "coco of label studio": (coco_label_studio, "coco", False, (None,) * 3),
    "voc": (voc, "voc", False, ("train", "val", "train")),
    "voc with masks": (lambda folder: voc(folder, masks=True), "voc", True, ("train", "val", "train")),
    "voc beside the images": (voc_beside, "voc", False, ("train", "val", "train")),
    "masks, one file an object": (masks_dsb, "masks", True, (None,) * 3),
    "masks, grey label images": (masks_labels, "masks", True, (None,) * 3),
    "masks, colours": (lambda folder: masks_labels(folder, "colour"), "masks", True, (None,) * 3),
    "masks, 16 bits": (lambda folder: masks_labels(folder, "uint16"), "masks", True, (None,) * 3),
    "masks of cellpose": (masks_cellpose, "masks", True, (None,) * 3),
}
