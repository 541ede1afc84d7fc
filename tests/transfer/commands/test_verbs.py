"""The verbs, and what to type instead of a module that is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from transfer.__main__ import main
from transfer.commands.verbs import RUN_DIRECTLY, VERBS, advice

ROOT = Path(__file__).parents[3]


def test_the_verbs_are_the_modules_of_the_folder(capsys):
    modules = {path.stem for path in (ROOT / "transfer/commands").glob("*.py")} - {"__init__", "entry", "verbs"}
    assert modules == set(VERBS)
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n    {verb} " in shown for verb in VERBS)


def runnable(path):
    return path.name == "__main__.py" or '__name__ == "__main__"' in path.read_text()


def modules():
    """Dotted name -> file, of every module of the package; a folder with a ``__main__.py`` counts by its own name."""
    for path in sorted((ROOT / "transfer").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        if path.name != "__init__.py":
            yield name, path


def test_only_what_can_be_run_gets_no_advice():
    """Every other module would do nothing under ``python -m`` and exit with 0."""
    assert {name for name, path in modules() if runnable(path)} == set(RUN_DIRECTLY)
    silent = {name for name, _ in modules() if advice(["python", "-m", name, "--help"]) is None}
    assert silent == set(RUN_DIRECTLY)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("place", ["transfer", "transfer.commands", "transfer.anywhere"])
def test_a_verb_s_name_leads_to_the_verb(verb, place):
    if f"{place}.{verb}" in RUN_DIRECTLY:
        pytest.skip("can be run")
    line = f"{place}.{verb} is no command of its own: expected python -m transfer {verb}; add --help for its arguments"
    assert advice(["python", "-m", f"{place}.{verb}"]) == line


@pytest.mark.parametrize(
    "module", ["transfer.report", "transfer.conversion.convert", "transfer.checkpoints.locate", "transfer.nonsense"]
)
def test_a_module_that_is_no_command_ends_with_1_and_one_line(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (1, "", advice(["python", "-m", module]))
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["python", "-m", "transfer", "report"],
        ["python", "-m", "transfer.__main__"],
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
