import numpy as np
import pytest
import torch

from tests.cases.checkpoints import backbone, network
from transfer.checkpoints import locate
from transfer.errors import CheckpointError


@pytest.fixture(scope="module")
def state():
    return backbone(network())


def test_groups_are_the_dictionaries_that_hold_tensors():
    one = torch.zeros(1)
    tree = {
        "epoch": 3,
        "model": {"a": one, "n": 1},
        "x": {"y": {"z": np.ones(2, ">f4")}},
        "list": [one],
        "model_ema": {"a": one},
    }
    groups = locate.groups(tree)
    assert list(groups) == ["model", "x.y", "model_ema"]
    assert groups["x.y"]["z"].dtype == torch.float32
    assert groups["x.y"]["z"].tolist() == [1, 1]


def test_cycles_and_depths_end():
    cycle = {"a": torch.zeros(1)}
    cycle["self"] = cycle
    assert list(locate.groups(cycle)) == [""]
    deep = {"t": torch.zeros(1)}
    for _ in range(locate.MAX_DEPTH + 2):
        deep = {"d": deep}
    assert locate.groups(deep) == {}


def test_what_is_beside_the_backbone_is_dropped_and_what_is_in_it_is_strange(state):
    tree = {f"backbone.{k}": v for k, v in state.items()}
    tree |= {
        "head.weight": torch.zeros(1),
        "backbone.fc.weight": torch.zeros(1),
        "backbone.layer1.0.se.w": torch.zeros(1),
    }
    located = locate.locate(tree)[0]
    assert located.dropped == ["head.weight", "backbone.fc.weight"]
    assert located.strange == ["backbone.layer1.0.se.w"]


def test_a_prefix_may_name_its_container(state):
    other = {k: v + 1 for k, v in state.items()}
    tree = {"model": {f"net.{k}": v for k, v in state.items()}, "ema": {f"net.{k}": v for k, v in other.items()}}
    for prefix, wanted in (("net.", state), ("model/net.", state), ("ema/net.", other)):
        assert torch.equal(locate.locate(tree, prefix)[0].state["conv1.weight"], wanted["conv1.weight"])
    assert locate.locate(tree, "ema/net.")[0].path == "ema/net."


@pytest.mark.parametrize("prefix", ["n.", "model/absent.", "net"])
def test_a_wrong_prefix_says_what_there_is(state, prefix):
    with pytest.raises(CheckpointError, match=r"net\.conv1\.weight"):
        locate.locate({"model": {f"net.{k}": v for k, v in state.items()}}, prefix)


def test_affine_norms_get_statistics_that_change_nothing(state):
    names = {
        "conv1_w": state["conv1.weight"],
        "res_conv1_bn_s": state["bn1.weight"],
        "res_conv1_bn_b": state["bn1.bias"],
    }
    caffe2 = next(row for row in locate.LAYOUTS if row.names == "caffe2")
    state = locate.extract(names, caffe2).state
    norm = torch.nn.BatchNorm2d(64).eval()
    norm.load_state_dict({k.removeprefix("bn1."): v for k, v in state.items() if k.startswith("bn1.")}, strict=False)
    x = torch.randn(2, 64, 3, 3)
    wanted = x * state["bn1.weight"].view(-1, 1, 1) + state["bn1.bias"].view(-1, 1, 1)
    assert torch.allclose(norm(x), wanted, atol=1e-6)


def test_a_momentum_encoder_that_no_row_is_about_is_listed_too():
    names = [f"layer{stage}.{block}.conv1.weight" for stage in range(1, 5) for block in range(3)]
    tree = {"state_dict": {f"{p}{n}": torch.ones(1) for p in ("module.encoder_q.", "module.encoder_k.") for n in names}}
    tree["state_dict"]["module.queue"] = torch.ones(1)
    first, *rest = locate.locate(tree)
    assert first.path == "state_dict/encoder_q."
    assert [other.path for other in rest] == ["state_dict/encoder_k."]


@pytest.mark.parametrize("wrapper", ["{}", "module.{}", "_fsdp_wrapped_module.{}", "module._orig_mod.{}"])
def test_pytorchs_own_wrappers(state, wrapper):
    tree = {wrapper.format(key): tensor for key, tensor in state.items()} | {"n_averaged": torch.tensor(3)}
    located = locate.locate(tree)[0]
    assert list(located.state) == list(state)
    assert located.strange == []
    assert located.dropped == ["n_averaged"]


@pytest.mark.parametrize("prefix", ["model.", "model.backbone.", "backbone.body.", "net.", "resnet.", "encoder."])
def test_common_prefixes(state, prefix):
    located = locate.locate({"state_dict": {prefix + key: tensor for key, tensor in state.items()}})[0]
    assert list(located.state) == list(state)
    assert located.path == f"state_dict/{prefix}"


@pytest.mark.parametrize("prefix", ["trunk.deep.", "student_model.cnn.features."])
def test_the_one_prefix_that_completes_a_network_is_proposed(state, prefix):
    tree = {"weights": {prefix + key: tensor for key, tensor in state.items()} | {"head.conv1.weight": torch.ones(1)}}
    with pytest.raises(CheckpointError, match=rf"; say --prefix weights/{prefix}$"):
        locate.locate(tree)
    assert list(locate.locate(tree, f"weights/{prefix}")[0].state) == list(state)


def test_nothing_is_proposed_where_nothing_fits():
    with pytest.raises(CheckpointError, match=r"none of which lead to a ResNet's tensors; give a ResNet's") as caught:
        locate.locate({"patch_embed.proj.weight": torch.ones(2), "blocks.0.conv1.weight": torch.ones(2)})
    assert "nearest" not in str(caught.value)


def test_flat_parameters_are_named():
    with pytest.raises(CheckpointError, match="FSDP's flat parameters"):
        locate.locate({"_fsdp_wrapped_module._flat_param": torch.ones(9)})


def test_keys_cannot_forge_lines(state):
    evil = "x\nconvertible    yes\x1b[2J"
    located = locate.locate({**state, evil: torch.ones(1)})[0]
    assert located.strange == ["x\\nconvertible    yes\\x1b[2J"]
    tree = {evil: {f"{evil}.{key}": tensor for key, tensor in state.items()}}
    with pytest.raises(CheckpointError) as caught:
        locate.locate(tree)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_more_tensors_than_any_checkpoint_has():
    one = torch.ones(1)
    with pytest.raises(CheckpointError, match="50000 tensors"):
        locate.groups({str(n): one for n in range(60_000)})
