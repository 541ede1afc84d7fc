"""What ``import transfer`` offers: found on first use, typed, and with examples that run."""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import transfer

ROOT = Path(__file__).parents[2]
FUNCTIONS = [name for name in transfer.__all__ if inspect.isfunction(getattr(transfer, name))]
GOING_ON = ["read_record", "predict", "export", "report"]  # their examples go on from that of finetune


def run_example(name, names):
    """Run a public name's example among ``names``, which keep what it defines; how many lines it had."""
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(transfer, name), name, globs=names)
    printed = []
    result = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE).run(
        test, out=printed.append, clear_globs=False
    )
    assert result.failed == 0, "".join(printed)
    names.update(test.globs)
    return result.attempted


def test_what_the_issue_names_is_there():
    functions = {"read_checkpoint", "convert", "verify", "diagnose", "finetune", "evaluate", "predict", "compare"}
    assert set(FUNCTIONS) == functions | {"report", "read_record", "study", "import_data", "export"}
    assert set(transfer.__all__) <= set(dir(transfer))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'transfer' has no attribute 'nothing'"):
        transfer.nothing  # noqa: B018


def test_the_table_of_types_and_that_of_places_are_one():
    """What a type checker sees is what is found at run time."""
    import ast

    (block,) = [n for n in ast.parse(Path(transfer.__file__).read_text()).body if isinstance(n, ast.If)][:1]
    typed = {a.asname or a.name: (n.module, a.name) for n in block.body for a in n.names}
    assert typed == transfer._PLACES
    assert sorted(typed) == sorted(transfer.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_says_what_it_takes_gives_and_refuses(name):
    function = getattr(transfer, name)
    signature = inspect.signature(function)
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
    assert signature.return_annotation is not inspect.Signature.empty
    text = inspect.getdoc(function)
    for part in ("Args:", "Raises:", "Examples:"):
        assert part in text
    for parameter in signature.parameters:
        assert f"{parameter}:" in text, f"{name} does not explain {parameter}"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("finetune", *GOING_ON)])
def test_the_example_runs(name):
    assert run_example(name, {}) > 2


@pytest.mark.usefixtures("one_thread")
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_the_examples_around_a_run():
    names = {}
    assert run_example("finetune", names) > 10
    for name in GOING_ON:
        assert run_example(name, names) > 1


def test_a_name_is_found_without_the_rest():
    code = "import sys, transfer; transfer.InputError, transfer.read_record; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "False"
