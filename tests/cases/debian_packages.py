"""The package that `tests/benchmarks/sets/conftest.py` makes."""

import hashlib
import shutil

import pytest

from benchmarks.sets.packages import Package

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")


def shapes(debs, version="1.0"):
    """The package in ``debs`` as the list names it, under any version."""
    return Package("shapes", version, hashlib.sha256((debs / "shapes_1.0_all.deb").read_bytes()).hexdigest())
