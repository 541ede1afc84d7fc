"""Arrows point down only: which folder may import which (docs/design.md), and which framework is where."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Folder, or module at the top of a package -> floor. A file imports from its own folder and from lower floors.
FLOORS = {
    "pretrain": {
        "errors": 0,
        "atomic": 0,
        "progress": 0,
        "ranges": 0,
        "versions": 0,
        "mask_file": 0,
        "backbones": 1,
        "distributed": 1,
        "data": 1,
        "method": 1,
        "probes": 2,
        "settings": 2,
        "reporting": 3,
        "algorithm": 3,
        "training": 4,
        "commands": 5,
        "__main__": 6,
    },
    "transfer": {
        "errors": 0,
        "exit_codes": 1,
        "log_levels": 0,
        "progress": 0,
        "files": 1,
        "records": 2,
        "checkpoints": 2,
        "demo": 3,
        "detectors": 3,
        "data": 3,
        "register": 4,
        "doctor": 4,
        "conversion": 4,
        "evaluation": 4,
        "importing": 4,
        "drawing": 5,
        "comparison": 5,
        "reporting": 6,
        "finetuning": 6,
        "studies": 7,
        "commands": 8,
        "train_net": 9,
        "__main__": 9,
    },
}
# Top-level modules that others of their floor may use: they stand in no folder.
SHARED = {("pretrain", "errors"), ("pretrain", "backbones")}
LEAST_MODULES = {"pretrain": 50, "transfer": 90}
# The files that may import a framework, by folder or by file; every other file must not.
FRAMEWORKS = {
    ("pretrain", "mmengine"): {
        "algorithm",
        "reporting/mask_snapshots.py",
        "reporting/records.py",
        "settings/config_files.py",
        "training",
    },
    ("pretrain", "detectron2"): set(),
    ("pretrain", "matplotlib"): {"reporting/plots.py"},
    ("pretrain", "tqdm"): {"progress.py"},
    ("transfer", "mmengine"): set(),
    ("transfer", "matplotlib"): {"drawing/painting.py", "drawing/png_grid.py"},
    ("transfer", "jinja2"): {"reporting/page.py"},
    ("transfer", "contourpy"): {"drawing/layout.py"},
    ("transfer", "cv2"): {"drawing/layout.py", "importing/likeness.py"},
    ("transfer", "scipy"): {
        "comparison/intervals.py",
        "comparison/rank_correlation.py",
        "data/voc.py",
        "importing/label_image.py",
        "importing/likeness.py",
    },
}


def modules(package):
    """Every module of a package but the docstring-only ``__init__.py``."""
    return [p for p in sorted((ROOT / package).rglob("*.py")) if p.name != "__init__.py"]


def place(package, path):
    """What a module is filed under: its folder below the package, or its own name where that is a floor of its own."""
    parts = path.relative_to(ROOT / package).with_suffix("").parts
    return "__main__" if parts[-1] == "__main__" else parts[0]  # an entry point, whichever folder it lies in


def imports(path):
    """Dotted names of what a file imports anywhere; of ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(package, path):
    """The dotted names of the package's own modules that a file imports."""
    known = {".".join(p.relative_to(ROOT).with_suffix("").parts) for p in modules(package)}
    return {name for name in imports(path) if name in known}


@pytest.mark.parametrize("package", FLOORS)
def test_every_module_has_a_place_and_every_place_a_module(package):
    paths = modules(package)
    assert len(paths) >= LEAST_MODULES[package]
    assert {place(package, p) for p in paths} == FLOORS[package].keys()


@pytest.mark.parametrize("package", FLOORS)
def test_the_picture_in_the_docs_is_the_tree(package):
    _, _, table = (ROOT / "docs" / "design.md").read_text().partition(f"| {package} | holds | floor |")
    rows = [line.split("|") for line in table.split("\n\n")[0].splitlines()[2:]]
    drawn = {row[1].strip(" `/").removesuffix(".py"): int(row[-2]) for row in rows}
    assert drawn == FLOORS[package]


@pytest.mark.parametrize("package", FLOORS)
def test_a_file_imports_from_its_own_folder_and_from_lower_floors(package):
    floors, arrows = FLOORS[package], 0
    for path in modules(package):
        own = place(package, path)
        for name in within(package, path):
            arrows += 1
            other = place(package, ROOT / f"{name.replace('.', '/')}.py")
            allowed = other == own or floors[other] < floors[own] or (package, other) in SHARED
            assert allowed, f"{path.relative_to(ROOT)} (floor {floors[own]}) imports {name} (floor {floors[other]})"
    assert arrows > 2 * LEAST_MODULES[package]


@pytest.mark.parametrize("package", FLOORS)
def test_no_two_files_import_each_other_in_a_circle(package):
    arrows = {".".join(p.relative_to(ROOT).with_suffix("").parts): within(package, p) for p in modules(package)}
    while arrows:
        free = [name for name, targets in arrows.items() if not targets & arrows.keys()]
        assert free, f"a circle among {sorted(arrows)}"
        for name in free:
            del arrows[name]


@pytest.mark.parametrize("package", FLOORS)
def test_an_init_file_of_a_folder_holds_one_docstring_line(package):
    for path in (ROOT / package).rglob("*/__init__.py"):
        if path.parent != ROOT / package:
            assert len(path.read_text().splitlines()) == 1, path
            assert path.read_text().startswith('"""'), path


@pytest.mark.parametrize(("package", "other"), [("pretrain", "transfer"), ("transfer", "pretrain")])
def test_the_two_halves_meet_in_a_file_not_in_an_import(package, other):
    for path in modules(package):
        assert not [n for n in imports(path) if n.split(".")[0] == other], path


@pytest.mark.parametrize(("package", "framework"), FRAMEWORKS)
def test_each_framework_stays_in_its_place(package, framework):
    allowed = FRAMEWORKS[package, framework]
    for path in modules(package):
        if any(n.split(".")[0] == framework for n in imports(path)):
            assert {place(package, path), path.relative_to(ROOT / package).as_posix()} & allowed, path


@pytest.mark.parametrize("package", ["pretrain", "transfer"])
def test_importing_a_package_is_light(package):
    heavy = ("torch", "detectron2", "mmengine", "matplotlib")
    code = f"import sys, {package}; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"
    assert out.stderr == ""


@pytest.mark.parametrize("package", [*FLOORS, "benchmarks"])
def test_each_module_has_a_test_file_of_its_name(package):
    """``tests/transfer/evaluation/test_tide.py`` tests ``transfer/evaluation/tide.py``."""
    paths = [p.relative_to(ROOT) for p in modules(package) if p.name != "__main__.py"]
    assert len(paths) >= LEAST_MODULES.get(package, 30)
    missing = {p.as_posix() for p in paths if not (ROOT / "tests" / p.parent / f"test_{p.name}").is_file()}
    assert not missing
