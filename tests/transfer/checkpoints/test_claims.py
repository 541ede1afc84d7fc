import argparse

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from tests.cases.checkpoints import Parts, backbone, lightly_generator, network, small_stem
from transfer.checkpoints import claims
from transfer.checkpoints.checkpoint import examine, read
from transfer.checkpoints.layouts import IMAGENET, Layout
from transfer.checkpoints.locate import Located
from transfer.checkpoints.resnets import SPECS
from transfer.checkpoints.settings import Setting
from transfer.errors import CheckpointError

BARE = Located(Layout("x", ""), "")


def _weighed(key, value, part="args", arch="resnet50", stem="imagenet", **more):
    taken = claims.Taken(SPECS[arch], stem, more.get("convention", IMAGENET), more.get("origin", "layout"), BARE)
    weighed = claims.weigh([Setting(part, key, value, True)], taken)
    # Every small stem leaves its padding open: that is not what is asked here.
    return len(weighed.contradictions), len([doubt for doubt in weighed.doubts if "pad by" not in doubt])


@pytest.mark.parametrize(
    "name",
    ["resnet50", "ResNet50", "resnet-50", "ResNet", "tv_resnet50", "gluon_resnet50_v1b", "resnet50.a1_in1k",
     "microsoft/resnet-50", "torchvision.models.resnet50", "timm/resnet50.a1_in1k", "moco", "simclr"],
)  # fmt: skip
def test_names_of_the_same_network(name):
    assert _weighed("model", name) == (0, 0)


@pytest.mark.parametrize(
    "name",
    ["resnetaa50", "resnetblur50", "resnet50d", "resnet34", "resnet101", "seresnet50", "resnext50_32x4d", "resnet50w2",
     "wide_resnet50_2", "timm/resnetaa50.a1h_in1k", "ecaresnet50d", "resnetv2_50"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["arch", "architecture", "model", "backbone", "encoder_name"])
def test_names_of_another_network(name, key):
    assert _weighed(key, name) == (1, 0)


def test_names_that_leave_it_open():
    for name in ("moco_resnet50", "resnet50_gn", "ResNetEncoder"):
        assert _weighed("arch", name) == (0, 1)
    assert _weighed("arch", "vit_small") == (0, 1)
    assert _weighed("arch", "wide_resnet50_2", arch="wide_resnet50_2") == (0, 0)
    assert _weighed("arch", "resnext50_32x4d", arch="resnext50_32x4d") == (0, 0)


@pytest.mark.parametrize(
    ("key", "value", "stem", "wanted"),
    [
        ("first_conv", True, "imagenet", 0),
        ("first_conv", False, "imagenet", 1),
        ("first_conv", False, "small", 0),
        ("first_conv", True, "small", 1),
        ("maxpool1", False, "imagenet", 1),
        ("maxpool1", True, "small", 1),
        ("maxpool1", True, "imagenet", 0),
        ("remove_first_maxpool", True, "imagenet", 1),
        ("cifar", True, "imagenet", 1),
        ("cifar", False, "imagenet", 0),
        ("replace_stride_with_dilation", [False, False, True], "imagenet", 1),
        ("replace_stride_with_dilation", [False, False, False], "imagenet", 0),
        ("output_stride", 16, "imagenet", 1),
        ("output_stride", 32, "imagenet", 0),
        ("aa_layer", "avg", "imagenet", 1),
        ("norm_layer", "GroupNorm", "imagenet", 1),
        ("norm_layer", "BatchNorm2d", "imagenet", 0),
        ("bn_eps", 1e-3, "imagenet", 1),
        ("bn_eps", None, "imagenet", 0),
        ("norm_eps", 1e-5, "imagenet", 0),
        ("act_layer", "silu", "imagenet", 1),
        ("act_layer", "torch.nn.ReLU", "imagenet", 0),
        ("act_layer", "nn.Hard_Swish", "imagenet", 1),
    ],
)
def test_settings_that_change_the_network(key, value, stem, wanted):
    assert _weighed(key, value, "hyper_parameters", stem=stem)[0] == wanted


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [("style", "caffe", 1), ("style", "pytorch", 0), ("strides", (1, 2, 1, 1), 1), ("strides", (1, 2, 2, 2), 0),
     ("dilations", [1, 1, 2, 4], 1), ("depth", 101, 1), ("depth", 50, 0), ("avg_down", True, 1), ("conv_cfg", None, 0),
     ("type", "ResNet", 0), ("type", "mmdet.ResNet", 0), ("type", "ResNetV1d", 1), ("type", "ResNet_CIFAR", 0),
     ("type", "BN", 0), ("type", "Swish", 1), ("activation", "gelu", 1), ("activation", "relu", 0), ("eps", 1e-3, 1)],
)  # fmt: skip
def test_mmcvs_blocks(key, value, wanted):
    assert _weighed(key, value, "backbone")[0] == wanted


def test_blocks_within_a_block():
    assert _weighed("eps", 1e-3, "norm_cfg") == (1, 0)
    assert _weighed("eps", 1e-8, "optimizer") == (0, 0)
    assert _weighed("type", "SiLU", "act_cfg") == (1, 0)
    assert _weighed("type", "TridentResNet", "backbone") == (0, 1)


def test_an_activation_among_a_scripts_arguments_may_be_the_heads():
    assert _weighed("activation", "gelu", "args") == (0, 1)
    assert _weighed("type", "tanh", "args") == (0, 0)


def test_basic_blocks_have_no_caffe_strides():
    assert _weighed("style", "caffe", "backbone", arch="resnet18") == (0, 0)


@pytest.fixture(scope="module")
def state():
    return backbone(network())


def _refused(tmp_path, content, message):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        read(tmp_path / "x.pth")
    assert "\n" not in str(caught.value)
    assert "--arch resnet18" in str(caught.value)
    taken = read(tmp_path / "x.pth", arch="resnet18")
    assert taken.doubts
    return taken


def test_files_that_say_they_are_another_network(state, tmp_path):
    _refused(tmp_path, {"arch": "resnetaa18", "state_dict": state}, "resnetaa18.*no plain resnet18")
    _refused(tmp_path, {"args": argparse.Namespace(model="resnetblur18"), "state_dict": state}, "resnetblur18")
    bolts = {"first_conv": False, "maxpool1": False, "arch": "resnet18"}
    lightning = {"state_dict": {f"encoder.{k}": v for k, v in state.items()}, "hyper_parameters": bolts}
    _refused(tmp_path, lightning, "first_conv = False over a 7x7 stem")


def test_another_epsilon_or_activation_in_a_block_of_mmcvs(state, tmp_path):
    for block in (
        "backbone=dict(type='ResNet', depth=18, norm_cfg=dict(type='BN', eps=0.001))",
        {"backbone": {"type": "ResNet", "norm_cfg": {"type": "BN", "eps": 1e-3}}},
    ):
        _refused(tmp_path, {"meta": {"cfg": block}, "state_dict": state}, "eps = 0.001")
    block = {"backbone": {"type": "ResNet", "act_cfg": {"type": "Swish"}}, "neck": {"norm_cfg": {"eps": 1e-3}}}
    _refused(tmp_path, {"meta": {"cfg": {"model": block}}, "state_dict": state}, "'Swish', where a ResNet has ReLU")
    block["backbone"].pop("act_cfg")
    torch.save({"meta": {"cfg": {"model": block}}, "state_dict": state}, tmp_path / "x.pth")
    assert read(tmp_path / "x.pth").doubts == []


def test_caffe_strides_in_meta_cfg(tmp_path):
    text = "model = dict(backbone=dict(type='ResNet', depth=50, style='caffe'))"
    torch.save({"meta": {"cfg": text}, "state_dict": backbone(network("resnet50"))}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"style = 'caffe'.*--convention msra"):
        read(tmp_path / "x.pth")
    caffe = read(tmp_path / "x.pth", convention="msra")
    assert caffe.convention.stride_in_1x1
    assert caffe.doubts == []
    assert read(tmp_path / "x.pth", convention="imagenet").doubts


def test_solo_learns_padded_stem(tmp_path):
    padded = backbone(small_stem(network()))
    parts = {f"backbone.{k}": v for k, v in padded.items()} | {"projector.0.weight": torch.ones(2, 2)}
    torch.save({"state_dict": parts}, tmp_path / "x.pth")
    assert "pad by 1" in read(tmp_path / "x.pth").doubts[0]
    cfg = OmegaConf.create({"data": {"dataset": "cifar10"}, "backbone": {"name": "resnet18"}})
    _refused(tmp_path, {"state_dict": parts, "hyper_parameters": cfg}, "pads by 2")
    _refused(tmp_path, {"state_dict": parts, "args": argparse.Namespace(cifar=True)}, "pads by 2")


def test_an_nn_sequential_without_a_place_for_the_stems_relu(tmp_path):
    model = network()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        wanted = nn.Sequential(model.conv1, model.bn1, model.layer1)(images)
        plain = model.layer1(model.relu(model.bn1(model.conv1(images))))
    # What the refusal is about: the trained network has no ReLU there, and a ResNet has.
    assert float((wanted - plain).abs().max() / wanted.abs().max()) > 0.01
    content = Parts(backbone=lightly_generator(model)).state_dict()
    _refused(tmp_path, {"state_dict": content}, "index 2 .*no ReLU after the stem")


def test_indices_of_an_nn_sequential(tmp_path):
    def doubts(model, left_out):
        parts = [child for name, child in model.named_children() if name not in left_out]
        torch.save(nn.Sequential(*parts).state_dict(), tmp_path / "x.pth")
        examination = examine(tmp_path / "x.pth")
        return examination.problems, examination.doubts

    assert doubts(network(), ("fc",)) == ([], [])
    problems, _ = doubts(network(), ("fc", "maxpool"))
    assert "lacks its ReLU or its pool" in problems[0]
    problems, open_questions = doubts(small_stem(network()), ("fc", "maxpool"))
    assert problems == []
    assert "pad by 1" in open_questions[0]
    problems, open_questions = doubts(small_stem(network()), ("fc",))
    assert problems == []
    assert "identity" in open_questions[0]


CAFFE = "dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)"
TORCH = "dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)"


@pytest.mark.parametrize(
    ("key", "value", "contradicts"),
    [
        ("mean", [123.675, 116.28, 103.53], 0),
        ("mean", (0.485, 0.456, 0.406), 0),
        ("mean", [103.53, 116.28, 123.675], 1),
        ("mean", [0.5, 0.5, 0.5], 1),
        ("mean", [0.4914, 0.4822, 0.4465], 1),
        ("std", [58.395, 57.12, 57.375], 0),
        ("std", [0.228, 0.224, 0.225], 0),
        ("std", [1, 1, 1], 1),
        ("std", [0.5, 0.5, 0.5], 1),
        ("to_rgb", True, 0),
        ("to_rgb", False, 1),
        ("bgr_to_rgb", False, 1),
        ("mean", [0.5], 0),
        ("mean", ["a", "b", "c"], 0),
    ],
)
def test_what_a_file_says_of_its_input(key, value, contradicts):
    for part in ("data_preprocessor", "img_norm_cfg", "pretrained_cfg"):
        assert _weighed(key, value, part) == (contradicts, 0)
    assert _weighed(key, value, "data_preprocessor", origin="user") == (0, 0)
    assert _weighed(key, value, "data_preprocessor", convention=None) == (0, 0)
    assert _weighed(key, value, "neck") == (0, 0)


def test_the_norm_of_a_config_kept_as_text_is_held_against_what_would_be_taken(tmp_path, state):
    for name, norm in (("caffe", CAFFE), ("torch", TORCH)):
        for block in ("img_norm_cfg", "data_preprocessor"):
            text = f"{block} = {norm}\nmodel = dict(backbone=dict(type='ResNet', depth=18, style='pytorch'))\n"
            content = {"state_dict": {f"backbone.{key}": value for key, value in state.items()}, "meta": {"cfg": text}}
            torch.save(content, tmp_path / f"{name}.pth")
            if name == "torch":
                assert read(tmp_path / "torch.pth").doubts == []
                continue
            with pytest.raises(CheckpointError, match=rf"{block}.mean = \[103.53, 116.28, 123.675\]"):
                read(tmp_path / "caffe.pth")
            assert read(tmp_path / "caffe.pth", convention="msra").convention.channel_order == "BGR"


def test_a_second_backbone_of_other_values_is_said_where_no_project_tells_which(tmp_path, state):
    other = backbone(network(seed=1))
    for content, chosen in (
        ({"model": state, "model_ema": other}, "model/ "),
        ({"model": state, "shadow": other}, "model/ "),
        ({"student": {f"backbone.{k}": v for k, v in state.items()},
          "teacher": {f"backbone.{k}": v for k, v in other.items()}}, "student/backbone. "),
    ):  # fmt: skip
        torch.save(content, tmp_path / "two.pth")
        (doubt,) = read(tmp_path / "two.pth").doubts
        assert f"1 backbones of other values beside the one under {chosen}" in doubt
        way = doubt.split("--prefix ")[1].split(" takes")[0]
        assert torch.equal(read(tmp_path / "two.pth", prefix=way).state["conv1.weight"], other["conv1.weight"])
        assert read(tmp_path / "two.pth", prefix=way).doubts == []
    torch.save({"model": state, "model_ema": state}, tmp_path / "same.pth")
    assert read(tmp_path / "same.pth").doubts == []
    # MoCo's layout says which of its two encoders is meant.
    content = {f"encoder_q.{k}": v for k, v in state.items()} | {f"encoder_k.{k}": v for k, v in other.items()}
    torch.save(content | {"queue": torch.zeros(2, 2)}, tmp_path / "moco.pth")
    assert read(tmp_path / "moco.pth").doubts == []


def test_kernels_of_one_value_are_said(tmp_path, state):
    torch.save({name: torch.zeros_like(tensor) for name, tensor in state.items()}, tmp_path / "zeros.pth")
    assert (
        "20 of 20 convolutions hold one value throughout (first: conv1.weight)"
        in read(tmp_path / "zeros.pth").doubts[0]
    )


def test_our_own_files_are_held_against_their_metadata_only(tmp_path, state):
    from tests.cases.checkpoints import save_own

    assert read(save_own(tmp_path / "b.safetensors", state, method="resnetaa50")).doubts == []
