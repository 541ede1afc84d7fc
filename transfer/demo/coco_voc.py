"""Scenes written as COCO and as Pascal VOC data sets, from the same pixels.

COCO masks are polygons, because that is what Detectron2 takes by default; they rasterise to the very same mask
(transfer.demo.polygons). VOC masks are PNGs without the 255 border that Pascal draws: the masks are exact to the edge.
"""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transfer.demo.polygons import mask_to_polygons
from transfer.demo.scenes import Scene


class CocoVocWriter:
    """Collects one split: images at once, the annotation files by ``close``.

    Writes under ``folder``: ``coco/SPLIT/*.jpg``, ``coco/annotations/instances_SPLIT.json``, and in ``voc/``
    JPEGImages, Annotations, SegmentationClass, SegmentationObject, ImageSets/Main and ImageSets/Segmentation.
    """

    def __init__(self, folder: Path, split: str, classes: list[str], info: dict[str, Any]) -> None:
        """Start a split; ``classes`` are the names of class numbers 0, 1, ...; ``info`` goes into the COCO file."""
        self._coco, self._voc, self._split, self._classes = folder / "coco", folder / "voc", split, classes
        self._names: list[str] = []
        categories = [{"id": i, "name": name, "supercategory": "digit"} for i, name in enumerate(classes, 1)]
        self._content: dict[str, Any] = {"info": info, "licenses": [], "images": [], "annotations": []}
        self._content["categories"] = categories

    def add(self, scene: Scene) -> None:
        """Write one scene's pixels and VOC files and remember its COCO annotations."""
        name = f"{self._split}_{len(self._names):06d}"
        pixels = jpeg(scene.image)
        _put(self._coco / self._split / f"{name}.jpg", pixels)
        _put(self._voc / "JPEGImages" / f"{name}.jpg", pixels)
        self._names.append(name)
        image_id = len(self._names)
        height, width = scene.image.shape[:2]
        image = {"id": image_id, "file_name": f"{name}.jpg", "height": height, "width": width, "source": scene.source}
        self._content["images"].append(image)
        for i in range(len(scene.labels)):
            annotation_id = len(self._content["annotations"]) + 1
            self._content["annotations"].append(_coco_annotation(scene, i, image_id, annotation_id))
        _put(self._voc / "Annotations" / f"{name}.xml", _voc_xml(scene, name, self._classes))
        _put(self._voc / "SegmentationObject" / f"{name}.png", _voc_png(scene, list(range(1, len(scene.labels) + 1))))
        _put(self._voc / "SegmentationClass" / f"{name}.png", _voc_png(scene, [label + 1 for label in scene.labels]))

    def close(self) -> None:
        """Write the COCO annotation file and the VOC image lists."""
        content = json.dumps(self._content, separators=(",", ":"))
        _put(self._coco / "annotations" / f"instances_{self._split}.json", content.encode())
        names = "".join(f"{name}\n" for name in self._names).encode()
        for kind in ("Main", "Segmentation"):
            _put(self._voc / "ImageSets" / kind / f"{self._split}.txt", names)


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Return the image (H, W, 3) as JPEG, with full colour resolution: strokes are a few pixels wide."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def _coco_annotation(scene: Scene, i: int, image_id: int, annotation_id: int) -> dict[str, Any]:
    mask = scene.masks[i]
    left, top, right, bottom = _box(mask)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": scene.labels[i] + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": mask_to_polygons(mask),
        "shape_id": scene.shape_ids[i],
    }


def _voc_xml(scene: Scene, name: str, classes: list[str]) -> bytes:
    """Return Pascal's XML; its boxes count pixels from 1 and include the last one."""
    height, width, depth = scene.image.shape
    root = ElementTree.Element("annotation")
    _fill(root, {"folder": "voc", "filename": f"{name}.jpg", "segmented": 1})
    _fill(ElementTree.SubElement(root, "size"), {"width": width, "height": height, "depth": depth})
    for label, mask, covered in zip(scene.labels, scene.masks, scene.covered, strict=True):
        left, top, right, bottom = _box(mask)
        entry = ElementTree.SubElement(root, "object")
        _fill(entry, {"name": classes[label], "pose": "Unspecified", "truncated": 0, "difficult": 0})
        _fill(entry, {"occluded": int(covered)})
        box = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
        _fill(ElementTree.SubElement(entry, "bndbox"), box)
    ElementTree.indent(root)
    return ElementTree.tostring(root) + b"\n"


def _fill(parent: ElementTree.Element, values: dict[str, Any]) -> None:
    for tag, value in values.items():
        ElementTree.SubElement(parent, tag).text = str(value)


def _voc_png(scene: Scene, numbers: list[int]) -> bytes:
    """Return a palette PNG in which object i's visible pixels hold ``numbers[i]`` and all others 0."""
    values = np.zeros(scene.image.shape[:2], dtype=np.uint8)
    for number, mask in zip(numbers, scene.masks, strict=True):
        values[mask] = number
    image = Image.fromarray(values).convert("P")
    image.putpalette(_voc_palette())
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _voc_palette() -> list[int]:
    """Return Pascal's 256 colours, flat: the number's bits go to red, green, blue in turn, from the highest down."""
    colours = np.zeros((256, 3), dtype=int)
    for number in range(256):
        for bit in range(8):
            colours[number, bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    return [int(value) for value in colours.ravel()]


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom in corner coordinates: right and bottom are one past the last pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
