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


def stage(name, code, *arguments):
    return chain.Command(name, ["-c", code, *arguments])


def test_stages_run_in_order_and_are_recorded_with_their_commands(tmp_path, capfdbinary):
    stages = [stage("one", "print('first')"), stage("two", "import sys; print('second', file=sys.stderr)", "a b")]
    assert chain.run_stages(stages, tmp_path) == 0
    printed = capfdbinary.readouterr().out.decode()
    parts = ["== 1/2 one", "$ python -c 'print('", "first", "== 2/2 two", "'a b'\n", "second\n"]
    assert sorted(parts, key=printed.index) == parts
    done = json.loads((tmp_path / "stages.json").read_text())
    assert [entry["stage"] for entry in done] == ["one", "two"]
    assert [entry["command"] for entry in done] == [stage.command for stage in stages]
    assert all(entry["seconds"] >= 0 for entry in done)
    assert (tmp_path / "logs/2-two.log").read_text() == "second\n"


def test_a_failing_stage_ends_the_demo_with_its_exit_code_and_one_line(tmp_path, capfd):
    stages = [stage("one", "pass"), stage("two", "raise SystemExit(7)"), stage("three", "print('never')")]
    assert chain.run_stages(stages, tmp_path) == 7
    out, err = capfd.readouterr()
    assert "never" not in out
    assert err.count("\n") == 1
    assert "stage two failed with exit code 7" in err
    assert str(tmp_path / "logs/2-two.log") in err
    assert [entry["stage"] for entry in json.loads((tmp_path / "stages.json").read_text())] == ["one"]


def test_a_killed_stage_counts_as_shells_count(tmp_path):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert chain.run_command([sys.executable, "-c", code], tmp_path / "log") == 128 + 9


def test_output_arrives_while_the_stage_still_runs(tmp_path, monkeypatch):
    # The stage prints and then waits for the file that is written when its line has arrived here.
    answer = tmp_path / "answer"
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    code = (
        "import os, time\nprint('begun')\nfor _ in range(3000):\n"
        f"    if os.path.exists({str(answer)!r}): break\n    time.sleep(0.01)\nelse: raise SystemExit(1)\n"
        "print('ended')"
    )

    class Terminal:
        buffer = None
        seen = b""

        def write(self, piece):
            self.seen += piece
            if b"begun" in self.seen:
                answer.touch()

        def flush(self):
            pass

    terminal = Terminal()
    terminal.buffer = terminal
    monkeypatch.setattr(sys, "stdout", terminal)
    assert chain.run_command([sys.executable, "-c", code], tmp_path / "log") == 0
    assert terminal.seen == b"begun\nended\n"


def test_an_earlier_demo_is_moved_aside_and_said_so(tmp_path, capsys):
    out = tmp_path / "demo"
    for number in range(3):
        chain.prepare(out)
        (out / "which").write_text(str(number))
    assert [(tmp_path / name / "which").read_text() for name in ("demo.1", "demo.2", "demo")] == ["0", "1", "2"]
    printed = capsys.readouterr().out
    assert printed.count("held an earlier demo: moved to") == 2
    assert str(tmp_path / "demo.2") in printed


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


def test_the_commands_meet_in_their_files_and_differ_only_in_the_start():
    stages = {stage.name: stage.arguments for stage in chain.make_stages(Path("runs/demo"))}
    assert list(stages) == ["data", "pretrain", "convert", "finetune-pretrained", "finetune-random", "report"]
    data, pretrain, convert, ours, random, report = stages.values()
    assert pretrain[pretrain.index("--data") + 1].startswith(data[data.index("--out") + 1])
    assert convert[3].startswith(pretrain[pretrain.index("--work-dir") + 1])
    assert ours[ours.index("--init") + 1] == convert[convert.index("--out") + 1]
    different = [(a, b) for a, b in zip(ours, random, strict=True) if a != b]
    assert different == [("runs/demo/detectron2.pth", "random"), ("runs/demo/pretrained", "runs/demo/random")]
    assert report[3:5] == [ours[ours.index("OUTPUT_DIR") + 1], random[random.index("OUTPUT_DIR") + 1]]


def test_the_configs_that_the_demo_names_exist():
    assert (ROOT / chain.PRETRAIN_CONFIG).is_file()
    assert (ROOT / chain.DETECTOR_CONFIG).is_file()


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
