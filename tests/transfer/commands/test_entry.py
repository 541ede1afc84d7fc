"""What every command has in common: light help texts, and one line for whatever the machine refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from transfer.__main__ import main
from transfer.commands.verbs import VERBS

ROOT = Path(__file__).parents[3]
HEAVY = ("torch", "detectron2", "mmengine", "matplotlib", "scipy", "numpy", "PIL", "pycocotools", "hotcoco")


def python(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("words", [["transfer"], *(["transfer", verb] for verb in VERBS), ["transfer.train_net"]])
def test_a_help_text_loads_no_framework(words):
    code = (
        "import sys, runpy, atexit\n"
        f"atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr))\n"
        f"sys.argv = {words!r} + ['--help']\nrunpy.run_module({words[0]!r}, run_name='__main__')"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
    assert done.stdout.startswith(f"usage: python -m {' '.join(words)}")


@pytest.mark.parametrize("words", [[], ["no-such-verb"], ["report"]])
def test_wrong_usage_exits_with_2(words):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2


def outputs(place, made):
    """Each command with an output, asked to write to ``place``; its inputs are not looked at before the place is."""
    return {
        "evaluate": ["--gt", made, "--detections", made, "--out", place],
        "report": [made, "--out", place],
        "predict": [made, "--images", made, "--out", place],
        "show": [made, "--random", "1", "--out", place],
        "demo": ["--out", place],
        "finetune": [
            *("--config-file", "any_mask_rcnn_R_18_FPN_small", "--train", made, made, "--val", made, made),
            *("--init", "random", "OUTPUT_DIR", place),
        ],
    }


@pytest.mark.parametrize("verb", ["evaluate", "report", "predict", "show", "demo", "finetune"])
@pytest.mark.parametrize("kind", ["below a file", "where the system lets nobody write"])
def test_the_place_of_an_output_is_tried_first(tmp_path, capsys, verb, kind):
    (tmp_path / "file").write_text("mine")
    place = str(tmp_path / "file/out") if kind == "below a file" else "/proc/nowhere/out"
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main([verb, *outputs(place, str(tmp_path / "absent"))[verb]]) == 1
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    assert line.startswith(f"transfer {verb}: {place} cannot be written: expected a folder")
    assert line.endswith("name another place")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights(tmp_path, capsys):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert main(["demo", "--out", str(tmp_path / "closed/out")]) == 1
    assert "found Permission denied" in capsys.readouterr().err
