"""The verbs are the modules of their folder; what to type instead of another module: tests/test_python_m.py."""

from pathlib import Path

import pytest

from pretrain.commands.verbs import VERBS, advice

ROOT = Path(__file__).parents[3]


def test_the_verbs_are_the_modules_of_the_folder():
    modules = {path.stem for path in (ROOT / "pretrain/commands").glob("*.py")} - {"__init__", "verbs"}
    assert modules == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_s_name_leads_to_the_verb(verb):
    line = advice(["python", "-m", f"pretrain.x.{verb}"])
    assert line.startswith(f"pretrain.x.{verb} is no command of its own: expected python -m pretrain {verb}; add")


def test_the_flag_may_be_joined():
    for words in (["python", "-Im", "pretrain.train"], ["python", "-mpretrain.train", "x"]):
        assert advice(words).startswith("pretrain.train is no command")
