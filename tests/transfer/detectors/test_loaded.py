import os
import pickle

import pytest
import torch
from torch import nn

from tests.cases.checkpoints import Parts
from transfer.detectors.loaded import Loaded, count_loaded, load_counted
from transfer.errors import CheckpointError, InputError


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


def test_names_are_matched_by_suffix_where_the_file_does_not_ask_for_it_but_the_caller(tmp_path):
    torch.save({"model": _state("stem", 3.0)}, tmp_path / "x.pth")
    assert load_counted(_model(), str(tmp_path / "x.pth")).loaded == 0
    model = _model()
    assert load_counted(model, str(tmp_path / "x.pth"), by_suffix=True) == Loaded(4)
    assert torch.equal(model.backbone.bottom_up.stem.weight.detach(), torch.full((2,), 3.0))


def test_a_file_that_asks_for_code_never_reaches_detectron2(tmp_path, monkeypatch):
    """Its loader would be stopped by PyTorch alone, or not at all before PyTorch 2.6."""
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("PyTorch's reader was asked"))
    (tmp_path / "x.pth").write_bytes(pickle.dumps({"model": Code()}, protocol=2))
    with pytest.raises(CheckpointError, match=r"not safe to load: .* found the global posix\.system"):
        load_counted(_model(), str(tmp_path / "x.pth"))


class Code:
    def __reduce__(self):
        return os.system, ("false",)


def test_what_is_no_tensor_is_left_out_as_detectron2_would_not(tmp_path):
    state = {**_state("stem", 1.0), "sparse": torch.eye(2).to_sparse(), "name": "R-18"}
    torch.save({"model": state, "matching_heuristics": True}, tmp_path / "x.pth")
    assert load_counted(_model(), str(tmp_path / "x.pth")) == Loaded(4)


def test_a_path_with_a_question_mark_is_one_line(tmp_path):
    with pytest.raises(InputError, match="expected a path without a question mark"):
        load_counted(_model(), str(tmp_path / "why?" / "x.pth"))
