"""Debian packages as sources of files: fetched or found, checked, unpacked.

Nothing is installed and no package's script runs. Needs dpkg-deb, and for fetching apt-get: a Debian machine.
"""

from __future__ import annotations

import csv
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from transfer.errors import InputError

LIST = Path(__file__).with_name("packages.csv")


@dataclass(frozen=True)
class Package:
    """One version of a package: name, version as Debian writes it, SHA-256 of the .deb file."""

    name: str
    version: str
    sha256: str


def listed(path: Path = LIST) -> list[Package]:
    """The packages that the cut-outs come from."""
    with path.open(encoding="utf-8", newline="") as file:
        return [Package(**row) for row in csv.DictReader(file)]


def fetch(package: Package, folder: Path) -> Path:
    """Download a package into ``folder``, which holds no other version of it; its .deb file.

    Raises:
        InputError: this machine's package lists do not have the version, or there is no apt-get.
    """
    wanted = f"{package.name}={package.version}"
    done = _run("apt-get", "--quiet", "--quiet", "download", wanted, folder=folder)
    if done.returncode:
        error = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(
            f"{wanted} cannot be fetched: {error}; run apt-get update, or get the .deb files from Debian 12 (bookworm) "
            "and name their folder with --packages"
        )
    return find(package, folder)


def find(package: Package, folder: Path) -> Path:
    """The .deb file of a package in ``folder``.

    Raises:
        InputError: there is none of this name and version.
    """
    versions = {}
    for path in sorted(folder.glob(f"{package.name}_*.deb")):
        done = _run("dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(path.resolve()))
        if done.returncode:
            raise InputError(f"{path}: expected a Debian package, found {done.stderr.strip()}; get it again")
        name, version = done.stdout.split()
        if name == package.name:
            versions[version] = path
    if package.version not in versions:
        others = f"version {', '.join(versions)}" if versions else "none"
        raise InputError(f"{folder}: expected {package.name} {package.version} as .deb file, found {others}; add it")
    return versions[package.version]


def unpack(package: Package, deb: Path, folder: Path) -> None:
    """Put a package's files below ``folder``.

    Raises:
        InputError: the content is not the one that is known, or cannot be unpacked.
    """
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise InputError(f"{deb}: expected SHA-256 {package.sha256}, found {digest}; get the file again")
    done = _run("dpkg-deb", "--extract", str(deb.resolve()), str(folder.resolve()))
    if done.returncode:
        raise InputError(f"{deb} cannot be unpacked: {done.stderr.strip()}; is there room in {folder}?")


def _run(*command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise InputError(f"{command[0]} is missing: expected a Debian machine, found none; use one") from None
