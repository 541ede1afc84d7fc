import math

import pytest
from detectron2.config import get_cfg

from transfer.detectors import config, ranges
from transfer.errors import InputError


def test_detectron2s_own_defaults_are_in_range_and_every_key_is_one_of_its():
    cfg = get_cfg()
    assert ranges.problems(cfg) == {}
    assert set(ranges.RANGES) - set(config.leaves(cfg)) <= {"SOLVER.BACKBONE_LR_FACTOR"}  # this project's own


# Of parts that no config of this project builds, or numbers that mean something whatever they are.
LEFT_TO_DETECTRON2 = ("MODEL.KEYPOINT_ON", "MODEL.ROI_KEYPOINT_HEAD.", "MODEL.SEM_SEG_HEAD.", "MODEL.PANOPTIC_FPN.",
                      "MODEL.PROPOSAL_GENERATOR.", "DATASETS.", "TEST.KEYPOINT_OKS_SIGMAS", "VERSION",
                      "MODEL.RESNETS.DEPTH", "MODEL.RESNETS.DEFORM_", "MODEL.ANCHOR_GENERATOR.ANGLES",
                      "MODEL.RPN.BOUNDARY_THRESH", "MODEL.RPN.CONV_DIMS",
                      "MODEL.RPN.IOU_LABELS", "MODEL.ROI_HEADS.IOU_LABELS", "MODEL.RETINANET.IOU_LABELS",
                      "GLOBAL.")  # fmt: skip


def numbers(value):
    if isinstance(value, list | tuple):
        return bool(value) and all(map(numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def test_every_number_of_detectron2s_defaults_has_a_range_or_is_left_to_it():
    cfg = get_cfg()
    keys = [key for key in config.leaves(cfg) if numbers(config.lookup(cfg, key))]
    assert len(keys) > 80
    assert [key for key in keys if key not in ranges.RANGES and not key.startswith(LEFT_TO_DETECTRON2)] == []


@pytest.mark.parametrize(
    ("allowed", "good", "bad"),
    [
        (ranges.COUNT, [1, 2**31 - 1, (1, 2), []], [0, -4, 2**31, (1, 0), True, "1", math.nan]),
        (ranges.POSITIVE, [1e-9, 5], [0, -1, math.inf, math.nan]),
        (ranges.SHARE, [0, 0.5, 1], [-0.1, 1.1]),
        (ranges.RANGES["SOLVER.BASE_LR"], [1e20, 1e-12], [0, -1, math.inf, math.nan]),
        (ranges.RANGES["SOLVER.MOMENTUM"], [0, 0.9], [1, -0.1]),
        (ranges.RANGES["SEED"], [-1, 0, 2**31 - 1], [-2, 2**31]),
    ],
)
def test_a_range_holds_what_it_says(allowed, good, bad):
    assert all(value in allowed for value in good)
    assert not any(value in allowed for value in bad)


@pytest.mark.parametrize("key", ranges.RANGES)
def test_a_value_below_the_least_is_refused_by_name(key):
    cfg = get_cfg()
    default = config.lookup(cfg, key)
    below = ranges.RANGES[key].low - 1
    node = cfg
    *path, leaf = key.split(".")
    for part in path:
        node = node[part]
    node[leaf] = (below,) if isinstance(default, list | tuple) else below
    with pytest.raises(InputError, match=rf"^{key}: expected .*, found .*; correct it$"):
        ranges.check(cfg)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("MODEL.ANCHOR_GENERATOR.SIZES", [], "at least one number in each list"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[]], "at least one number in each list"),
        ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[0.5], []], "at least one number in each list"),
        ("MODEL.RPN.IOU_THRESHOLDS", [], "at least one number in each list"),
        ("INPUT.MIN_SIZE_TRAIN", (), "at least one number in each list"),
        ("SOLVER.STEPS", ((),), "at least one number in each list"),
        ("MODEL.PIXEL_MEAN", [100.0], "3 numbers"),
        ("MODEL.PIXEL_STD", [1.0] * 4, "3 numbers"),
        ("INPUT.CROP.SIZE", [0.9], "2 numbers"),
        ("MODEL.RPN.BBOX_REG_WEIGHTS", (1.0,), "4 numbers"),
    ],
)
def test_a_list_without_numbers_or_of_another_length_is_refused(key, value, expected):
    cfg = get_cfg()
    cfg.merge_from_list([key, value])
    assert ranges.problems(cfg) == {key: f"expected {expected}, found {config.lookup(cfg, key)}"}


def test_two_lists_may_be_empty():
    cfg = get_cfg()
    cfg.merge_from_list(["SOLVER.STEPS", (), "TEST.AUG.MIN_SIZES", ()])
    assert ranges.problems(cfg) == {}
