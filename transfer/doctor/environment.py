"""Version traps: combinations of installed packages that import and then fail, or fail to import."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from transfer.doctor.findings import ERROR, WARNING, Finding
from transfer.records.machine import version

MIN_TORCH = (2, 6)  # from here on torch.load is safe by default
# np.float and its like went with NumPy 1.24, Image.LINEAR with Pillow 10 (detectron2 issues 4713, 5010).
_REMOVED_NUMPY = re.compile(r"\bnp\.(float|int|object|str)\b(?!_)")
_REMOVED_PILLOW = re.compile(r"\bImage\.LINEAR\b")


def check() -> list[Finding]:
    """Everything about this Python environment that would stop a run, without running one."""
    return [*_python(), *_torch(), *_detectron2(), *_setuptools()]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _python() -> Iterator[Finding]:
    if not (3, 11) <= sys.version_info[:2] < (3, 13):
        python_version = ".".join(map(str, sys.version_info[:2]))
        yield Finding(
            WARNING,
            f"expected 3.11 or 3.12, found {python_version}",
            "Python",
            "nobody tests others",
            "use 3.11 or 3.12",
        )


def _torch() -> Iterator[Finding]:
    torch_version = version("torch")
    if torch_version is None:
        yield Finding(ERROR, "expected an installation, found none", "torch", "nothing works without it", "install it")
        return
    if _numbers(torch_version) < MIN_TORCH:
        why = "older ones run what a checkpoint tells them to"
        yield Finding(ERROR, f"expected 2.6 or newer, found {torch_version}", "torch", why, "upgrade it")
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError) as error:  # "operator torchvision::nms does not exist"
        yield Finding(
            ERROR,
            f"expected one that fits torch {torch_version}, found {version('torchvision')} "
            f"({str(error).splitlines()[0]})",
            "torchvision",
            "its operators were built for another torch, so it cannot be imported",
            "install torch and torchvision as a pair: 2.11.0 and 0.26.0",
        )


def _detectron2() -> Iterator[Finding]:
    spec = importlib.util.find_spec("detectron2")
    if spec is None or spec.origin is None:
        yield Finding(
            WARNING,
            "expected an installation, found none",
            "detectron2",
            "no detector can be trained",
            "see the README",
        )
        return
    traps = []
    if _numbers(version("numpy") or "0.0") >= (1, 24):
        traps.append(("NumPy", _REMOVED_NUMPY))
    if _numbers(version("pillow") or "0.0") >= (10, 0):
        traps.append(("Pillow", _REMOVED_PILLOW))
    for package, removed in traps:
        if place := _first_use(Path(spec.origin).parent, removed):
            yield Finding(
                ERROR,
                f"expected a detectron2 that fits {package} {version(package.lower())}, found {place[1]} in {place[0]}",
                "detectron2",
                f"{package} no longer has that name: the run stops with an AttributeError when it gets there",
                "use the detectron2 of requirements/setup.sh",
            )


def _first_use(package: Path, pattern: re.Pattern[str]) -> tuple[str, str] | None:
    for path in sorted(package.rglob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if (match := pattern.search(line)) and not line.lstrip().startswith("#"):
                return str(path.relative_to(package.parent)), match[0]
    return None


def _setuptools() -> Iterator[Finding]:
    if importlib.util.find_spec("pkg_resources") is None:
        setuptools_version = version("setuptools") or "no setuptools"
        why = "Detectron2's model zoo imports pkg_resources, which setuptools 81 removed"
        yield Finding(
            WARNING,
            f"expected setuptools below 81, found {setuptools_version}",
            "setuptools",
            why,
            "install setuptools<81",
        )
