"""Debian packages are found, fetched, checked and unpacked."""

import pytest

from benchmarks.sets import packages
from benchmarks.sets.packages import Package, fetch, find, listed, unpack
from tests.cases.debian_packages import needs_dpkg, shapes
from transfer.errors import InputError


@needs_dpkg
def test_another_version_another_content_and_no_package_are_one_line(debs, tmp_path):
    with pytest.raises(InputError, match=r"expected shapes 1.1 as .deb file, found version 1.0; add it$"):
        find(shapes(debs, "1.1"), debs)
    with pytest.raises(InputError, match=r"expected shapes 1.0 as .deb file, found none; add it$"):
        find(shapes(debs), tmp_path)
    deb = find(shapes(debs), debs)
    with pytest.raises(InputError, match=r"shapes_1.0_all.deb: expected SHA-256 0{64}, found [0-9a-f]{64}; get"):
        unpack(Package("shapes", "1.0", "0" * 64), deb, tmp_path)
    (tmp_path / "shapes_9_all.deb").write_text("no package")
    with pytest.raises(InputError, match=r"shapes_9_all.deb: expected a Debian package, found .*; get it again$"):
        find(shapes(debs), tmp_path)


def test_no_debian_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"^apt-get is missing: expected a Debian machine, found none"):
        packages.fetch(Package("shapes", "1.0", "0" * 64), tmp_path)


@needs_dpkg
@pytest.mark.usefixtures("apt_get")
def test_a_version_that_is_there_is_fetched_and_another_is_one_line(debs, tmp_path):
    assert fetch(shapes(debs), tmp_path) == tmp_path / "shapes_1.0_all.deb"
    with pytest.raises(InputError, match=r"shapes=2 cannot be fetched: E: Version was not found; .* --packages$"):
        fetch(Package("shapes", "2", "0" * 64), tmp_path)


@needs_dpkg
def test_a_package_is_unpacked_and_runs_nothing(debs, tmp_path):
    unpack(shapes(debs), find(shapes(debs), debs), tmp_path)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    names = ("doc/shapes/copyright", "shapes/red.png", "shapes/wall.png")
    assert files == [f"usr/share/{name}" for name in names]


def test_the_list_names_each_package_once():
    names = [package.name for package in listed()]
    assert len(names) == len(set(names)) > 5
