import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from transfer.drawing import svg_overlay
from transfer.evaluation.instances import Instance


def area(path):
    """Of a path's outlines: outer ones positive, holes negative (shoelace formula)."""
    total = 0.0
    for part in path.strip("M").split("M"):
        x, y = np.array([float(v) for v in re.findall(r"-?[\d.]+", part)]).reshape(-1, 2).T
        total += 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    return abs(total)


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_an_outline_encloses_the_mask(scale):
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:40, 20:60] = True
    mask[20:30, 30:40] = False  # a hole
    assert area(svg_overlay.outline(mask, scale)) == pytest.approx(1100 * scale**2, rel=0.03)
    numbers = np.array([float(v) for v in re.findall(r"-?[\d.]+", svg_overlay.outline(mask, scale))]).reshape(-1, 2)
    assert numbers.min(axis=0) == pytest.approx([20 * scale, 10 * scale], abs=0.6)
    assert numbers.max(axis=0) == pytest.approx([60 * scale, 40 * scale], abs=0.6)


def test_masks_at_the_border_and_empty_ones():
    assert area(svg_overlay.outline(np.ones((20, 30), dtype=bool), 1.0)) == pytest.approx(600, rel=0.02)
    assert svg_overlay.outline(np.zeros((20, 30), dtype=bool), 1.0) == ""


def test_large_images_shrink_and_small_ones_stay():
    large = svg_overlay.picture(np.zeros((600, 1200, 3), dtype=np.uint8))
    assert (large.width, large.height, large.scale) == (480, 240, 0.4)
    small = svg_overlay.picture(np.zeros((50, 100, 3), dtype=np.uint8))
    assert (small.width, small.height, small.scale) == (400, 200, 4.0)
    assert small.uri.startswith("data:image/jpeg;base64,")


def test_an_overlay_has_masks_boxes_scores_and_escapes_names():
    mask = np.zeros((50, 50), dtype=bool)
    mask[5:20, 5:20] = True
    some = [Instance("a<b", (5, 5, 15, 15), mask, 0.87), Instance("b", (30, 30, 10, 10), None, None)]
    root = ET.fromstring(f"<svg>{svg_overlay.overlay(some, {'a<b': 0, 'b': 1}, 2.0, 100)}</svg>")
    assert [e.get("class") for e in root.iter("rect") if "box" in e.get("class", "")] == ["box c1 alone", "box c0"]
    assert [e.text for e in root.iter("text")] == ["b", "a<b 0.87"]  # best score on top
    assert sum(1 for e in root.iter("path") if "mask" in e.get("class")) == 1
    box = next(e for e in root.iter("rect") if e.get("class") == "box c0")
    assert [float(box.get(k)) for k in ("x", "y", "width", "height")] == [10, 10, 30, 30]


def test_labels_in_one_place_are_moved_apart():
    some = [Instance("one", (10, 20, 20, 20), None, score) for score in (0.5, 0.6)]
    root = ET.fromstring(f"<svg>{svg_overlay.overlay(some, {'one': 0}, 1.0, 100)}</svg>")
    first, second = (float(e.get("y")) for e in root.iter("text"))
    assert abs(second - first) >= 100 * 0.06
