"""That the benchmark measures what it says; its figures decide nothing here."""

import json
from importlib.metadata import PackageNotFoundError

import pytest

from benchmarks import views
from benchmarks.pictures import SIZES

MACHINE = {"device": "CPU", "cores": 2, "load": 0.1, "versions": {"python": "3.11"}}


def cell(processes, ratios):
    spread = {"median": ratios, "low": ratios - 0.5, "high": ratios + 0.5, "n": 3}
    rate = {"images_per_second": {**spread, "median": 100 * ratios}, "over_lightly": spread}
    return {"jpeg": "2 MP", "view": 64, "processes": processes, "rows": dict.fromkeys(views.PIPELINES, rate)}


def test_the_text_gives_the_geometric_mean_and_the_lowest_cell():
    figures = {"machine": MACHINE, "views": [cell(1, 2.0), cell(1, 8.0)]}
    assert views.geometric_mean(figures["views"]) == pytest.approx(4.0)
    text = views.as_text(figures)
    assert "geometric mean 4.00 x lightly (target 4.0), lowest cell 2.00 (target 2.5)" in text
    assert "1.50 to 2.50" in text


def test_lightly_is_where_the_ratio_is_one():
    rows = views._rows({"ours": [4.0, 9.0, 10.0], "lightly": [2.0, 3.0, 2.0], "torchvision v2": [1.0, 1.0, 1.0]})
    assert rows["lightly"]["over_lightly"]["median"] == 1.0
    assert rows["ours"]["over_lightly"] == {"median": 3.0, "low": 2.5, "high": 4.0, "n": 3}


def test_a_missing_folder_for_the_figures_is_said_at_once(tmp_path, capsys):
    with pytest.raises(SystemExit):
        views.main(["--quick", "--json", str(tmp_path / "none" / "x.json")])
    assert "expected an existing folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_quick_benchmark_prints_both_tables(tmp_path, capsys):
    pytest.importorskip("lightly")
    assert views.main(["--quick", "--json", str(tmp_path / "x.json"), "--markdown", str(tmp_path / "x.md")]) == 0
    text = capsys.readouterr().out
    assert text == (tmp_path / "x.md").read_text()
    figures = json.loads((tmp_path / "x.json").read_text())
    assert len(figures["views"]) == len(SIZES)
    assert figures["training"]["ratio"]["median"] > 0
    assert "Training over the pure step" in text


def test_without_lightly_the_table_of_views_is_refused_in_one_line(monkeypatch, capsys):
    def installed(name):
        if name == "lightly":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(views, "version", installed)
    assert views.main(["--quick", "--only", "views"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("benchmarks.views: lightly: expected it installed")
    assert "--only training" in line
    assert "lightly" not in views._machine(with_baseline=False)["versions"]
