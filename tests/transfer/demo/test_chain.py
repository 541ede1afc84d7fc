import json
import sys
from pathlib import Path

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
        received = b""

        def write(self, piece):
            self.received += piece
            if b"begun" in self.received:
                answer.touch()

        def flush(self):
            pass

    terminal = Terminal()
    terminal.buffer = terminal
    monkeypatch.setattr(sys, "stdout", terminal)
    assert chain.run_command([sys.executable, "-c", code], tmp_path / "log") == 0
    assert terminal.received == b"begun\nended\n"


def test_an_earlier_demo_is_moved_aside_and_said_so(tmp_path, capsys):
    out = tmp_path / "demo"
    for number in range(3):
        chain.prepare(out)
        (out / "which").write_text(str(number))
    assert [(tmp_path / name / "which").read_text() for name in ("demo.1", "demo.2", "demo")] == ["0", "1", "2"]
    printed = capsys.readouterr().out
    assert printed.count("held an earlier demo: moved to") == 2
    assert str(tmp_path / "demo.2") in printed


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
