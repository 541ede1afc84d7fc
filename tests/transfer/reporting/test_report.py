"""Records in, a report out: what it holds, and what it may replace."""

import datetime
import json
import re

import pytest

from tests.cases.fake_runs import make_run
from transfer.demo import digits
from transfer.errors import InputError
from transfer.records.record_file import read_run
from transfer.reporting.extra_tables import Studied
from transfer.reporting.report import compare, write_report

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


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


FILES = ("report.html", "report.md", "report.csv", "table.tex", "results.json", "detections.png")


def report(folder, out, *names, **options):
    return write_report([folder / name for name in names], out, images=2, resamples=100, **options)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_files_are_those_that_are_returned(three_runs, tmp_path):
    written = report(three_runs, tmp_path / "out", "random", "metamask")
    assert [path.name for path in written.paths] == list(FILES)
    assert set(written.paths) == set((tmp_path / "out").iterdir())
    assert (written.note, written.summary.baseline) == ("", "random")


def test_the_page_stands_alone(three_runs, tmp_path):
    report(three_runs, tmp_path / "out", "random", "metamask", published=True)
    text = (tmp_path / "out/report.html").read_text()
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", text)
    assert addresses
    assert {address for address in addresses if not address.startswith(("#", "data:"))} == set(FILES) - {"report.html"}
    assert "://" not in re.sub(r"arXiv|data:[^\"]*", "", text)
    assert "Most improved" in text
    assert "from memory" in text


def test_the_page_says_when_it_was_written_and_links_only_to_what_lies_beside_it(three_runs, tmp_path):
    run = make_run(tmp_path / "run", three_runs / "data")
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"detections": None}))
    write_report([run], tmp_path / "out")
    text = (tmp_path / "out/report.html").read_text()
    assert f"Written {datetime.date.today().isoformat()}." in text
    for name in re.findall(r'<a href="([^"#]+)"', text):
        assert (tmp_path / "out" / name).is_file(), name
    assert "detections.png" not in text


def test_the_same_runs_give_the_same_report(three_runs, tmp_path):
    for name in ("a", "b"):
        report(three_runs, tmp_path / name, "random", "metamask")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_records_of_an_older_schema_and_two_runs_under_one_name_are_refused(three_runs, tmp_path):
    run = make_run(tmp_path / "old", three_runs / "data")
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"schema": "transfer.record/1"}))
    with pytest.raises(InputError, match="the schema is older"):
        write_report([run], tmp_path / "out")
    (run / "record.json").write_text(json.dumps(record | {"name": "random", "seed": 5}))
    with pytest.raises(InputError, match="two runs under one name: expected different names for random"):
        write_report([run, three_runs / "random"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_detections_of_other_images_stop_the_report(three_runs, tmp_path):
    run = make_run(tmp_path / "strange", three_runs / "data")
    (run / "inference/coco_instances_results.json").write_text(
        '[{"image_id": 999, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.9}]'
    )
    with pytest.raises(InputError, match="found 999"):
        write_report([run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_stages_stand_in_the_report(three_runs, tmp_path):
    stages = tmp_path / "stages.json"
    stages.write_text('[{"stage": "data", "seconds": 4.6, "command": "python -m transfer.demo.digits"}]')
    report(three_runs, tmp_path / "out", "random", stages=stages)
    text = (tmp_path / "out/report.md").read_text()
    assert re.search(r"\| data +\| +5 \|", text)
    assert "# data\npython -m transfer.demo.digits\n" in text
    assert "<code>python -m transfer.demo.digits</code>" in (tmp_path / "out/report.html").read_text()
    for bad in ("{", "[1]", '[{"stage": "data"}]', '[{"stage": "a", "seconds": "soon", "command": ""}]'):
        stages.write_text(bad)
        with pytest.raises(InputError, match="expected a JSON list of stage"):
            report(three_runs, tmp_path / "other", "random", stages=stages)


def test_a_report_without_picture_removes_an_earlier_one_and_says_why(three_runs, tmp_path):
    out = tmp_path / "out"
    run = make_run(tmp_path / "run", three_runs / "data")
    assert write_report([run], out, images=1).note == ""
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"detections": None}))
    assert write_report([run], out).note == "No picture: no run kept its detections."
    assert set(files(out)) == set(FILES) - {"detections.png"}
    for name in ("report.md", "report.html"):
        assert "No picture: no run kept its detections." in (out / name).read_text()


def test_a_record_in_memory_is_compared_as_its_file_is(three_runs):
    folders = [three_runs / "random", three_runs / "metamask"]
    from_files, in_memory = (compare(runs, resamples=100) for runs in (folders, [read_run(f) for f in folders]))
    assert from_files.groups == in_memory.groups
    assert [group.init for group in in_memory.groups] == ["random", "metamask"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resamples": 99}, "expected 100 or more, 0 or more, found 99, 0"),
        ({"seed": -1}, "found 1000, -1"),
        ({"baseline": "byol"}, "no such baseline: expected one of random, found byol"),
    ],
)
def test_what_cannot_be_compared_is_refused(three_runs, options, message):
    with pytest.raises(InputError, match=message):
        compare([three_runs / "random"], **options)


def test_no_run_is_nothing_to_compare():
    with pytest.raises(InputError, match="expected at least one run, found none"):
        compare([])
