import xml.etree.ElementTree as ET

from transfer.drawing.matrix import matrix


def drawn(rows, columns, counts):
    return ET.fromstring(matrix("a <title>", rows, columns, counts, "annotated", "detected as"))


def test_every_count_stands_in_its_cell_and_the_tint_is_its_share_of_the_row():
    root = drawn(["cat", "none"], ["cat", "missed"], [[6, 2], [0, 12345]])
    assert root.get("aria-label") == "a <title>"
    counts = [e for e in root.iter("text") if "count" in e.get("class", "")]
    assert [e.text for e in counts] == ["6", "2", "0", "12345"]
    assert [e.get("class") for e in counts] == ["count", "count", "count none", "count"]
    tints = [(e.get("class"), e.get("fill-opacity")) for e in root.iter("rect") if e.get("fill-opacity")]
    assert tints == [("cell right", "0.39"), ("cell wrong", "0.17"), ("cell right", "0.50")]
    assert [e.find("title").text for e in counts][1] == "cat → missed: 2 of 8"


def test_long_names_are_cut_and_kept_for_the_pointer():
    name = "a class with a very long name indeed"
    root = drawn([name] * 13, [name] * 13, [[1] * 13] * 13)
    names = [e for e in root.iter("text") if e.get("class") == "row"]
    assert all(e.text.endswith("…") and e.find("title").text == name for e in names)
    width, height = (float(v) for v in root.get("viewBox").split()[2:])
    cells = list(root.iter("rect"))
    assert max(float(e.get("x")) + float(e.get("width")) for e in cells) <= width
    assert max(float(e.get("y")) + float(e.get("height")) for e in cells) <= height
