"""TODO"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import resource
import sys


def version(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(*packages: str) -> dict[str, str]:
    """The versions of Python, of this package and of others, for a run record."""
    names = (*packages, "numpy", "pycocotools", "hotcoco", "detection-transfer")
    found = {name: version(name) or "not installed as a package" for name in names}
    return {"python": platform.python_version(), **found}


def peak_memory() -> int:
    """The most physical memory that this process has had at one time, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in bytes there, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
