"""The versions that a result depends on: collected here alone, for every record and every file's metadata."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata

from pretrain import __version__

# What draws, decodes and computes: another version of these can change a result.
COMPUTING = ("torch", "torchvision", "numpy", "opencv-python-headless")
PACKAGES = (*COMPUTING, "mmengine-lite", "simplejpeg", "safetensors")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Versions of this package, of Python, and of distributions; None for one that is not installed."""
    return {"pretrain": __version__, "python": platform.python_version()} | {p: package_version(p) for p in packages}


def package_version(package: str) -> str | None:
    """The installed version of a distribution; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
