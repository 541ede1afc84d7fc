"""The verbs, and what to type instead of a module that is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from pretrain.commands.verbs import RUN_DIRECTLY, VERBS, advice

ROOT = Path(__file__).parents[3]


def test_the_verbs_are_the_modules_of_the_folder():
    modules = {path.stem for path in (ROOT / "pretrain/commands").glob("*.py")} - {"__init__", "verbs"}
    assert modules == set(VERBS)


def runnable(path):
    return path.name == "__main__.py" or '__name__ == "__main__"' in path.read_text()


def modules():
    """Dotted name -> file, of every module of the package; a folder with a ``__main__.py`` counts by its own name."""
    for path in sorted((ROOT / "pretrain").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        if path.name != "__init__.py":
            yield name, path


def test_only_what_can_be_run_gets_no_advice():
    """Every other module would do nothing under ``python -m`` and exit with 0."""
    assert {name for name, path in modules() if runnable(path)} == set(RUN_DIRECTLY)
    silent = {name for name, _ in modules() if advice(["python", "-m", name, "--help"]) is None}
    assert silent == set(RUN_DIRECTLY)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("place", ["pretrain", "pretrain.commands", "pretrain.anywhere"])
def test_a_verb_s_name_leads_to_the_verb(verb, place):
    if f"{place}.{verb}" in RUN_DIRECTLY:
        pytest.skip("can be run")
    line = f"{place}.{verb} is no command of its own: expected python -m pretrain {verb}; add --help for its arguments"
    assert advice(["python", "-m", f"{place}.{verb}"]) == line


@pytest.mark.parametrize(
    "module", ["pretrain.train", "pretrain.probes.evaluate", "pretrain.data.views", "pretrain.nonsense"]
)
def test_a_module_that_is_no_command_ends_with_1_and_one_line(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (1, "", advice(["python", "-m", module]))
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["python", "-m", "pretrain", "train"],
        ["python", "-m", "pretrain.__main__"],
        ["python", "-c", "import pretrain"],
        ["python", "-m", "pytest", "-m", "pretrain.train"],
        ["python", "-m"],
        ["python"],
    ],
)
def test_what_is_typed_rightly_gets_no_advice(words):
    assert advice(words) is None


def test_the_flag_may_be_joined():
    for words in (["python", "-Im", "pretrain.train"], ["python", "-mpretrain.train", "x"]):
        assert advice(words).startswith("pretrain.train is no command")
