import re
import xml.etree.ElementTree as ET

import pytest

from transfer.drawing import charts
from transfer.drawing.charts import ChartRow, Line, Point


def elements(svg, tag, kind=None):
    root = ET.fromstring(svg)  # also: it is well-formed
    tagged = [e for e in root.iter() if e.tag == tag]
    return [e for e in tagged if kind is None or kind in e.get("class", "").split()]


def texts(svg):
    return ["".join(e.itertext()) for e in ET.fromstring(svg).iter("text")]


def test_dots_lie_where_their_values_are():
    rows = [ChartRow("a", (Point(1, 2.0, 1.0, 3.0, tip="<tip>"),)), ChartRow("b & c", (Point(2, -1.0),))]
    svg = charts.dots("t", rows, "points", zero=True)
    (axis,) = elements(svg, "line", "axis")
    (whisker,) = elements(svg, "line", "whisker")
    grid = {text: float(e.get("x")) for e in elements(svg, "text", "tick") if (text := e.text)}
    assert float(axis.get("x1")) == pytest.approx(grid["0"], abs=0.06)
    assert float(whisker.get("x1")) == pytest.approx(grid["1"], abs=0.06)
    assert float(whisker.get("x2")) == pytest.approx(grid["3"], abs=0.06)
    assert any(text.startswith("b & c") for text in texts(svg))
    assert "<title>&lt;tip&gt;</title>" in svg


def test_bars_start_at_zero_and_show_every_run():
    svg = charts.bars("t", [ChartRow("a", (Point(0, 10.0, 8.0, 12.0, single=(9.0, 11.0)),))], "AP, %")
    (bar,) = elements(svg, "rect", "bar")
    zero = next(e for e in elements(svg, "text", "tick") if e.text == "0")
    assert float(bar.get("x")) == pytest.approx(float(zero.get("x")), abs=0.06)
    assert len(elements(svg, "circle", "seed")) == 2


def test_long_names_are_cut_and_kept_in_full_for_the_pointer():
    name = "metamask (epochs 400, epoch 400)"
    svg = charts.bars("t", [ChartRow(name, (Point(0, 10.0),))], "AP, %")
    (label,) = [text for text in texts(svg) if text.startswith("metamask")]
    assert "…" in label.removesuffix(name)
    assert label.endswith(name)  # the pointer gets all of it


def test_rows_of_one_name_are_told_apart_however_long_it_is():
    name = "coco_mask_rcnn_detectron2"
    svg = charts.bars("t", [ChartRow(f"{name} · {share}", (Point(0, 10.0),)) for share in ("5 %", "100 %")], "AP, %")
    labels = [text.partition(name)[0] for text in texts(svg) if text.startswith("coco")]
    assert [label.rpartition("… · ")[2] for label in labels] == ["5 %", "100 %"]
    assert all(len(label) <= 20 for label in labels)
    assert charts.shortened("a long name without shares", 10) == "a long na…"


def test_lines_keep_inside_the_frame_and_say_their_units():
    curve = Line(1, "a", ((10.0, 5.0), (100.0, 9.0)), ((4.0, 6.0), None))
    svg = charts.lines("t", [curve, Line(2, "empty", ())], "% of labels", "AP, %", percent_x=True)
    (line,) = elements(svg, "polyline")
    numbers = [float(v) for v in re.findall(r"[\d.]+", line.get("points"))]
    assert all(0 <= x <= charts.WIDTH for x in numbers[::2])
    assert {"% of labels", "↑ AP, %", "10", "100"} <= set(texts(svg))
    assert len(elements(svg, "line", "whisker")) == 1


def test_a_histogram_has_a_bar_for_each_count():
    svg = charts.histogram("t", [0.0, 0.5, 1.0], [3, 7], "mask", "dimensions")
    first, second = (float(e.get("height")) for e in elements(svg, "rect", "bar"))
    assert second / first == pytest.approx(7 / 3, rel=0.02)


def test_series_are_told_apart_by_colour_and_shape():
    marks = [charts.mark(i) for i in range(4)]
    shapes = {re.sub(r'class="[^"]*"', "", mark) for mark in marks}
    assert len(shapes) == 4
    assert charts.colour(charts.SERIES) == "s1 again"


def test_numbers_stand_at_the_end_of_their_rows_and_are_said():
    rows = [ChartRow("a", (Point(0, 10.0, 8.0, 12.0, text="10.0 (8.0 to 12.0)"),)), ChartRow("b", (Point(1, 2.0),))]
    for svg in (charts.bars("t", rows, "AP, %"), charts.dots("t", rows, "AP, %")):
        (value,) = elements(svg, "text", "value")
        assert value.text == "10.0 (8.0 to 12.0)"
        assert ET.fromstring(svg).get("aria-label") == "t: a 10.0 (8.0 to 12.0)"
        marks = [float(e.get("x2")) for e in elements(svg, "line", "whisker")]
        assert max(marks) < float(value.get("x")) - len(value.text) * 5  # no mark below the number


def test_a_flat_curve_is_drawn_flat_and_called_unchanged():
    flat = Line(1, "entropy", tuple((float(i), 0.6931468 + i * 1e-7) for i in range(5)))
    falling = Line(1, "loss", ((0.0, 5.0), (1.0, 4.0)))
    assert charts.unchanged([flat])
    assert not charts.unchanged([falling])
    assert not charts.unchanged([flat, falling])
    assert not charts.unchanged([Line(1, "one point", ((0.0, 5.0),))])
    (line,) = elements(charts.lines("t", [flat], "iteration", "loss"), "polyline")
    heights = [float(pair.split(",")[1]) for pair in line.get("points").split()]
    assert max(heights) - min(heights) < 1


def test_a_dashed_curve_has_no_marks():
    svg = charts.lines("t", [Line(1, "a", ((0.0, 5.0), (1.0, 4.0)), dashed=True)], "x", "y")
    assert elements(svg, "polyline", "dashed")
    assert not [e for e in ET.fromstring(svg).iter() if "mark" in e.get("class", "").split()]
