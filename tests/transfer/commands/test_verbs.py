"""The verbs, and what to type instead of a module that is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from transfer.__main__ import main
from transfer.commands.verbs import VERBS, advice

ROOT = Path(__file__).parents[3]


def test_the_verbs_are_the_modules_of_the_folder(capsys):
    modules = {path.stem for path in (ROOT / "transfer/commands").glob("*.py")} - {"__init__", "entry", "verbs"}
    assert modules == set(VERBS)
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n    {verb} " in shown for verb in VERBS)


@pytest.mark.parametrize("module", ["transfer.report", "transfer.doctor", "transfer.conversion.convert"])
def test_a_guessed_module_says_what_to_type(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    verb = module.rpartition(".")[2]
    expected = f"{module} is no command of its own: expected python -m transfer {verb}; add --help for its arguments"
    assert (done.stdout, done.stderr.strip()) == ("", expected)


@pytest.mark.parametrize(
    "words",
    [
        ["python", "-m", "transfer", "report"],
        ["python", "-m", "transfer.demo"],
        ["python", "-m", "transfer.train_net"],
        ["python", "-c", "import transfer"],
        ["python", "-m", "pytest", "-m", "transfer.report"],
        ["python", "-m"],
        ["python"],
    ],
)
def test_what_is_typed_rightly_gets_no_advice(words):
    assert advice(words) is None


def test_the_flag_may_be_joined():
    for words in (["python", "-Im", "transfer.report"], ["python", "-mtransfer.report", "x"]):
        assert advice(words).startswith("transfer.report is no command")
