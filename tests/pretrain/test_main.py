"""The command line as a whole: its verbs, its help without torch, and one line for whatever the outside does."""

import subprocess
import sys
from pathlib import Path

import pytest

from pretrain import __version__
from pretrain.__main__ import VERBS, main
from pretrain.commands import evaluate, train

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "mmengine", "cv2", "numpy", "matplotlib", "safetensors")


def run(*argv):
    code = f"import sys; from pretrain.__main__ import main\ntry: main({list(argv)!r})\nexcept SystemExit: pass\n"
    code += f"print([m for m in {HEAVY} if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


@pytest.mark.parametrize("argv", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)], ids=" ".join)
def test_help_imports_nothing_heavy(argv):
    out = run(*argv)
    assert out.splitlines()[-1] == "[]"
    assert (__version__ if argv == ["--version"] else "usage: python -m pretrain") in out


def test_no_verb_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "VERB" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["config.py"], ["train", "config.py"], ["train"]])
def test_train_is_meant_where_no_verb_is_named(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "--work-dir" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied", "/data/x"), "/data/x: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (MemoryError("Unable to allocate 9 GiB"), "Unable to allocate 9 GiB"),
    ],
)
@pytest.mark.parametrize("command", [train, evaluate], ids=["train", "evaluate"])
def test_what_the_outside_does_is_one_line(command, error, words, monkeypatch, capsys):
    def fail(args):
        raise error

    monkeypatch.setattr(command, "run", fail)
    verb = command.__name__.rpartition(".")[2]
    flags = {
        "train": ["c.py", "--data", "d", "--work-dir", "w"],
        "evaluate": ["w", "--data", "d", "--out", "o", "--protocol", "knn"],
    }
    assert main([verb, *flags[verb]]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pretrain: ")
    assert words in line


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    def fail(args):
        raise KeyError("a bug")

    monkeypatch.setattr(train, "run", fail)
    with pytest.raises(KeyError):
        main(["c.py", "--data", "d", "--work-dir", "w"])


@pytest.mark.parametrize(
    ("checkpoint", "flags", "line"),
    [
        (False, [], "interrupted; there is no checkpoint yet: start again"),
        (True, [], "interrupted; go on with --resume from {work}/checkpoints/iteration_00000004.pth"),
        (True, ["--dry-run"], "interrupted; nothing was written"),
    ],
)
def test_ctrl_c_before_anything_is_trained_promises_only_what_is_there(
    tmp_path, monkeypatch, capsys, checkpoint, flags, line
):
    import pretrain.commands.train as command

    def interrupted(args):
        raise KeyboardInterrupt

    work = tmp_path / "run"
    if checkpoint:
        (work / "checkpoints").mkdir(parents=True)
        (work / "checkpoints/iteration_00000004.pth").touch()
    monkeypatch.setattr(command, "run", interrupted)
    assert main(["train", "x.py", "--data", str(tmp_path), "--work-dir", str(work), *flags]) == 130
    assert capsys.readouterr().err == f"pretrain: {line.format(work=work)}\n"
