"""What several label shares, probes and costs add to a report: from records with known numbers to words."""

from pathlib import Path

import pytest

from tests.cases.study_records import known_of, label_curves
from transfer.comparison.bootstrap import ImageResamples
from transfer.comparison.worth import MORE, Worth
from transfer.reporting.extra_tables import Studied, extra_tables, worth_in_words, worth_interval
from transfer.reporting.summary import summarise

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def tables(records, study=None):
    summary = summarise(records, None, ImageResamples(100))
    return {table.id: table for table in extra_tables(summary, study or {})}


def test_worth_is_read_off_the_baselines_curve_in_images():
    rows = tables(label_curves())["worth"].rows
    assert [row[:2] for row in rows] == [["simclr", "800"], ["simclr", "200"], ["simclr", "50"]]
    assert [row[3] for row in rows] == ["more than 800: beyond what was measured", "400", "100"]
    assert rows[0][4] == "from 800"
    assert rows[1][4] == "400 to 400"  # seed for seed the starts differ by the same: no spread


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Worth(None, MORE, (800.0, None), "seeds"), "from 800"),
        (Worth(40.0, "", (None, 60.0), "seeds"), "up to 60"),
        (Worth(40.0, "", (20.0, 60.0), "seeds"), "20 to 60"),
        (Worth(40.0, "", (None, None), "seeds"), "not decided by what was measured"),
        (Worth(40.0), "–"),
    ],
)
def test_an_open_end_is_said(value, words):
    assert worth_interval(value) == words
    assert worth_in_words(value, [50, 800]) in ("40", "more than 800: beyond what was measured")


def test_one_share_of_the_labels_is_no_curve():
    assert "worth" not in tables([r for r in label_curves() if r.label_fraction == 0.2])


def test_a_baseline_whose_seeds_differ_from_share_to_share_is_no_curve():
    assert "worth" not in tables(
        [r for r in label_curves() if (r.init, r.label_fraction, r.seed) != ("random", 0.2, 2)]
    )


def test_predictors_say_what_they_would_have_chosen():
    records = label_curves()
    rows = {(row[0], row[1]): row for row in tables(records, known_of(records))["predictors"].rows}
    assert len(rows) == 6
    good, bad = rows["kNN accuracy, %", "20 %"], rows["effective rank", "20 %"]
    assert good[2:5] == ["6", "2", "+1.00"]
    assert good[6:] == ["simclr", "the same"]
    assert bad[4] == "-1.00"
    assert bad[6:] == ["random", "simclr, 3.0 points of AP above it"]
    few = label_curves(seeds=(0,))
    assert tables(few, known_of(few))["predictors"].rows[0][5] == "–"


def test_costs_stand_beside_ap_and_what_was_not_measured_is_a_dash():
    records = label_curves()
    study = known_of(records)
    rows = {(row[0], row[1]): row[3:] for row in tables(records, study)["cost"].rows}
    assert rows["simclr", "20 %"] == ["2", "1", "3"]  # hours of one core
    assert rows["random", "20 %"] == ["0", "1", "1"]
    lost = next(r for r in records if r.init == "simclr" and r.label_fraction == 0.2)
    study[id(lost)] = Studied(Path("run"), None, 1800.0)
    rows = {(row[0], row[1]): row[3:] for row in tables(records, study)["cost"].rows}
    assert rows["simclr", "20 %"] == ["–", "0.83", "–"]
    assert "cost" not in tables(records)
