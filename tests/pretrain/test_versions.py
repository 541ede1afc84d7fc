import platform

import torch

from pretrain import __version__
from pretrain.versions import COMPUTING, PACKAGES, package_version, versions


def test_everything_that_is_installed_has_its_version():
    known = versions()
    assert known.keys() == {"pretrain", "python", *PACKAGES}
    assert set(COMPUTING) <= set(PACKAGES)
    assert (known["pretrain"], known["python"]) == (__version__, platform.python_version())
    assert torch.__version__.split("+")[0] == known["torch"].split("+")[0]
    assert all(known.values())


def test_what_is_not_installed_has_none():
    assert package_version("no-such-distribution") is None
    assert versions(["no-such-distribution"])["no-such-distribution"] is None
