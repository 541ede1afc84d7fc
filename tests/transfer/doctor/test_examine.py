"""Planted faults: a healthy config, one line changed, and the finding that must name it."""

import re
from pathlib import Path

import pytest

from tests.cases.detector_configs import write_config
from transfer.doctor import examine

CONFIGS = Path(__file__).parents[3] / "configs"
# Files named base_* are parts of others and say themselves that they are not run.
SHIPPED = [
    path
    for folder in ("detection", "segmentation")
    for path in sorted((CONFIGS / folder).glob("*.yaml"))
    if not path.name.startswith("base_")
]

R50 = {
    "arch": "resnet50",
    "stem": "imagenet",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "channel_order": "RGB",
    "stride_in_1x1": False,
    "method": "metamask",
}
SWAV = R50 | {"std": [0.228, 0.224, 0.225]}
R18 = R50 | {"arch": "resnet18"}
SMALL = R50 | {"stem": "small"}

# Places in the text above.
MEAN, SIZES, DEPTH, MASK = (
    "[123.675, 116.28, 103.53]",
    "[[32], [64], [128], [256], [512]]",
    "DEPTH: 50",
    "MASK_ON: True",
)
NORM, FPN, END = 'NORM: "SyncBN"\n    OUT', 'FPN:\n    NORM: "SyncBN"', "MAX_ITER: 90000"
OUT = 'OUT_FEATURES: ["res2", "res3", "res4", "res5"]'

# fault -> (text to replace, its replacement, the weights' metadata, level, key, word in the finding)
PLANTED = {
    "BGR with RGB weights": ('FORMAT: "RGB"', 'FORMAT: "BGR"', R50, "error", "INPUT.FORMAT", "RGB"),
    "BGR with means of RGB": ('FORMAT: "RGB"', 'FORMAT: "BGR"', None, "error", "INPUT.FORMAT", "RGB"),
    "std of Detectron2's default": (
        "[58.395, 57.12, 57.375]",
        "[1.0, 1.0, 1.0]",
        R50,
        "error",
        "MODEL.PIXEL_STD",
        "58.395",
    ),
    "std of SwAV": ("WEIGHTS", "WEIGHTS", SWAV, "warning", "MODEL.PIXEL_STD", "58.14"),
    "mean turned round": (MEAN, "[103.53, 116.28, 123.675]", R50, "error", "MODEL.PIXEL_MEAN", "123.675"),
    "strides in the 1x1": ("IN_1X1: False", "IN_1X1: True", R50, "error", "MODEL.RESNETS.STRIDE_IN_1X1", "False"),
    "another depth": ("DEPTH: 50", "DEPTH: 101", R50, "error", "MODEL.RESNETS.DEPTH", "50"),
    "R18 as wide as R50": ("DEPTH: 50", "DEPTH: 18", None, "error", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64"),
    "groups of a ResNeXt": (DEPTH, f"{DEPTH}\n    NUM_GROUPS: 32", R50, "error", "MODEL.RESNETS.NUM_GROUPS", "1"),
    "GroupNorm for BatchNorm weights": (NORM, NORM.replace("SyncBN", "GN"), R50, "error", "MODEL.RESNETS.NORM", "GN"),
    "frozen norms": (NORM, NORM.replace("SyncBN", "FrozenBN"), R50, "warning", "MODEL.RESNETS.NORM", "FrozenBN"),
    "frozen stages": ("FREEZE_AT: 0", "FREEZE_AT: 2", R50, "warning", "MODEL.BACKBONE.FREEZE_AT", "found 2"),
    "no norm in the pyramid": (FPN, FPN.replace("SyncBN", ""), None, "warning", "MODEL.FPN.NORM", "SyncBN"),
    "rate of another batch": ("IMS_PER_BATCH: 16", "IMS_PER_BATCH: 2", None, "warning", "SOLVER.BASE_LR", "0.0025"),
    "steps beyond the end": ("MAX_ITER: 90000", "MAX_ITER: 70000", None, "warning", "SOLVER.STEPS", "80000"),
    "falling steps": ("(60000, 80000)", "(80000, 60000)", None, "error", "SOLVER.STEPS", "rising"),
    "endless warm-up": (END, f"{END}\n  WARMUP_ITERS: 90000", None, "warning", "SOLVER.WARMUP_ITERS", "warm-up"),
    "a key twice": (MASK, f"{MASK}\n  MASK_ON: False", None, "error", "config file", "MASK_ON twice"),
    "a missing base": ("VERSION: 2", '_BASE_: "absent.yaml"', None, "error", "config file", "absent.yaml"),
    "an unknown key": ("MASK_ON: True", "MASKS_ON: True", None, "error", "config file", "MASKS_ON"),
    "code in YAML": (MASK, "MASK_ON: !!python/name:os.system", None, "error", "config file", "YAML"),
    "an unregistered head": (
        "StandardROIHeads",
        "Res5ROIHeadsExtraNorm",
        None,
        "error",
        "MODEL.ROI_HEADS.NAME",
        "Res5ROI",
    ),
    "an unregistered backbone": (
        "build_resnet_fpn",
        "build_my_fpn",
        None,
        "error",
        "MODEL.BACKBONE.NAME",
        "build_my_fpn",
    ),
    "classes of other data": (
        "CLASSES: 80",
        "CLASSES: 20",
        None,
        "error",
        "MODEL.ROI_HEADS.NUM_CLASSES",
        "train has 80",
    ),
    "masks on VOC": ("coco_2017_train", "voc_2007_trainval", None, "error", "MODEL.MASK_ON", "voc_2007_trainval"),
    "levels that are not made": (OUT, 'OUT_FEATURES: ["res4"]', None, "error", "MODEL.RESNETS.OUT_FEATURES", "res5"),
    "anchors for other levels": (SIZES, "[[32], [64]]", None, "error", "MODEL.ANCHOR_GENERATOR.SIZES", "found 2"),
    "raw statistics": ("ENABLED: True", "ENABLED: False", None, "warning", "TEST.PRECISE_BN.ENABLED", "PreciseBN"),
    "a small stem": (DEPTH, DEPTH, SMALL, "error", "MODEL.BACKBONE.NAME", "build_small_stem"),
    "weights that say nothing": (DEPTH, DEPTH, {"arch": "resnet50"}, "error", "MODEL.WEIGHTS", "--convention"),
}


@pytest.mark.parametrize("metadata", [None, R50])
def test_a_healthy_config_has_no_findings(tmp_path, metadata):
    assert examine.examine(write_config(tmp_path), metadata) == []


@pytest.mark.parametrize("fault", PLANTED)
def test_each_planted_fault_is_found_where_it_is(tmp_path, fault):
    old, new, metadata, level, where, word = PLANTED[fault]
    findings = examine.examine(write_config(tmp_path, (old, new)), metadata)
    hits = [finding for finding in findings if finding.where == where]
    assert [finding.level for finding in hits] == [level]
    assert word in hits[0].what
    assert hits[0].why
    assert hits[0].fix


def test_there_are_at_least_fifteen():
    assert len(PLANTED) >= 15


@pytest.mark.parametrize(
    "changes", [("FREEZE_AT: 0", "FREEZE_AT: 2"), ('NORM: "SyncBN"\n    OUT', 'NORM: "FrozenBN"\n    OUT')]
)
def test_frozen_random_layers_are_an_error(tmp_path, changes):
    findings = examine.examine(write_config(tmp_path, ('WEIGHTS: "pretrained.pth"', 'WEIGHTS: ""'), changes))
    assert [finding.level for finding in findings] == ["error"]


def test_a_wholly_frozen_random_backbone_is_a_choice(tmp_path):
    """It is the baseline that frozen pretrained features are compared with."""
    changes = ('WEIGHTS: "pretrained.pth"', 'WEIGHTS: ""'), ("FREEZE_AT: 0", "FREEZE_AT: 5")
    assert [finding.level for finding in examine.examine(write_config(tmp_path, *changes))] == ["warning"]


def test_r18_needs_a_c4_head_of_basic_blocks(tmp_path):
    changes = [
        ("DEPTH: 50", "DEPTH: 18\n    RES2_OUT_CHANNELS: 64"),
        ('"build_resnet_fpn_backbone"', '"build_resnet_backbone"'),
        ('OUT_FEATURES: ["res2", "res3", "res4", "res5"]', 'OUT_FEATURES: ["res4"]'),
    ]
    for head, errors in (("Res5ROIHeads", 1), ("Res5BasicROIHeads", 0), ("ExtraNormRes5ROIHeads", 0)):
        findings = examine.examine(write_config(tmp_path, *changes, ("StandardROIHeads", head)), R18)
        assert [finding.where for finding in findings] == ["MODEL.ROI_HEADS.NAME"] * errors


def test_sync_bn_matters_only_where_nothing_replaces_it(tmp_path):
    path = write_config(tmp_path)
    assert [f.where for f in examine.examine(path, gpus=0, stock=True)] == ["MODEL.RESNETS.NORM"]
    assert examine.examine(path, gpus=8, stock=True) == []
    assert examine.examine(path, gpus=0) == []


def test_classes_of_the_data_at_hand_matter_where_nothing_sets_the_key_by_them(tmp_path):
    """Fine-tuning does, as tests/transfer/commands/test_finetune.py sees; Detectron2's own script does not."""
    wrong = examine.examine(write_config(tmp_path), classes=10, gpus=1, stock=True)
    assert [finding.where for finding in wrong] == ["MODEL.ROI_HEADS.NUM_CLASSES"]
    assert examine.examine(write_config(tmp_path), classes=10) == []
    right = write_config(tmp_path, ("NUM_CLASSES: 80", "NUM_CLASSES: 10"))
    assert examine.examine(right, classes=10, gpus=1, stock=True) == []


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("SOLVER.IMS_PER_BATCH", ("IMS_PER_BATCH: 16", "IMS_PER_BATCH: -4")),
        ("SOLVER.BASE_LR", ("BASE_LR: 0.02", "BASE_LR: .nan")),
        ("SOLVER.CHECKPOINT_PERIOD", ("BASE_LR: 0.02", "BASE_LR: 0.02\n  CHECKPOINT_PERIOD: 0")),
        ("MODEL.PIXEL_STD", ("[58.395, 57.12, 57.375]", "[58.395, 0.0, 57.375]")),
    ],
)
def test_a_value_that_no_run_can_mean(tmp_path, key, text):
    (finding,) = [f for f in examine.diagnose(write_config(tmp_path, text), gpus=1) if f.level == "error"]
    assert finding.where == key


def test_a_config_that_others_are_built_on_is_not_run(tmp_path):
    (base,) = (CONFIGS / "detection").glob("base_*C4*.yaml")
    (finding,) = examine.examine(base)
    assert "expected a config that can be run" in finding.what
    own = tmp_path / base.name  # a user's file may have any name
    own.write_text(base.read_text())
    assert "expected a config that can be run" not in str(examine.examine(own))


def test_detectron2s_own_files_are_known_by_their_address(tmp_path):
    msra = ('WEIGHTS: "pretrained.pth"', 'WEIGHTS: "detectron2://ImageNetPretrained/MSRA/R-50.pkl"')
    wheres = {finding.where for finding in examine.examine(write_config(tmp_path, msra)) if finding.level == "error"}
    assert wheres == {"INPUT.FORMAT", "MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD", "MODEL.RESNETS.STRIDE_IN_1X1"}
    good = ('WEIGHTS: "pretrained.pth"', 'WEIGHTS: "detectron2://ImageNetPretrained/torchvision/R-50.pkl"')
    assert examine.examine(write_config(tmp_path, good)) == []


@pytest.mark.parametrize("path", SHIPPED, ids=[path.name for path in SHIPPED])
def test_no_error_on_any_config_we_ship(path):
    # Where the data come with the command line, the DATASETS of the base do not count.
    given = re.search(r"--train .*?NUM_CLASSES: (\d+)", path.read_text(), re.DOTALL)
    findings = examine.examine(path, classes=int(given[1]) if given else None)
    assert [str(finding) for finding in findings if finding.level == "error"] == []


def test_there_are_configs_to_examine():
    assert len(SHIPPED) >= 5
