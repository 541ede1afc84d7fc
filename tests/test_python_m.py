"""``python -m MODULE`` of either package runs a command, or says in one line what to type."""

import subprocess
import sys
from pathlib import Path

import pytest

from pretrain.commands import verbs as pretrain_verbs
from transfer.commands import verbs as transfer_verbs

ROOT = Path(__file__).parents[1]
PACKAGES = {"pretrain": pretrain_verbs, "transfer": transfer_verbs}


def modules(package):
    """Dotted name -> file, of every module; a folder with a ``__main__.py`` counts by its own name."""
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.name != "__init__.py":
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__"), path


def runnable(path):
    return path.name == "__main__.py" or '__name__ == "__main__"' in path.read_text()


@pytest.mark.parametrize("package", PACKAGES)
def test_only_what_can_be_run_gets_no_advice(package):
    """Every other module would do nothing under ``python -m`` and exit with 0."""
    verbs = PACKAGES[package]
    assert {name for name, path in modules(package) if runnable(path)} == set(verbs.RUN_DIRECTLY)
    silent = {name for name, _ in modules(package) if verbs.advice(["python", "-m", name, "--help"]) is None}
    assert silent == set(verbs.RUN_DIRECTLY)


@pytest.mark.parametrize(
    "module",
    [
        *("pretrain.train", "pretrain.probes.evaluate", "pretrain.data.views", "pretrain.nonsense"),
        *("transfer.report", "transfer.conversion.convert", "transfer.checkpoints.locate", "transfer.nonsense"),
    ],
)
def test_a_module_that_is_no_command_ends_with_1_and_one_line(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=ROOT)
    line = PACKAGES[module.partition(".")[0]].advice(["python", "-m", module])
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{line}\n")
    assert "expected python -m" in line


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(
    "words",
    [
        ["python", "-m", "{}", "train"],
        ["python", "-m", "{}.__main__"],
        ["python", "-c", "import {}"],
        ["python", "-m", "pytest", "-m", "{}.report"],
        ["python", "-m", "torch.distributed.run", "-m", "{}.report"],
        ["python", "-m"],
        ["python"],
    ],
)
def test_what_is_typed_rightly_gets_no_advice(package, words):
    assert PACKAGES[package].advice([word.format(package) for word in words]) is None


def test_both_packages_have_the_same_rule():
    first, second = (Path(module.__file__).read_text() for module in PACKAGES.values())
    rule = first.partition("def advice")[2].replace("pretrain", "transfer")
    assert rule == second.partition("def advice")[2]
