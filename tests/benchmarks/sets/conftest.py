"""A Debian package made on the spot."""

import os
import subprocess

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def debs(tmp_path_factory):
    """A folder with shapes 1.0 as .deb file: a stamp with an empty margin, a wall, a copyright file."""
    root = tmp_path_factory.mktemp("deb") / "tree"
    files, control = root / "usr/share/shapes", root / "DEBIAN/control"
    for folder in (files, control.parent, root / "usr/share/doc/shapes"):
        folder.mkdir(parents=True)
    stamp = Image.new("RGBA", (340, 260))
    stamp.paste((200, 10, 10, 255), (20, 30, 320, 230))
    stamp.save(files / "red.png")
    Image.linear_gradient("L").resize((1000, 500)).save(files / "wall.png")
    (root / "usr/share/doc/shapes/copyright").write_text("License: CC0-1.0\n")
    fields = {"Package": "shapes", "Version": "1.0", "Architecture": "all", "Maintainer": "a test <a@b.example>"}
    control.write_text("".join(f"{k}: {v}\n" for k, v in fields.items()) + "Description: shapes\n")
    made = root.parent / "debs"
    made.mkdir()
    subprocess.run(
        ["dpkg-deb", "--build", str(root), str(made / "shapes_1.0_all.deb")], check=True, capture_output=True
    )
    return made


@pytest.fixture
def apt_get(debs, tmp_path, monkeypatch):
    """An apt-get that has shapes 1.0 and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = f'#!/bin/sh\ncase "$4" in\nshapes=1.0) cp {debs}/shapes_1.0_all.deb . ;;\n'
    script += '*) echo "E: Version was not found" >&2; exit 100 ;;\nesac\n'
    (folder / "apt-get").write_text(script)
    (folder / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
