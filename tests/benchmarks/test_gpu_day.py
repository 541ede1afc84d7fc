"""The day of a GPU, in miniature: one line a part, and the same command goes on where it was ended."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu_day.sh"
# Stands for Python: writes down what it is asked for; waits, or fails, where the test says so.
STAND_IN = """#!/bin/bash
echo "$*" >> {calls}
case "$*" in *"$WAIT"*) [ -z "$WAIT" ] || sleep 60;; esac
case "$*" in *"$FAIL"*) [ -z "$FAIL" ] || {{ echo "no such thing"; exit 1; }};; esac
"""


@pytest.fixture
def day(tmp_path):
    python, calls = tmp_path / "python", tmp_path / "calls"
    python.write_text(STAND_IN.format(calls=calls))
    python.chmod(0o755)

    def begin(**environment):
        variables = {**os.environ, "PY": str(python), "WAIT": "", "FAIL": "", **environment}
        words = [SCRIPT, tmp_path / "out", "--miniature"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # A shell cannot trap what it was started to ignore, as whatever stands in the background is.
        return subprocess.Popen(words, env=variables, text=True, preexec_fn=_listening, **pipes)

    begin.calls = lambda: calls.read_text().splitlines() if calls.exists() else []
    begin.out = tmp_path / "out"
    return begin


def _listening():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_one_line_a_part(day):
    shown, errors = (process := day()).communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert [line[0] for line in shown.splitlines()] == list("123456")
    assert all("done in" in line for line in shown.splitlines())
    calls = day.calls()
    assert len(calls) == 8
    assert "benchmarks.finetune --quick --only training" in calls[6]
    assert "digits_small.yaml --only random/0/25%" in calls[7]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_what_was_ended_goes_on(day, signum):
    process = day(WAIT="benchmarks.compile")
    while not any("benchmarks.compile" in call for call in day.calls()):
        time.sleep(0.1)
        assert process.poll() is None
    process.send_signal(signum)
    shown, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from here" in errors
    assert [line[0] for line in shown.splitlines()] == list("123")
    before = len(day.calls())
    shown, _ = day().communicate(timeout=120)
    assert sum("before" in line for line in shown.splitlines()) == 3
    assert len(day.calls()) - before == 4  # of parts 4 to 6; part 4, which was not done, begins again


def test_a_part_that_fails_or_takes_too_long_does_not_end_the_day(day):
    shown, _ = (process := day(FAIL="benchmarks.meta_step", WAIT="benchmarks.finetune", LIMIT="1")).communicate(
        timeout=120
    )
    lines = shown.splitlines()
    assert process.returncode == 1
    assert "failed with 1: no such thing" in lines[1]
    assert "not at its end after 1 s" in lines[4]
    assert "done in" in lines[5]
    assert not (day.out / "2.done").exists()


def test_what_is_wrong_is_one_line(tmp_path):
    done = subprocess.run([SCRIPT, tmp_path / "out", "--mini"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("gpu_day.sh: expected OUT [--miniature], found: ")


@pytest.mark.slow
def test_in_miniature_for_real(tmp_path):
    done = subprocess.run([SCRIPT, tmp_path / "out", "--miniature"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {
        "2_meta_step.json",
        "3_feeding_loader.json",
        "4_compile.json",
        "4_sync_norm.json",
        "5_finetune.json",
    } <= names
    assert list((tmp_path / "out").rglob("record.json"))
