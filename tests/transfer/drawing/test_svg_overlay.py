import xml.etree.ElementTree as ET

import numpy as np
import pytest

from transfer.drawing import layout, svg_overlay
from transfer.evaluation.instances import Instance


def test_large_images_shrink_and_small_ones_stay():
    large = svg_overlay.picture(np.zeros((600, 1200, 3), dtype=np.uint8))
    assert (large.width, large.height, large.scale) == (640, 320, pytest.approx(0.5333, abs=1e-3))
    small = svg_overlay.picture(np.zeros((50, 100, 3), dtype=np.uint8))
    assert (small.width, small.height, small.scale) == (400, 200, 4.0)
    assert small.uri.startswith("data:image/jpeg;base64,")


def test_a_photograph_of_the_usual_size_weighs_little():
    noise = np.random.default_rng(0).normal(size=(60, 80, 3))
    pixels = np.clip(128 + 40 * np.kron(noise, np.ones((8, 8, 1))), 0, 255).astype(np.uint8)
    assert pixels.shape == (480, 640, 3)
    assert len(svg_overlay.picture(pixels).uri) < 100_000


def page(*instances, colours):
    place = svg_overlay.Picture("", 100, 100, 2.0)
    return ET.fromstring(f"<svg>{svg_overlay.overlay(instances, colours, place)}</svg>")


def test_an_overlay_has_masks_boxes_scores_and_escapes_names():
    mask = np.zeros((50, 50), dtype=bool)
    mask[5:20, 5:20] = True
    some = [Instance("a<b", (5, 5, 15, 15), mask, 0.87), Instance("b", (30, 30, 10, 10), None, None)]
    root = page(*some, colours={"a<b": 0, "b": 1})
    assert [e.get("class") for e in root.iter("rect") if "box" in e.get("class", "")] == ["box c1 alone", "box c0"]
    assert [e.text for e in root.iter("text")] == ["b", "a<b 0.87"]  # best score on top
    assert sum(1 for e in root.iter("path") if "mask" in e.get("class")) == 1
    box = next(e for e in root.iter("rect") if e.get("class") == "box c0")
    assert [float(box.get(k)) for k in ("x", "y", "width", "height")] == [10, 10, 30, 30]


def test_an_outline_is_closed_and_off_by_half_a_pixel_at_the_most():
    polygon = np.array([[10.4, 10.4], [30.6, 10.4], [30.6, 40.2], [30.7, 40.3], [10.4, 40.2]], np.float32)
    path = svg_overlay._outline(polygon)
    assert path == "M10,10l21,0 0,30 -21,0z"
    assert svg_overlay._outline(np.array([[1.1, 1.1], [1.2, 1.2]], np.float32)) == ""


def test_every_element_of_an_object_has_its_attributes():
    some = [Instance("a", (5, 5, 15, 15), None, 0.2), Instance("a", (30, 30, 10, 10), None, 0.9)]
    place = svg_overlay.Picture("", 100, 100, 2.0)
    own = [f' data-s="{score}"' for score in (20, 90)]
    root = ET.fromstring(f"<svg>{svg_overlay.overlay(some, {'a': 0}, place, own)}</svg>")
    for kind in ("shapes", "labels"):
        (group,) = (e for e in root.iter("g") if e.get("class") == kind)
        assert [one.get("data-s") for one in group] == ["20", "90"]
    titles = [title.text for title in root.iter("title")]
    assert titles == ["a 0.20", "a 0.90"]


def test_the_style_sheet_has_every_colour_of_the_palette():
    for i, colour in enumerate(layout.PALETTE):
        assert f".c{i} {{ color: {colour}; }}" in svg_overlay.style()
        assert f".photo .label.c{i} text {{ fill: {layout.ink(i)}; }}" in svg_overlay.style()
