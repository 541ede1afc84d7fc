import importlib

import pytest

from transfer.doctor import environment
from transfer.records import machine


def test_this_environment_is_sound():
    assert environment.check() == []


@pytest.mark.parametrize(
    ("package", "version", "where"),
    [("torch", "2.5.1", "torch"), ("torch", None, "torch")],
)
def test_old_or_absent_packages(monkeypatch, package, version, where):
    honest = machine.version
    monkeypatch.setattr(environment, "version", lambda name: version if name == package else honest(name))
    assert where in [finding.where for finding in environment.check() if finding.level == "error"]


def test_torchvision_of_another_torch(monkeypatch):
    def mismatched(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", mismatched)
    (finding,) = environment.check()
    assert "nms does not exist" in finding.what


@pytest.mark.parametrize(
    ("source", "caught"),
    [("x = np.float(1)", True), ("Image.LINEAR", True), ("np.float32", False), ("# np.float", False)],
)
def test_a_detectron2_that_uses_what_numpy_and_pillow_removed(tmp_path, monkeypatch, source, caught):
    package = tmp_path / "detectron2"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "old.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(environment.sys.modules, "detectron2", raising=False)
    importlib.invalidate_caches()
    assert [finding.where for finding in environment.check()] == (["detectron2"] if caught else [])


@pytest.mark.parametrize(("name", "where"), [("detectron2", "detectron2"), ("pkg_resources", "setuptools")])
def test_absent_modules_are_warned_of(monkeypatch, name, where):
    honest = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if module == name else honest(module))
    (finding,) = environment.check()
    assert (finding.level, finding.where) == ("warning", where)


def test_python_versions(monkeypatch):
    monkeypatch.setattr(environment.sys, "version_info", (3, 10, 0))
    assert [finding.where for finding in environment.check()] == ["Python"]
