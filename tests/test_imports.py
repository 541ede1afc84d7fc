"""Arrows point down only: which module may import which (docs/design.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Lower numbers know nothing of higher ones.
LAYERS = {
    "errors": 0,
    "atomic": 1,
    "checkpoint_files": 1,
    "interrupt": 1,
    "ranks": 1,
    "decode": 1,
    "losses": 1,
    "coding": 1,
    "heads": 1,
    "pixels": 0,
    "colour": 1,
    "device_colour": 2,
    "packed": 1,
    "tangent": 1,
    "backbones": 1,
    "compilation": 1,
    "frozen": 1,
    "environment": 1,
    "plots": 1,
    "bilevel": 2,
    "monitor": 2,
    "archives": 2,
    "shards": 2,
    "mixed_precision": 2,
    "sync_norm": 2,
    "objective": 2,
    "views": 2,
    "sources": 3,
    "features": 3,
    "data": 4,
    "labelled": 4,
    "settings": 3,
    "config": 3,
    "initial": 5,
    "changes": 4,
    "plan": 5,
    "gradients": 3,
    "target": 3,
    "upper": 4,
    "evaluate": 5,
    "real_step": 5,
    "algorithm": 6,
    "loop": 5,
    "snapshots": 4,
    "report": 5,
    "records": 6,
    "hooks": 6,
    "online": 6,
    "checkpoints": 7,
    "optim": 7,
    "train": 8,
    "rehearsal": 9,
    "__main__": 10,
}
MMENGINE = {
    "algorithm",
    "checkpoints",
    "config",
    "gradients",
    "hooks",
    "loop",
    "online",
    "optim",
    "real_step",
    "records",
    "rehearsal",
    "snapshots",
    "train",
}


def imports(path):
    """Names of the modules that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(package):
    return sorted((ROOT / package).glob("*.py"))


@pytest.mark.parametrize("path", [p for p in modules("pretrain") if p.stem != "__init__"], ids=lambda p: p.stem)
def test_pretrain_imports_only_lower_layers(path):
    assert path.stem in LAYERS, "give the new module its layer"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "pretrain" and len(parts) > 1 and parts[1] in LAYERS:
            assert LAYERS[parts[1]] < LAYERS[path.stem], f"{path.stem} imports {parts[1]}"


@pytest.mark.parametrize(("package", "other"), [("pretrain", "transfer"), ("transfer", "pretrain")])
def test_the_two_halves_meet_in_a_file_not_in_an_import(package, other):
    for path in modules(package):
        assert not [n for n in imports(path) if n.split(".")[0] == other], path


def users(package, framework):
    return {p.stem for p in modules(package) if any(n.split(".")[0] == framework for n in imports(p))}


def test_each_framework_stays_in_its_place():
    assert users("pretrain", "mmengine") <= MMENGINE
    assert users("transfer", "mmengine") == set()
    assert users("pretrain", "detectron2") == set()
    assert users("transfer", "matplotlib") == {"plots"}
    assert users("transfer", "jinja2") == {"page"}
    assert users("transfer", "contourpy") == users("transfer", "cv2") == {"overlays"}
    assert users("transfer", "scipy") == {"intervals", "voc"}
    assert users("pretrain", "matplotlib") == users("transfer", "matplotlib") == {"plots"}


@pytest.mark.parametrize("package", ["pretrain", "transfer"])
def test_importing_a_package_is_light(package):
    heavy = ("torch", "detectron2", "mmengine", "matplotlib")
    code = f"import sys, {package}; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"
    assert out.stderr == ""
