import torch
from torch import nn

from tests.cases.checkpoints import Parts
from transfer.detectors.loaded import LoadCount, count_loaded


def _norm(value):
    norm = nn.BatchNorm2d(2)
    nn.init.constant_(norm.weight, value)
    return norm


def _state(prefix, value):
    return {f"{prefix}.{name}": tensor for name, tensor in _norm(value).state_dict().items() if "tracked" not in name}


def test_values_are_compared_not_names():
    model = Parts(backbone=Parts(bottom_up=Parts(stem=_norm(3.0)), fpn=_norm(1.0)))
    assert count_loaded(model, _state("stem", 3.0)) == LoadCount(4, 4, [], [])
    wrong = count_loaded(model, _state("stem", 2.0))
    assert (str(wrong), wrong.missing, wrong.complete) == ("3/4", ["backbone.bottom_up.stem.weight"], False)


def test_c4_counts_the_heads_res5_and_not_its_extra_norm():
    res5 = nn.Sequential(_norm(3.0))
    res5.add_module("norm", _norm(1.0))
    model = Parts(backbone=Parts(stem=_norm(2.0)), roi_heads=Parts(res5=res5, box=_norm(0.0)))
    state = {**_state("stem", 2.0), **_state("res5.0", 3.0)}
    assert count_loaded(model, state) == LoadCount(8, 8, [], [])
    assert count_loaded(model, {**state, "res4.x": torch.zeros(1)}).unused == ["res4.x"]


def test_wrappers_shapes_and_nothing_at_all():
    bare = Parts(stem=_norm(2.0))
    assert count_loaded(Parts(module=bare), _state("stem", 2.0)).complete
    assert count_loaded(bare, {"stem.weight": torch.zeros(3)}).loaded == 0
    assert not count_loaded(nn.Module(), {}).complete
