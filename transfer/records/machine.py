"""What a run record says of the machine: installed versions and the memory that this process took."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import sys


def version(package: str) -> str | None:
    """The installed version of a distribution, or what a loaded package without one says of itself; None for neither.

    Detectron2 may lie on the path without having been installed.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return getattr(sys.modules.get(package), "__version__", None)


def versions(*packages: str) -> dict[str, str]:
    """The versions of Python, of this package, of what measures, and of ``packages``, for a run record."""
    names = (*packages, "numpy", "pycocotools", "hotcoco", "detection-transfer")
    return {"python": platform.python_version()} | {
        name: version(name) or "not installed as a package" for name in names
    }


def peak_memory() -> int:
    """The most physical memory that this process has had at one time, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in bytes there, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
