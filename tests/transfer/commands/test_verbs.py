"""The verbs are the modules of their folder; what to type instead of another module: tests/test_python_m.py."""

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


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_s_name_leads_to_the_verb(verb):
    line = advice(["python", "-m", f"transfer.x.{verb}"])
    assert line.startswith(f"transfer.x.{verb} is no command of its own: expected python -m transfer {verb}; add")


def test_the_flag_may_be_joined():
    for words in (["python", "-Im", "transfer.report"], ["python", "-mtransfer.report", "x"]):
        assert advice(words).startswith("transfer.report is no command")
