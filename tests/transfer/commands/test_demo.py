"""``python -m transfer demo``: what it leaves alone, how it ends, and the whole chain."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from transfer.__main__ import main
from transfer.demo import chain

ROOT = Path(__file__).parents[3]


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "expected a new folder or an earlier demo" in error
    assert error.count("\n") == 1
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_ctrl_c_ends_the_stage_and_the_demo_in_one_line(tmp_path):
    code = (
        # Whoever starts the tests in the background (a CI job) hands down an ignored SIGINT.
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from transfer.__main__ import main\nfrom transfer.demo import chain\n"
        "wait = 'import time; print(1234567); time.sleep(600)'\n"
        "chain.make_stages = lambda out, quick: [chain.Command('waiting', ['-c', wait])]\n"
        "sys.exit(main(['demo', '--out', sys.argv[1]]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "demo")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True, cwd=ROOT) as process:
        while process.stdout.readline().strip() != "1234567":
            pass
        time.sleep(1)  # until it waits for more: an interrupt while a piece is handed on may lose that piece of the log
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the demo and its stage
        _, error = process.communicate()
    assert process.returncode == 130
    assert error == f"transfer demo: interrupted; what is finished lies in {tmp_path / 'demo'}\n"
    assert "KeyboardInterrupt" in (tmp_path / "demo/logs/1-waiting.log").read_text()  # the stage got it


@pytest.mark.slow
def test_the_whole_chain_runs(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(ROOT)
    assert main(["demo", "--out", str(tmp_path / "demo"), "--quick"]) == 0
    out = tmp_path / "demo"
    runs = json.loads((out / "report/results.json").read_text())
    assert [(run["name"], run["init"], run["seed"]) for run in runs] == [
        ("pretrained", "metamask", 0),
        ("random", "random", 0),
    ]
    assert runs[0]["weights"]["loaded"] == runs[0]["weights"]["expected"] == 100  # ResNet-18
    assert runs[0]["schedule"] == runs[1]["schedule"]
    assert runs[0]["config"]["sha256"] == runs[1]["config"]["sha256"]
    stages = json.loads((out / "stages.json").read_text())
    assert [stage["stage"] for stage in stages] == [stage.name for stage in chain.make_stages(out)]
    lines = capfd.readouterr().out.splitlines()
    names = ("report.html", "report.md", "report.csv", "table.tex", "results.json", "detections.png")
    assert lines[-6:] == [str(out / "report" / name) for name in names]
