from tests.transfer.reporting.test_detail_figures import summary  # noqa: F401  a fixture
from transfer.comparison.bootstrap import ImageResamples
from transfer.reporting.class_table import class_table
from transfer.reporting.summary import summarise


def test_the_table_of_classes_has_objects_ap_differences_and_detections(summary):  # noqa: F811
    table = class_table(summary, 0.5)
    assert table.header == [
        "class", "objects", "mask AP, random", "mask AP, a", "Δ, a", "detections, random", "detections, a",
    ]  # fmt: skip
    zero, one = table.rows
    assert zero[:2] + zero[5:] == ["zero", "5", "3", "3"]
    assert zero[4].startswith("+")
    assert one == ["one", *["–"] * 6]
    bare = class_table(summarise(summary.records, None, ImageResamples(4, why="x")), 0.5)
    assert bare.rows[0][1] == bare.rows[0][5] == "–"
