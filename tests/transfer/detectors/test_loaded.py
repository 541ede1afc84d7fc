import pytest
import torch
from torch import nn

from tests.cases.checkpoints import Parts
from transfer.detectors.loaded import Loaded, count_loaded, load_counted


def _norm(value):
    norm = nn.BatchNorm2d(2)
    nn.init.constant_(norm.weight, value)
    return norm


def _state(prefix, value):
    return {f"{prefix}.{name}": tensor for name, tensor in _norm(value).state_dict().items() if "tracked" not in name}


def test_values_are_compared_not_names():
    model = Parts(backbone=Parts(bottom_up=Parts(stem=_norm(3.0)), fpn=_norm(1.0)))
    assert count_loaded(model, _state("stem", 3.0)) == Loaded(4)
    wrong = count_loaded(model, _state("stem", 2.0))
    assert (wrong.loaded, wrong.missing, wrong.complete) == (3, ("backbone.bottom_up.stem.weight",), False)
    assert str(wrong) == "3/4 tensors, 1 missing (backbone.bottom_up.stem.weight)"


def test_c4_counts_the_heads_res5_and_not_its_extra_norm():
    res5 = nn.Sequential(_norm(3.0))
    res5.add_module("norm", _norm(1.0))
    model = Parts(backbone=Parts(stem=_norm(2.0)), roi_heads=Parts(res5=res5, box=_norm(0.0)))
    state = {**_state("stem", 2.0), **_state("res5.0", 3.0)}
    assert count_loaded(model, state) == Loaded(8)
    assert count_loaded(model, {**state, "res4.x": torch.zeros(1)}).unused == ("res4.x",)


def test_wrappers_shapes_and_nothing_at_all():
    bare = Parts(stem=_norm(2.0))
    assert count_loaded(Parts(module=bare), _state("stem", 2.0)).complete
    short = count_loaded(bare, {"stem.weight": torch.zeros(3), "extra": torch.zeros(1)})
    assert (short.loaded, short.misshapen, short.unused) == (0, ("stem.weight",), ("extra",))
    assert not count_loaded(nn.Module(), {}).complete


@pytest.fixture
def file(tmp_path):
    """A converted file that lacks one tensor, has one of another shape and one without a place."""
    state = {**_state("stem", 1.0), "res2.x": torch.ones(1)}
    del state["stem.bias"]
    state["stem.running_var"] = torch.ones(5)
    torch.save({"model": state, "__author__": "test", "matching_heuristics": True}, tmp_path / "x.pth")
    return tmp_path / "x.pth"


def _model():
    return Parts(backbone=Parts(bottom_up=Parts(stem=_norm(1.0))), head=_norm(1.0))


def test_what_the_loader_leaves_alone_does_not_pass_for_loaded(file):
    # A fresh norm holds ones and zeros, which are the file's values too: only the NaNs tell.
    state = torch.load(file, weights_only=True)["model"]
    model = _model()
    by_value = load_counted(model, str(file), state)
    missing = ("backbone.bottom_up.stem.bias", "backbone.bottom_up.stem.running_var")
    assert by_value == Loaded(4, missing, ("res2.x",), missing[1:])
    assert torch.isnan(model.backbone.bottom_up.stem.bias).all()
    assert torch.equal(model.backbone.bottom_up.stem.weight.detach(), torch.ones(2))
    by_nan = load_counted(_model(), str(file), file_names=tuple(state))
    assert by_nan == Loaded(4, missing, ("res2.x",))


def test_a_whole_detector_is_counted_with_its_heads(file, tmp_path):
    assert load_counted(_model(), str(file), whole=True).expected == 8
    torch.save({"model": _model().state_dict()}, tmp_path / "whole.pth")
    assert load_counted(_model(), str(tmp_path / "whole.pth"), whole=True) == Loaded(8)
