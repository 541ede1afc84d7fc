"""What the comparison prints: means over seeds, paired differences, curves."""

import pytest
from PIL import Image

from benchmarks.learning.judge import Look
from benchmarks.learning.table import Row, as_table, courses, curves, differences


def looks(*knn):
    return [Look(10 * k, value, value + 1, 0.9, 50.0) for k, value in enumerate(knn, 1)]


ROWS = [
    Row("random weights", {0: looks(26.0), 1: looks(27.0)}),
    Row("barlow_simclr", {0: looks(30.0, 40.0), 1: looks(31.0, 42.0)}, {0: 100.0, 1: 120.0}),
    Row(
        "metamask",
        {0: looks(30.0, 41.0), 1: looks(31.0, 45.0)},
        {0: 200.0, 1: 200.0},
        {0: (0.4, 0.6), 1: (0.41, 0.59)},
        {"redundancy": 49.6, "contrastive": 50.4},
        [
            {"iteration": t, "mask_p05": 0.5 - t / 100, "mask_median": 0.5, "mask_p95": 0.5 + t / 100}
            | {"mask_saturated": 0.25, "share_redundancy": 0.6, "share_contrastive": 0.4, "loss": 1.0}
            for t in range(1, 10)
        ],
    ),
]


def test_one_line_a_method():
    lines = as_table(ROWS).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[2] == ["random weights", "2", "26.5 ± 0.5", "27.5 ± 0.5", "50 ± 0", "–", "–", "–"]
    assert cells[3][:3] == ["barlow_simclr", "2", "41.0 ± 1.0"]
    assert cells[3][5] == "110 ± 10"
    assert cells[4][6:] == ["0.400-0.600", "redundancy 50, contrastive 50"]


def test_differences_are_paired_by_seed():
    # +1 and +3: mean 2, standard error 1; the unpaired error would be 2.2.
    assert "| metamask - barlow_simclr" in differences(ROWS)
    assert "+2.00 ± 1.00" in differences(ROWS)
    assert differences(ROWS[:2]) == ""


def test_only_seeds_of_both_rows_count():
    rows = [ROWS[1], Row("metamask", {1: looks(31.0, 45.0), 2: looks(0.0)})]
    assert "+3.00" in differences(rows)
    assert "±" not in differences(rows)


def test_the_course_of_a_mask_has_its_first_and_last_line():
    lines = courses(ROWS, points=3).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[1] for row in cells] == ["1", "5", "9"]
    assert cells[2] == ["metamask", "9", "0.410", "0.500", "0.590", "25", "redundancy 60.0, contrastive 40.0"]
    assert courses(ROWS[:2]) == ""


def test_curves_are_a_picture(tmp_path):
    curves(ROWS, tmp_path / "learning.png")
    with Image.open(tmp_path / "learning.png") as picture:
        assert picture.width == pytest.approx(1650, abs=5)
