import sys
from types import SimpleNamespace

import numpy as np
import torch

from transfer.records import machine


def test_versions_are_those_that_packages_give_themselves():
    versions = machine.versions("torch")
    assert list(versions) == ["python", "torch", "numpy", "pycocotools", "hotcoco", "detection-transfer"]
    assert versions["python"] == sys.version.split()[0]
    assert versions["numpy"] == np.__version__
    assert versions["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_a_package_that_lies_on_the_path_says_its_own_version(monkeypatch):
    assert machine.version("lies_on_the_path") is None
    assert machine.versions("lies_on_the_path")["lies_on_the_path"] == "not installed as a package"
    monkeypatch.setitem(sys.modules, "lies_on_the_path", SimpleNamespace(__version__="0.6"))
    assert machine.version("lies_on_the_path") == "0.6"


def test_memory_is_in_bytes_and_grows_with_what_is_held():
    before = machine.peak_memory()
    held = np.ones(2 * before, np.uint8)
    assert held.nbytes <= machine.peak_memory() < held.nbytes + 2 * before
