import pytest
import yaml
from detectron2.config import get_cfg

from transfer.detectors import config
from transfer.detectors.overlay import (
    BOUND,
    KEYS,
    PARTS,
    PROTOCOL,
    WEIGHTS,
    detectron2_overlay,
    head_of,
    needed_in,
    to_yaml,
)
from transfer.errors import InputError

R50 = {"arch": "resnet50", "stem": "imagenet", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
       "channel_order": "RGB"}  # fmt: skip


def test_the_keys_of_torchvision_style_weights():
    # MoCo's and everybody's numbers, in pixels of 0-255.
    assert detectron2_overlay(R50) == {
        "INPUT.FORMAT": "RGB",
        "MODEL.PIXEL_MEAN": [123.675, 116.28, 103.53],
        "MODEL.PIXEL_STD": [58.395, 57.12, 57.375],
        "MODEL.BACKBONE.FREEZE_AT": 0,
        "MODEL.RESNETS.DEPTH": 50,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 256,
        "MODEL.RESNETS.STRIDE_IN_1X1": False,
        "MODEL.RESNETS.NUM_GROUPS": 1,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 64,
        "MODEL.RESNETS.NORM": "SyncBN",
        "MODEL.FPN.NORM": "SyncBN",
    }


@pytest.mark.parametrize(
    ("arch", "depth", "channels", "groups", "width"),
    [
        ("resnet34", 34, 64, 1, 64),
        ("resnet152", 152, 256, 1, 64),
        ("resnext50_32x4d", 50, 256, 32, 4),
        ("resnext101_32x8d", 101, 256, 32, 8),
        ("wide_resnet50_2", 50, 256, 1, 128),
    ],
)
def test_other_networks(arch, depth, channels, groups, width):
    keys = detectron2_overlay(R50 | {"arch": arch})
    names = ("DEPTH", "RES2_OUT_CHANNELS", "NUM_GROUPS", "WIDTH_PER_GROUP")
    assert [keys[f"MODEL.RESNETS.{name}"] for name in names] == [depth, channels, groups, width]


def test_heads():
    assert "MODEL.ROI_HEADS.NAME" not in detectron2_overlay(R50, "c4")
    assert detectron2_overlay(R50 | {"arch": "resnet18"}, "c4")["MODEL.ROI_HEADS.NAME"] == "ExtraNormRes5ROIHeads"
    assert "MODEL.ROI_HEADS.NAME" not in detectron2_overlay(R50 | {"arch": "resnet18"}, "fpn")


@pytest.mark.parametrize(
    ("metadata", "head", "message"),
    [
        ({"arch": "resnet50"}, None, "--convention"),
        (R50 | {"arch": "vit_b_16"}, None, "vit_b_16"),
        (R50, "retina", "--head"),
        (R50 | {"stem": "small"}, None, "--head fpn or --head c4"),
    ],
)
def test_what_cannot_be_written_is_refused(metadata, head, message):
    with pytest.raises(InputError, match=message):
        detectron2_overlay(metadata, head)


@pytest.mark.parametrize("head", [None, "fpn", "c4"])
@pytest.mark.parametrize("arch", ["resnet18", "resnext50_32x4d"])
def test_detectron2_reads_the_yaml_as_the_keys_say(tmp_path, arch, head):
    keys = detectron2_overlay(R50 | {"arch": arch}, head)
    (tmp_path / "x.yaml").write_text(to_yaml({"VERSION": 2, **keys}, "a comment\nof two lines"))
    cfg = get_cfg()
    cfg.merge_from_file(str(tmp_path / "x.yaml"), allow_unsafe=False)
    for key, wanted in keys.items():
        node = cfg
        for part in key.split("."):
            node = node[part]
        assert (list(node) if isinstance(node, list | tuple) else node) == wanted
    assert (tmp_path / "x.yaml").read_text().startswith("# a comment\n# of two lines\n")


def test_yaml_is_plain():
    assert yaml.safe_load(to_yaml({"A.B": [[8], [16]], "A.C.D": True, "E": "x: y"})) == {
        "A": {"B": [[8], [16]], "C": {"D": True}},
        "E": "x: y",
    }


def _config(name):
    return config.read_config(config.find_config(name))


def test_weights_bring_what_they_own_and_leave_the_protocol_alone():
    metadata = R50 | {"arch": "resnet18", "std": [0.25, 0.25, 0.25]}
    needed = needed_in(metadata, _config("any_mask_rcnn_R_18_FPN_small"))
    assert needed["MODEL.PIXEL_STD"] == [63.75, 63.75, 63.75]
    assert needed["MODEL.RESNETS.DEPTH"] == 18
    assert set(needed) == set(BOUND)  # neither frozen stages nor the kind of norm


def test_parts_are_needed_only_where_the_config_does_not_build_them():
    c4 = _config("coco_mask_rcnn_R_50_C4_1x")
    assert head_of(c4) == "c4"
    assert "MODEL.ROI_HEADS.NAME" not in needed_in(R50 | {"arch": "resnet18"}, c4)  # its own takes every depth
    c4.MODEL.ROI_HEADS.NAME = "Res5ROIHeads"
    assert needed_in(R50 | {"arch": "resnet18"}, c4)["MODEL.ROI_HEADS.NAME"] == "ExtraNormRes5ROIHeads"
    fpn = _config("coco_mask_rcnn_R_50_FPN_1x")
    assert head_of(fpn) == "fpn"
    small = needed_in(R50 | {"stem": "small"}, fpn)
    assert small["MODEL.RPN.IN_FEATURES"] == ["p0", "p1", "p2", "p3", "p4"]
    fpn.MODEL.BACKBONE.NAME = small["MODEL.BACKBONE.NAME"]
    assert set(needed_in(R50 | {"stem": "small"}, fpn)) == set(BOUND)  # levels of its own


def test_every_key_is_one_of_detectron2s_and_says_what_a_wrong_value_costs():
    cfg = get_cfg()
    for key in KEYS:
        assert config.lookup(cfg, key.name) is not None, key.name
        assert key.owner in (WEIGHTS, PARTS, PROTOCOL)
        assert len(key.cost) > 10
    assert len({key.name for key in KEYS}) == len(KEYS)
