"""What several label shares, probes and costs add to a report: from records with known numbers to words."""

import re
from pathlib import Path

import pytest

from tests.cases.fake_runs import make_run
from tests.cases.records import make_record
from transfer.comparison.bootstrap import ImageResamples
from transfer.comparison.worth import MORE, Worth
from transfer.demo import digits
from transfer.records.record import Data, Split
from transfer.reporting.cost_figure import cost_figure
from transfer.reporting.extra_tables import extra_tables, worth_in_words, worth_interval
from transfer.reporting.figures import Figures
from transfer.reporting.report import write_report
from transfer.reporting.studied import Studied
from transfer.reporting.summary import summarise

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

TRAIN = Split("images", "ann.json", "f" * 64, 1000, 2000, ["zero", "one"])
# start -> share of the labels -> mask AP
CURVES = {"random": {0.05: 10.0, 0.2: 18.0, 0.8: 24.0}, "simclr": {0.05: 14.0, 0.2: 21.0, 0.8: 30.0}}


def runs(seeds=(0, 1, 2)):
    """Records whose AP is CURVES' plus a tenth of the seed's number."""
    return [
        make_record(
            init,
            seed,
            segm={"AP": ap + 0.1 * seed},
            name=f"{init}-{share}-{seed}",
            label_fraction=share,
            data=Data(TRAIN, TRAIN),
        )
        for init, curve in CURVES.items()
        for share, ap in curve.items()
        for seed in seeds
    ]


def known(records):
    """kNN ranks the starts as AP does, effective rank the other way round; pretraining took an hour of two cores."""
    return {
        id(r): Studied(
            Path("run"),
            0.0 if r.init == "random" else 3600.0,
            1800.0,
            2,
            {"kNN accuracy, %": r.metrics["segm"]["AP"], "effective rank": -r.metrics["segm"]["AP"]},
        )
        for r in records
    }


def tables(records, study=None):
    summary = summarise(records, None, ImageResamples(100))
    return {table.id: table for table in extra_tables(summary, study or {})}


def test_worth_is_read_off_the_baselines_curve_in_images():
    rows = tables(runs())["worth"].rows
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
    assert "worth" not in tables([r for r in runs() if r.label_fraction == 0.2])


def test_a_baseline_whose_seeds_differ_from_share_to_share_is_no_curve():
    assert "worth" not in tables([r for r in runs() if (r.init, r.label_fraction, r.seed) != ("random", 0.2, 2)])


def test_predictors_say_what_they_would_have_chosen():
    records = runs()
    rows = {(row[0], row[1]): row for row in tables(records, known(records))["predictors"].rows}
    assert len(rows) == 6
    good, bad = rows["kNN accuracy, %", "20 %"], rows["effective rank", "20 %"]
    assert good[2:5] == ["6", "2", "+1.00"]
    assert good[6:] == ["simclr", "the same"]
    assert bad[4] == "-1.00"
    assert bad[6:] == ["random", "simclr, 3.0 points of AP above it"]
    few = runs(seeds=(0,))
    assert tables(few, known(few))["predictors"].rows[0][5] == "–"


def test_costs_stand_beside_ap_and_what_was_not_measured_is_a_dash():
    records = runs()
    study = known(records)
    rows = {(row[0], row[1]): row[3:] for row in tables(records, study)["cost"].rows}
    assert rows["simclr", "20 %"] == ["2", "1", "3"]  # hours of one core
    assert rows["random", "20 %"] == ["0", "1", "1"]
    lost = next(r for r in records if r.init == "simclr" and r.label_fraction == 0.2)
    study[id(lost)] = Studied(Path("run"), None, 1800.0)
    rows = {(row[0], row[1]): row[3:] for row in tables(records, study)["cost"].rows}
    assert rows["simclr", "20 %"] == ["–", "0.83", "–"]
    assert "cost" not in tables(records)


def test_ap_is_drawn_against_cost_start_by_start():
    records = runs()
    summary = summarise(records, None, ImageResamples(100))
    figure = cost_figure(Figures(summary), known(records))
    assert figure.title == "Mask AP against training cost"
    assert figure.svg.count("<polyline") == 2
    assert "core-hours" in figure.svg
    assert cost_figure(Figures(summary), {}) is None


def test_page_and_text_show_the_tables(tmp_path):
    digits.write(tmp_path / "set", digits.Settings(train=4, val=6, unlabeled=1))
    folders = [
        make_run(
            tmp_path / f"{init}-{share}-{seed}", tmp_path / "set", init, seed, shift,
            name=f"{init}-{share}-{seed}", label_fraction=share,
        )
        for init, shift in (("random", 6), ("simclr", 3))
        for share in (0.5, 1.0)
        for seed in (0, 1)
    ]  # fmt: skip
    studied = [Studied(folder, 7200.0, 3600.0, 1, {"kNN accuracy, %": 50.0 + i}) for i, folder in enumerate(folders)]
    write_report(folders, tmp_path / "report", resamples=100, studied=studied)
    text, page = ((tmp_path / "report" / name).read_text() for name in ("report.md", "report.html"))
    for title in ("What the labels are worth", "What cheap numbers said beforehand", "What training cost"):
        assert f"## {title}" in text
        assert f"<h2>{title}</h2>" in page
    for name in ("worth", "predictors", "cost"):
        assert f'<section id="{name}">' in page
        assert f'<a href="#{name}">' in page
    assert "Mask AP against training cost" in page
    assert len(re.findall(r"<svg", page)) == page.count("</svg>")
