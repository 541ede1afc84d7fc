import math

import pytest
import torch
from safetensors.torch import save_file
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from tests.cases.checkpoints import (
    LAYOUTS,
    Parts,
    backbone,
    compiled,
    ddp,
    network,
    save_own,
    save_pickle,
    small_stem,
    to_detectron2_by_hand,
    to_huggingface_by_hand,
)
from transfer.checkpoints import resnets
from transfer.checkpoints.checkpoint import examine, read, read_converted_metadata
from transfer.checkpoints.layouts import IMAGENET, MSRA
from transfer.errors import CheckpointError, InputError


@pytest.fixture(scope="module")
def state():
    return backbone(network())


def _same(tensors, wanted):
    assert list(tensors) == list(wanted)
    assert all(torch.equal(tensors[key], wanted[key]) for key in wanted)


def test_our_own_file(state, tmp_path):
    checkpoint = read(save_own(tmp_path / "backbone.safetensors", state))
    _same(checkpoint.state, state)
    assert (checkpoint.arch, checkpoint.stem, checkpoint.origin, checkpoint.convention) == (
        "resnet18",
        "imagenet",
        "file",
        IMAGENET,
    )
    assert checkpoint.metadata["settings"] == {"lr": 0.1}
    assert checkpoint.metadata["seed"] == 7
    assert checkpoint.metadata["source"]["file"] == "backbone.safetensors"
    assert checkpoint.metadata["source"]["sha256"] == checkpoint.sha256
    assert checkpoint.dropped == []


def test_our_own_file_may_hold_nothing_else(state, tmp_path):
    with pytest.raises(CheckpointError, match=r"unexpected.*fc\.weight"):
        read(save_own(tmp_path / "x.safetensors", {**state, "fc.weight": torch.zeros(2, 2)}))


@pytest.mark.parametrize(("key", "value"), [("arch", "resnet34"), ("stem", "small")])
def test_metadata_that_contradict_the_tensors(state, tmp_path, key, value):
    with pytest.raises(CheckpointError, match=f"{key} .* under metadata that say {value}"):
        read(save_own(tmp_path / "x.safetensors", state, **{key: value}))


@pytest.mark.parametrize("changes", [{"mean": "[0.5, 0.5"}, {"std": "[0, 1, 1]"}, {"std": "[1, 1]"}])
def test_damaged_metadata(state, tmp_path, changes):
    with pytest.raises(CheckpointError, match="metadata"):
        read(save_own(tmp_path / "x.safetensors", state, **changes))


def test_small_stem_is_recognised(tmp_path):
    state = backbone(small_stem(network()))
    checkpoint = read(save_own(tmp_path / "x.safetensors", state, stem="small"))
    assert checkpoint.stem == "small"
    _same(checkpoint.state, state)


def _drop(state):
    del state["layer3.1.bn2.running_var"]


def _rename(state):
    state["layer3.1.bn2.running_variance"] = state.pop("layer3.1.bn2.running_var")


def _reshape(state):
    state["conv1.weight"] = state["conv1.weight"].reshape(64, 7, 3, 7)


def _nan(state):
    state["layer2.0.conv1.weight"][0, 0, 0, 0] = float("nan")


def _infinite(state):
    state["bn1.bias"][3] = float("inf")


def _negative(state):
    state["bn1.running_var"][3] = -1.0


def _half(state):
    state["conv1.weight"] = state["conv1.weight"].half()


def _integer(state):
    state["bn1.bias"] = state["bn1.bias"].long()


def _deeper(state):
    state["layer1.2.conv1.weight"] = torch.zeros(64, 64, 3, 3)


FAULTS = [
    (_drop, r"1 missing \(layer3.1.bn2.running_var\)"),
    (_rename, "1 unexpected"),
    (_reshape, r"misshapen \(conv1.weight expected \(64, 3, 7, 7\), found \(64, 7, 3, 7\)"),
    (_nan, "layer2.0.conv1.weight: NaN or infinite"),
    (_infinite, "bn1.bias: NaN or infinite"),
    (_negative, "variance below zero"),
    (_half, "float16 instead of float32"),
    (_integer, "int64 instead of floating point"),
    (_deeper, "1 unexpected"),
]


@pytest.mark.parametrize(("fault", "message"), FAULTS, ids=[fault.__name__.strip("_") for fault, _ in FAULTS])
def test_each_fault_is_named(state, tmp_path, fault, message):
    broken = {name: tensor.clone() for name, tensor in state.items()}
    fault(broken)
    torch.save(broken, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        read(tmp_path / "x.pth")
    assert "\n" not in str(caught.value)


def test_what_is_no_floating_point_is_not_promised_to_be_widened(state, tmp_path):
    torch.save(
        {**state, "bn1.weight": state["bn1.weight"] > 0, "bn1.bias": state["bn1.bias"].half()}, tmp_path / "x.pth"
    )
    with pytest.raises(CheckpointError, match=r"bool instead of .*; 1 tensors in float16 instead of float32 \(--widen"):
        read(tmp_path / "x.pth")


def test_half_precision_is_widened_when_asked(state, tmp_path):
    torch.save({name: tensor.half() for name, tensor in state.items()}, tmp_path / "x.pth")
    checkpoint = read(tmp_path / "x.pth", widen=True)
    _same(checkpoint.state, {name: tensor.half().float() for name, tensor in state.items()})


def test_wrong_arch_prefix_and_convention(tmp_path):
    torch.save(LAYOUTS["MoCo v1/v2"](network()), tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="not those of resnet50"):
        read(tmp_path / "x.pth", arch="resnet50")
    with pytest.raises(CheckpointError, match="no such architecture"):
        read(tmp_path / "x.pth", arch="resnet51")
    with pytest.raises(CheckpointError, match=r"--prefix module\.encoder\..*say --prefix state_dict/encoder_q\. or"):
        read(tmp_path / "x.pth", prefix="module.encoder.")
    with pytest.raises(CheckpointError, match="no such convention"):
        read(tmp_path / "x.pth", convention="caffe")


@pytest.mark.parametrize("prefix", ["module.encoder_k.", "encoder_k.", "state_dict/module.encoder_k."])
def test_prefix_picks_another_encoder(tmp_path, prefix):
    torch.save(LAYOUTS["MoCo v1/v2"](network()), tmp_path / "x.pth")
    _same(read(tmp_path / "x.pth", prefix=prefix, convention="imagenet").state, backbone(network(seed=99)))


def test_other_backbones_are_listed(tmp_path):
    torch.save(LAYOUTS["DINO (teacher)"](network()), tmp_path / "x.pth")
    examination = examine(tmp_path / "x.pth")
    assert examination.others == ["student/backbone."]
    _same(read(tmp_path / "x.pth", prefix=examination.others[0]).state, backbone(network(seed=99)))


def test_averaged_weights_come_after_the_trained_ones(state, tmp_path):
    torch.save(
        {"state_dict_ema": network(seed=99).state_dict(), "state_dict": network().state_dict()}, tmp_path / "x.pth"
    )
    _same(read(tmp_path / "x.pth").state, state)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_compile_and_ddp_are_taken_off(state, tmp_path):
    torch.save({"model": ddp(Parts(encoder=network(), predictor=torch.nn.Linear(2, 2)))}, tmp_path / "ddp.pth")
    torch.save(compiled(network()), tmp_path / "compiled.pth")
    for name in ("ddp.pth", "compiled.pth"):
        _same(read(tmp_path / name).state, state)


def test_two_tensors_for_one_name(state, tmp_path):
    torch.save({**state, "module.conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="two tensors would get one name"):
        read(tmp_path / "x.pth")


def test_unknown_layout_shows_keys_prefixes_and_the_one_that_completes_a_network(tmp_path):
    torch.save({"nets": {f"my.trunk.{k}": v for k, v in backbone(network()).items()}}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"my\.trunk\.conv1\.weight.*prefixes .*; say --prefix nets/my\.trunk\.$"):
        read(tmp_path / "x.pth")
    assert read(tmp_path / "x.pth", prefix="my.trunk.").convention is None


def test_other_networks_are_refused(tmp_path):
    torch.save({"patch_embed.proj.weight": torch.zeros(8, 3, 16, 16)}, tmp_path / "vit.pth")
    torch.save({"lr": 0.1}, tmp_path / "empty.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, message in (("vit.pth", "no known layout"), ("empty.pth", "no tensors"), ("list.pth", "no tensors")):
        with pytest.raises(CheckpointError, match=message):
            read(tmp_path / name)
    with pytest.raises(InputError, match="no such checkpoint"):
        read(tmp_path / "absent.pth")


def _caffe2(state):
    """The MSRA file's names and contents: convolutions, scales and biases; no running statistics."""
    branches = {"conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c", "downsample": "branch1"}
    branches |= {"bn1": "branch2a_bn", "bn2": "branch2b_bn", "bn3": "branch2c_bn"}
    blobs = {}
    for name, tensor in state.items():
        *path, leaf = name.split(".")
        if leaf.startswith("running"):
            continue
        if len(path) == 1:
            blobs["conv1_w" if path == ["conv1"] else f"res_conv1_bn_{leaf[0].replace('w', 's')}"] = tensor.numpy()
            continue
        branch = branches[path[2]] + ("_bn" if path[2:] == ["downsample", "1"] else "")
        leaf = "b" if leaf == "bias" else "s" if branch.endswith("bn") else "w"
        blobs[f"res{int(path[0][-1]) + 1}_{path[1]}_{branch}_{leaf}"] = tensor.numpy()
    return blobs


def test_msra_pickle(tmp_path):
    state = backbone(network("resnet50"))
    content = {**_caffe2(state), "fc1000_w": torch.zeros(2, 2).numpy(), "conv1_b": torch.zeros(64).numpy()}
    checkpoint = read(save_pickle(tmp_path / "R-50.pkl", content))
    assert checkpoint.convention == MSRA
    assert list(checkpoint.state) == list(state)
    for name, tensor in state.items():
        if name.endswith("running_mean"):
            assert not checkpoint.state[name].any()
        elif name.endswith("running_var"):
            # What Detectron2's FrozenBatchNorm2d starts with: one over its square root is exactly 1 again.
            assert torch.equal((checkpoint.state[name] + 1e-5).rsqrt(), torch.ones_like(tensor))
        else:
            assert torch.equal(checkpoint.state[name], tensor)


def test_detectron2_pickle_and_detectors(state, tmp_path):
    renamed = {to_detectron2_by_hand(name): tensor for name, tensor in state.items()}
    arrays = {name: tensor.numpy() for name, tensor in renamed.items()}
    save_pickle(tmp_path / "zoo.pkl", {"model": arrays, "__author__": "x", "matching_heuristics": True})
    fpn = {f"backbone.bottom_up.{name}": tensor for name, tensor in renamed.items()}
    torch.save({"model": {**fpn, "backbone.fpn_lateral2.weight": torch.zeros(2)}, "iteration": 3}, tmp_path / "fpn.pth")
    c4 = {("roi_heads." if k.startswith("res5") else "backbone.") + k: v for k, v in renamed.items()}
    torch.save({"model": {**c4, "roi_heads.res5.norm.weight": torch.zeros(512)}}, tmp_path / "c4.pth")
    for name in ("zoo.pkl", "fpn.pth", "c4.pth"):
        checkpoint = read(tmp_path / name)
        _same(checkpoint.state, state)
        assert checkpoint.convention is None
    assert checkpoint.head == "c4"
    assert checkpoint.dropped == ["roi_heads.res5.norm.weight"]


def test_converted_metadata_are_read_and_absent_ones_are_empty(state, tmp_path):
    torch.save(state, tmp_path / "x.pth")
    assert read_converted_metadata(tmp_path / "x.pth") == {}


def test_swapped_tensors_of_different_shape(state, tmp_path):
    broken = dict(state)
    broken["conv1.weight"], broken["bn1.bias"] = broken["bn1.bias"], broken["conv1.weight"]
    torch.save(broken, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="2 misshapen"):
        read(tmp_path / "x.pth")


def test_read_is_complete_for_every_architecture(tmp_path):
    for arch in ("resnet34", "resnext50_32x4d", "wide_resnet50_2"):
        shapes = resnets.expected(resnets.SPECS[arch])
        # One memory for all, so that half a gigabyte need not be written.
        memory = torch.full((max(map(math.prod, shapes.values())),), 0.5)
        torch.save({name: memory[: math.prod(shape)].view(shape) for name, shape in shapes.items()}, tmp_path / "x.pth")
        assert read(tmp_path / "x.pth").arch == arch


def test_hugging_faces_resnet(state, tmp_path):
    renamed = {to_huggingface_by_hand(name): tensor for name, tensor in state.items()}
    renamed["classifier.1.weight"] = torch.ones(2, 2)
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    checkpoint = read(tmp_path / "model.safetensors")
    _same(checkpoint.state, state)
    assert (checkpoint.layout, checkpoint.naming, checkpoint.prefix) == (
        "Hugging Face transformers",
        "huggingface",
        "resnet.",
    )
    bare = {name.removeprefix("resnet."): tensor for name, tensor in renamed.items()}
    save_file(bare, tmp_path / "bare.safetensors")
    _same(read(tmp_path / "bare.safetensors").state, state)


def test_averaged_models_and_wrapped_modules(state, tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(network())
    torch.save(averaged.state_dict(), tmp_path / "averaged.pth")
    _same(read(tmp_path / "averaged.pth").state, state)
    wrapped = network()
    wrapped.layer1[0] = checkpoint_wrapper(wrapped.layer1[0])
    held = {f"_orig_mod.{name}": tensor for name, tensor in wrapped.state_dict().items()}
    torch.save({"model": held}, tmp_path / "wrapped.pth")
    _same(read(tmp_path / "wrapped.pth").state, state)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda tensor: tensor.to("meta"), r"1 unreadable \(conv1\.weight: a meta tensor"),
        (lambda tensor: tensor.to_sparse(), "a sparse tensor"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "a quantized tensor"),
        (lambda tensor: tensor.to(torch.float8_e4m3fn), "float8_e4m3fn instead of floating point"),
        (lambda tensor: tensor.to(torch.complex64), "complex64 instead of floating point"),
        (lambda tensor: tensor > 0, "bool instead of floating point"),
        (lambda tensor: tensor[:0], r"misshapen \(conv1\.weight expected \(64, 3, 7, 7\), found \(0, 3, 7, 7\)"),
        (lambda tensor: tensor.double() * 1e300, "values beyond float32"),
    ],
    ids=["meta", "sparse", "quantized", "float8", "complex", "bool", "empty", "double"],
)
def test_tensors_of_other_kinds(state, tmp_path, made, message):
    torch.save({**state, "conv1.weight": made(state["conv1.weight"])}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        read(tmp_path / "x.pth", widen=True)
    assert "\n" not in str(caught.value)


def test_a_small_file_cannot_claim_a_large_network(tmp_path):
    shapes = resnets.expected(resnets.SPECS["resnet50"])
    memory = torch.full((1,), 0.5)
    torch.save({name: memory.expand(shape) for name, shape in shapes.items()}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="beyond its storage"):
        read(tmp_path / "x.pth")
