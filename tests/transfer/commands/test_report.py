import json

import pytest

from tests.cases.fake_runs import make_run
from transfer.__main__ import main

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

FILES = ("report.html", "report.md", "report.csv", "table.tex", "results.json", "detections.png")


def report(three_runs, out, *names, flags=()):
    given = [*(str(three_runs / name) for name in names), "--out", str(out), "--images", "2", "--resamples", "100"]
    return main(["report", *given, *flags])


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_two_runs_become_a_page_tables_their_records_and_a_picture(three_runs, tmp_path, capsys):
    assert report(three_runs, tmp_path / "out", "random", "metamask") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-6:] == [str(tmp_path / "out" / name) for name in FILES]
    assert lines[-8].startswith("| metamask minus random")
    assert set(files(tmp_path / "out")) == set(FILES)
    content = json.loads((tmp_path / "out/results.json").read_text())
    assert [(run["name"], run["init"], run["seed"]) for run in content] == [
        ("random", "random", 0),
        ("metamask",) * 2 + (0,),
    ]
    assert content[1]["metrics"]["segm"]["AP"] > content[0]["metrics"]["segm"]["AP"]
    assert content[1]["metrics"]["bbox"]["APs"] is None
    for run in content:  # the path holds from where this copy of the record lies
        assert (tmp_path / "out" / run["detections"]).is_file()
    assert (tmp_path / "out/detections.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_runs_may_be_reported_again_and_others_not(three_runs, tmp_path, capsys):
    out = tmp_path / "out"
    assert report(three_runs, out, "random", "metamask") == 0
    assert report(three_runs, out, "metamask", "random") == 0
    before = files(out)
    capsys.readouterr()
    assert report(three_runs, out, "random") == 1
    error = capsys.readouterr().err
    assert "expected a report on the same runs, found one on metamask, random" in error
    assert error.count("\n") == 1
    assert files(out) == before
    assert report(three_runs, out, "random", flags=["--force"]) == 0
    assert len(json.loads((out / "results.json").read_text())) == 1


def test_a_folder_with_something_else_is_left_alone(three_runs, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert report(three_runs, tmp_path, "random") == 1
    assert "expected a new folder or an earlier report" in capsys.readouterr().err
    assert set(files(tmp_path)) == {"notes.txt"}


@pytest.mark.parametrize(
    ("names", "flags", "message"),
    [
        (["random", "quick"], [], "expected the same label_fraction, found 1.0 in random and 0.1 in quick"),
        (["random", "random"], [], "a run is given twice"),
        (["random", "nowhere"], [], "is missing: expected a finished run's record"),
        (["random"], ["--baseline", "byol"], "no such baseline: expected one of random, found byol"),
        (["random"], ["--score", "2"], "--score"),
        (["random"], ["--resamples", "5"], "--resamples"),
        (["random"], ["--stages", "nowhere.json"], "expected a list of stages, found nothing"),
        (["random"], ["--pretrain", "nowhere"], "expected a pretraining run's folder, found none at nowhere"),
    ],
)
def test_bad_input_gets_one_line_and_writes_nothing(three_runs, tmp_path, capsys, names, flags, message):
    assert report(three_runs, tmp_path / "out", *names, flags=flags) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("transfer report: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_why_there_is_no_picture_is_printed(three_runs, tmp_path, capsys):
    run = make_run(tmp_path / "run", three_runs / "data")
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"detections": None}))
    assert main(["report", str(run), "--out", str(tmp_path / "out"), "--resamples", "100"]) == 0
    assert "No picture: no run kept its detections." in capsys.readouterr().err
