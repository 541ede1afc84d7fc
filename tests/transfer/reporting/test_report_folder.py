"""What a report's folder may replace, and that its files are written whole."""

import json

import pytest

from tests.cases.records import make_record
from transfer.errors import InputError
from transfer.records import record_file
from transfer.reporting.report_folder import PICTURE, RESULTS, TEXT, check_out, records_text, write

RUNS = [make_record("random"), make_record("metamask", seed=1, detections="/runs/a/results.json")]


def test_a_new_an_empty_and_an_earlier_folder_may_be_written(tmp_path):
    check_out(tmp_path / "new", RUNS)
    check_out(tmp_path, RUNS)
    (tmp_path / RESULTS).write_text(records_text(tmp_path, RUNS))
    check_out(tmp_path, RUNS[::-1])  # in another order they are the same runs


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a new folder or an earlier report, found"),
        ("[", "expected a new folder or an earlier report, found"),
        ("[{}]", "expected a new folder or an earlier report, found"),
        ("one run", "expected a report on the same runs, found one on random-0; name another or use --force"),
    ],
)
def test_anything_else_is_left_alone(tmp_path, content, message):
    (tmp_path / "notes.txt").write_text("mine")
    if content is not None:
        (tmp_path / RESULTS).write_text(records_text(tmp_path, RUNS[:1]) if content == "one run" else content)
    with pytest.raises(InputError, match=message):
        check_out(tmp_path, RUNS)


def test_a_run_measured_again_may_take_its_own_place(tmp_path):
    (tmp_path / RESULTS).write_text(records_text(tmp_path, RUNS))
    check_out(tmp_path, [make_record("random", segm={"AP": 99.0}), RUNS[1]])
    with pytest.raises(InputError, match="expected a report on the same runs"):
        check_out(tmp_path, [make_record("random", seed=7), RUNS[1]])


def test_the_records_in_it_say_where_the_detections_are_from_there(tmp_path):
    first, second = json.loads(records_text(tmp_path / "report", RUNS))
    assert first["detections"] is None
    assert (tmp_path / "report" / second["detections"]).resolve().as_posix() == "/runs/a/results.json"
    assert record_file.from_json(first, "here") == RUNS[0]


def test_files_and_picture_are_replaced_together(tmp_path):
    write(tmp_path / "out", {TEXT: "first"}, b"png")
    assert (tmp_path / "out" / PICTURE).read_bytes() == b"png"
    write(tmp_path / "out", {TEXT: "second"}, None)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [TEXT]
    assert (tmp_path / "out" / TEXT).read_text() == "second"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder that can be written, found"):
        write(tmp_path / "file", {TEXT: "x"}, b"png")
