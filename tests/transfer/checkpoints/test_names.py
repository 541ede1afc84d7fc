import pytest
from detectron2.checkpoint.c2_model_loading import convert_basic_c2_names

from tests.cases.checkpoints import to_detectron2_by_hand, to_huggingface_by_hand
from transfer.checkpoints import names, resnets
from transfer.checkpoints.resnets import SPECS


@pytest.mark.parametrize("arch", ["resnet18", "resnet152", "resnext50_32x4d"])
def test_detectron2_names_there_and_back(arch):
    for name in resnets.expected(SPECS[arch]):
        renamed = names.to_detectron2(name)
        assert renamed == to_detectron2_by_hand(name)
        assert names.from_detectron2(renamed) == name


@pytest.mark.parametrize(
    "name",
    ["fc.weight", "layer5.0.conv1.weight", "layer1.x.conv1.weight", "layer1.0.conv4.weight", "layer1.0.se.weight",
     "conv1.bias", "bn1.num_batches_tracked", "layer1.0.downsample.2.weight",
     "layer0.0.conv1.weight", "xconv1.weight", ""],
)  # fmt: skip
def test_anything_else_has_no_name(name):
    assert names.to_detectron2(name) is None
    assert names.from_detectron2(name) is None


def test_caffe2_names_agree_with_detectron2s_own_converter():
    old = ["conv1_w", "res_conv1_bn_s", "res_conv1_bn_b", "res2_0_branch1_w", "res2_0_branch1_bn_s",
           "res5_2_branch2c_bn_b", "res3_1_branch2a_w", "res4_22_branch2b_bn_s"]  # fmt: skip
    assert [names.to_detectron2(names.from_caffe2(name)) for name in old] == convert_basic_c2_names(old)
    assert names.from_caffe2("fc1000_w") is None
    assert names.from_caffe2("res6_0_branch1_w") is None


@pytest.mark.parametrize(
    ("wrapped", "bare"),
    [
        ("module.conv1.weight", "conv1.weight"),
        ("_orig_mod.module.encoder_q.bn1.bias", "encoder_q.bn1.bias"),
        ("module.backbone._orig_mod.layer1.0.conv1.weight", "backbone.layer1.0.conv1.weight"),
        ("encoder.module_list.0.weight", "encoder.module_list.0.weight"),
    ],
)
def test_wrappers_are_whole_segments(wrapped, bare):
    assert names.strip_wrappers(wrapped) == bare


@pytest.mark.parametrize("first", [2, 3, 4])
def test_sequential_numbering_is_read_from_the_structure(first):
    keys = ["0.weight", "1.weight"] + [f"{first + n}.0.conv1.weight" for n in range(4)]
    stages = names.sequential_stages(keys)
    assert stages == {"0": "conv1", "1": "bn1"} | {str(first + n): f"layer{n + 1}" for n in range(4)}
    assert names.from_sequential(f"{first}.0.shortcut.0.weight", stages) == "layer1.0.downsample.0.weight"


def test_other_numberings_are_refused():
    assert names.sequential_stages(["0.weight", "1.weight", "4.0.conv1.weight"]) is None
    assert names.sequential_stages([f"{n}.0.conv1.weight" for n in range(4)]) is None
    assert names.sequential_stages(["conv1.weight"]) is None


@pytest.mark.parametrize("digits", ["²", "٣", "00", "1" * 5000, "-1", "1_0", ""])
def test_only_numbers_as_pytorch_writes_them(digits):
    assert not names.is_index(digits)
    assert names.to_detectron2(f"layer1.{digits}.conv1.weight") is None
    assert names.from_detectron2(f"res2.{digits}.conv1.weight") is None
    assert names.from_caffe2(f"res2_{digits}_branch2a_w") is None
    assert names.from_huggingface(f"encoder.stages.0.layers.{digits}.layer.0.convolution.weight") is None
    assert (
        names.sequential_stages(["0.weight", "1.weight", *(f"{n}.{digits}.conv1.weight" for n in range(4, 8))]) is None
    )


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_hugging_face_names(arch):
    for name in resnets.expected(SPECS[arch]):
        renamed = to_huggingface_by_hand(name).removeprefix("resnet.")
        assert names.from_huggingface(renamed) == name
    assert names.from_huggingface("encoder.stages.4.layers.0.shortcut.convolution.weight") is None
    assert names.from_huggingface("encoder.stages.0.layers.0.layer.3.convolution.weight") is None


@pytest.mark.parametrize("wrapper", ["_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"])
def test_wrappers_of_single_modules(wrapper):
    assert (
        names.strip_wrappers(f"module.{wrapper}.layer1.{wrapper}.0.conv1.{wrapper}.weight") == "layer1.0.conv1.weight"
    )
