"""Which framework can build which network, and under which suffixes its loaders look."""

import dataclasses

import pytest

from transfer.checkpoints.checkpoint import read
from transfer.checkpoints.layouts import IMAGENET, IMAGENET_228, MSRA
from transfer.conversion.targets import TARGETS, obstacle, suffixes

PLAIN = dataclasses.replace(MSRA, channel_order="RGB", stride_in_1x1=False)


@pytest.fixture
def source(own):
    return read(own[0])


@pytest.mark.parametrize("convention", [IMAGENET, IMAGENET_228])
def test_a_plain_network_goes_everywhere(source, convention):
    for arch in ("resnet18", "resnet50", "resnet152"):
        plain = dataclasses.replace(source, arch=arch, convention=convention)
        assert [obstacle(plain, to) for to in TARGETS] == [None] * 4


@pytest.mark.parametrize(
    ("changes", "refusing", "reason"),
    [
        ({"stem": "small"}, {"timm", "mmdet"}, "found a 3x3 stem"),
        ({"arch": "wide_resnet50_2"}, {"mmdet"}, "found a wide ResNet"),
        ({"arch": "resnext50_32x4d"}, set(), ""),
        ({"convention": dataclasses.replace(PLAIN, channel_order="BGR")}, {"torchvision", "timm"}, "found BGR"),
        (
            {"arch": "resnet50", "convention": dataclasses.replace(PLAIN, stride_in_1x1=True)},
            {"torchvision", "timm"},
            "found Caffe's stride in the first 1x1",
        ),
        ({"convention": dataclasses.replace(PLAIN, stride_in_1x1=True)}, set(), ""),  # a ResNet-18 has no 1x1
    ],
)
def test_what_a_framework_cannot_build_is_named(source, changes, refusing, reason):
    reasons = {to: obstacle(dataclasses.replace(source, **changes), to) for to in TARGETS}
    assert {to for to, why in reasons.items() if why} == refusing
    assert all(why.startswith("expected ") and reason in why for why in reasons.values() if why)


def test_only_loaders_of_safetensors_get_such_a_file():
    assert {to for to in TARGETS if ".safetensors" in suffixes(to)} == {"torchvision", "timm"}
    assert all(".pth" in suffixes(to) for to in TARGETS)
