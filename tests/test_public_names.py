"""What the packages offer to a Python caller: light to import, typed, documented, and every example runs."""

import doctest
import importlib
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PUBLIC = {"pretrain": {"train", "evaluate", "load_backbone", "hypergradient", "Problem", "Weights", "TrialStep"}}
NAMES = [(package, name) for package, names in PUBLIC.items() for name in sorted(names)]


@pytest.mark.parametrize("package", PUBLIC)
def test_the_names_are_those_that_are_promised_and_are_listed(package):
    module = importlib.import_module(package)
    assert set(module.__all__) == PUBLIC[package] | {"__version__"}
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = module.nonsense


@pytest.mark.parametrize("package", PUBLIC)
def test_listing_the_names_imports_nothing_heavy(package):
    code = f"import sys, {package}; dir({package}); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "False"


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_argument_and_result_has_a_type(package, name):
    value = getattr(importlib.import_module(package), name)
    hints = typing.get_type_hints(value if inspect.isfunction(value) else value.__init__)
    assert set(inspect.signature(value).parameters) | {"return"} <= hints.keys()


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_the_example_runs(package, name, tmp_path, monkeypatch):
    """In an empty folder, with what its module has imported and with the public names."""
    monkeypatch.chdir(tmp_path)
    public = importlib.import_module(package)
    value = getattr(public, name)
    names = {**vars(sys.modules[value.__module__]), **{other: getattr(public, other) for other in PUBLIC[package]}}
    (example,) = doctest.DocTestFinder(recurse=False).find(value, name, globs=names)
    lines = []
    result = doctest.DocTestRunner().run(example, out=lines.append)
    assert result.attempted > 0, f"{name} has no example"
    assert result.failed == 0, "".join(lines)
