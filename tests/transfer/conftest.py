"""Inputs that several folders' tests share; nothing may change them."""

import pytest


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """A backbone.safetensors of an R18, and its tensors."""
    from tests.cases.checkpoints import backbone, network, save_own

    state = backbone(network())
    return save_own(tmp_path_factory.mktemp("own") / "backbone.safetensors", state), state


@pytest.fixture(scope="session")
def pair(own, tmp_path_factory):
    """A source and its Detectron2 conversion."""
    from transfer.conversion.convert import convert

    target = tmp_path_factory.mktemp("pair") / "d.pth"
    convert(own[0], "detectron2", target)
    return own[0], target


@pytest.fixture(scope="session")
def three_runs(tmp_path_factory):
    """A folder with the digits set and three runs on it: random, metamask (better), quick (a tenth of the labels)."""
    from tests.cases.fake_runs import make_run
    from transfer.demo import digits

    folder = tmp_path_factory.mktemp("runs")
    digits.write(folder / "data", digits.Settings(size=48, train=1, val=4, unlabeled=1))
    make_run(folder / "random", folder / "data")
    make_run(folder / "metamask", folder / "data", "metamask", shift=1)
    make_run(folder / "quick", folder / "data", "quick", label_fraction=0.1)
    return folder
