import json
import re

import pytest

from tests.cases.fake_runs import make_run
from transfer.__main__ import main
from transfer.demo import digits

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

FILES = ("report.html", "report.md", "report.csv", "table.tex", "results.json", "detections.png")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    digits.write(folder / "data", digits.Settings(size=48, train=1, val=4, unlabeled=1))
    make_run(folder / "random", folder / "data")
    make_run(folder / "metamask", folder / "data", "metamask", shift=1)
    make_run(folder / "quick", folder / "data", "quick", label_fraction=0.1)
    return folder


def report(runs, out, *names, flags=()):
    given = [*(str(runs / name) for name in names), "--out", str(out), "--images", "2", "--resamples", "100"]
    return main(["report", *given, *flags])


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_two_runs_become_a_page_tables_their_records_and_a_picture(runs, tmp_path, capsys):
    assert report(runs, tmp_path / "out", "random", "metamask") == 0
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


def test_the_page_stands_alone(runs, tmp_path):
    assert report(runs, tmp_path / "out", "random", "metamask", flags=["--published"]) == 0
    text = (tmp_path / "out/report.html").read_text()
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", text)
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "://" not in re.sub(r"arXiv|data:[^\"]*", "", text)
    assert "Most improved" in text
    assert "from memory" in text


def test_the_same_runs_give_the_same_report(runs, tmp_path):
    for name in ("a", "b"):
        assert report(runs, tmp_path / name, "random", "metamask") == 0
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_same_runs_may_be_reported_again_and_others_not(runs, tmp_path, capsys):
    out = tmp_path / "out"
    assert report(runs, out, "random", "metamask") == 0
    assert report(runs, out, "metamask", "random") == 0
    before = files(out)
    capsys.readouterr()
    assert report(runs, out, "random") == 1
    error = capsys.readouterr().err
    assert "expected a report on the same runs, found one on metamask, random" in error
    assert error.count("\n") == 1
    assert files(out) == before
    assert report(runs, out, "random", flags=["--force"]) == 0
    assert len(json.loads((out / "results.json").read_text())) == 1


def test_a_folder_with_something_else_is_left_alone(runs, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert report(runs, tmp_path, "random") == 1
    assert "expected a new folder or an earlier report" in capsys.readouterr().err
    assert set(files(tmp_path)) == {"notes.txt"}


@pytest.mark.parametrize(
    ("names", "flags", "said"),
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
def test_bad_input_gets_one_line_and_writes_nothing(runs, tmp_path, capsys, names, flags, said):
    assert report(runs, tmp_path / "out", *names, flags=flags) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("transfer report: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_records_of_an_older_schema_and_two_runs_under_one_name_are_refused(runs, tmp_path, capsys):
    run = make_run(tmp_path / "old", runs / "data")
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"schema": "transfer.record/1"}))
    assert main(["report", str(run), "--out", str(tmp_path / "out")]) == 1
    assert "the schema is older" in capsys.readouterr().err
    (run / "record.json").write_text(json.dumps(record | {"name": "random", "seed": 5}))
    assert main(["report", str(run), str(runs / "random"), "--out", str(tmp_path / "out")]) == 1
    assert "two runs under one name: expected different names for random" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_detections_of_other_images_stop_the_report(runs, tmp_path, capsys):
    run = make_run(tmp_path / "strange", runs / "data")
    (run / "inference/coco_instances_results.json").write_text(
        '[{"image_id": 999, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.9}]'
    )
    assert main(["report", str(run), "--out", str(tmp_path / "out")]) == 1
    assert "found 999" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_stages_stand_in_the_report(runs, tmp_path):
    (tmp_path / "stages.json").write_text(
        '[{"stage": "data", "seconds": 4.6, "command": "python -m transfer.demo.digits"}]'
    )
    flags = ["--stages", str(tmp_path / "stages.json")]
    assert report(runs, tmp_path / "out", "random", flags=flags) == 0
    text = (tmp_path / "out/report.md").read_text()
    assert re.search(r"\| data +\| +5 \|", text)
    assert "# data\npython -m transfer.demo.digits\n" in text
    assert "<code>python -m transfer.demo.digits</code>" in (tmp_path / "out/report.html").read_text()
    for bad in ("{", "[1]", '[{"stage": "data"}]', '[{"stage": "a", "seconds": "soon", "command": ""}]'):
        (tmp_path / "stages.json").write_text(bad)
        assert report(runs, tmp_path / "other", "random", flags=flags) == 1


def test_a_report_without_picture_removes_an_earlier_one_and_says_why(runs, tmp_path, capsys):
    out = tmp_path / "out"
    run = make_run(tmp_path / "run", runs / "data")
    assert main(["report", str(run), "--out", str(out), "--images", "1"]) == 0
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"detections": None}))
    assert main(["report", str(run), "--out", str(out)]) == 0
    assert set(files(out)) == set(FILES) - {"detections.png"}
    for name in ("report.md", "report.html"):
        assert "No picture: no run kept its detections." in (out / name).read_text()
    assert "No picture" in capsys.readouterr().err
