"""A detector's config without a fault, and variants of it."""

HEALTHY = """
MODEL:
  META_ARCHITECTURE: "GeneralizedRCNN"
  WEIGHTS: "pretrained.pth"
  MASK_ON: True
  PIXEL_MEAN: [123.675, 116.28, 103.53]
  PIXEL_STD: [58.395, 57.12, 57.375]
  BACKBONE:
    NAME: "build_resnet_fpn_backbone"
    FREEZE_AT: 0
  RESNETS:
    DEPTH: 50
    STRIDE_IN_1X1: False
    NORM: "SyncBN"
    OUT_FEATURES: ["res2", "res3", "res4", "res5"]
  FPN:
    NORM: "SyncBN"
    IN_FEATURES: ["res2", "res3", "res4", "res5"]
  ANCHOR_GENERATOR:
    SIZES: [[32], [64], [128], [256], [512]]
  RPN:
    IN_FEATURES: ["p2", "p3", "p4", "p5", "p6"]
  ROI_HEADS:
    NAME: "StandardROIHeads"
    NUM_CLASSES: 80
    IN_FEATURES: ["p2", "p3", "p4", "p5"]
INPUT:
  FORMAT: "RGB"
DATASETS:
  TRAIN: ("coco_2017_train",)
  TEST: ("coco_2017_val",)
SOLVER:
  IMS_PER_BATCH: 16
  BASE_LR: 0.02
  STEPS: (60000, 80000)
  MAX_ITER: 90000
TEST:
  PRECISE_BN:
    ENABLED: True
VERSION: 2
"""


def write_config(folder, *changes):
    """Write the healthy config, each (old text, new text) of ``changes`` applied once; return its path."""
    text = HEALTHY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "x.yaml").write_text(text)
    return folder / "x.yaml"
