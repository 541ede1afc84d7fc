import subprocess
import sys
from pathlib import Path

import pytest
from detectron2.config import get_cfg
from detectron2.modeling import build_model

from transfer.data import splits
from transfer.detectors import config as detector_config
from transfer.errors import InputError
from transfer.finetuning import logs

ROOT = Path(__file__).parents[2] / "configs"
FILES = sorted([*ROOT.glob("detection/*.yaml"), *ROOT.glob("segmentation/*.yaml")])
RUNNABLE = [file for file in FILES if not file.name.startswith("base_")]
SIZES_COCO = (640, 672, 704, 736, 768, 800)

SIZES_VOC = tuple(range(480, 801, 32))
SIZES_CITY = tuple(range(800, 1025, 32))
COCO = (("coco_2017_train",), ("coco_2017_val",))
VOC07 = (("voc_2007_trainval",), ("voc_2007_test",))
VOC0712 = (("voc_2007_trainval", "voc_2012_trainval"), ("voc_2007_test",))
VOC12 = (("voc_2012_instance_trainaug",), ("voc_2012_instance_val",))
LVIS = (("lvis_v1_train",), ("lvis_v1_val",))
CITY = (("cityscapes_fine_instance_seg_train",), ("cityscapes_fine_instance_seg_val",))
ONE, TWO = (90000, (60000, 80000)), (180000, (120000, 160000))
SHORT = (24000, (18000, 22000))

# The facts of the field's protocols, for every depth:
# name -> (depths, (max_iter, steps), warm-up, batch, LR, masks, classes, short sides, short side at test, data)
PROTOCOLS = {
    "coco_mask_rcnn_R_{}_FPN_1x": ((18, 50, 101), ONE, 1000, 16, 0.02, True, 80, SIZES_COCO, 800, COCO),
    "coco_mask_rcnn_R_{}_FPN_2x": ((18, 50, 101), TWO, 1000, 16, 0.02, True, 80, SIZES_COCO, 800, COCO),
    "coco_mask_rcnn_R_{}_C4_1x": ((18, 50, 101), ONE, 1000, 16, 0.02, True, 80, SIZES_COCO, 800, COCO),
    "coco_mask_rcnn_R_{}_C4_2x": ((50,), TWO, 1000, 16, 0.02, True, 80, SIZES_COCO, 800, COCO),
    "coco_faster_rcnn_R_{}_FPN_1x": ((18, 50, 101), ONE, 1000, 16, 0.02, False, 80, SIZES_COCO, 800, COCO),
    "coco_faster_rcnn_R_{}_FPN_2x": ((50,), TWO, 1000, 16, 0.02, False, 80, SIZES_COCO, 800, COCO),
    "coco_faster_rcnn_R_{}_C4_1x": ((50,), ONE, 1000, 16, 0.02, False, 80, SIZES_COCO, 800, COCO),
    "coco_faster_rcnn_R_{}_C4_2x": ((50,), TWO, 1000, 16, 0.02, False, 80, SIZES_COCO, 800, COCO),
    "coco_retinanet_R_{}_FPN_1x": ((50,), ONE, 1000, 16, 0.01, False, 80, SIZES_COCO, 800, COCO),
    "voc07_faster_rcnn_R_{}_C4_9k": (
        *((18, 50, 101), (9000, (6000, 8000)), 100, 16, 0.02, False, 20, SIZES_VOC, 800, VOC07),
    ),
    "voc0712_faster_rcnn_R_{}_C4_24k": ((18, 50, 101), SHORT, 100, 16, 0.02, False, 20, SIZES_VOC, 800, VOC0712),
    "voc0712_faster_rcnn_R_{}_FPN_24k": ((18, 50, 101), SHORT, 100, 16, 0.02, False, 20, SIZES_VOC, 800, VOC0712),
    "voc12_mask_rcnn_R_{}_C4_24k": ((50,), SHORT, 100, 16, 0.02, True, 20, SIZES_VOC, 800, VOC12),
    "voc12_mask_rcnn_R_{}_FPN_24k": ((50,), SHORT, 100, 16, 0.02, True, 20, SIZES_VOC, 800, VOC12),
    "cityscapes_mask_rcnn_R_{}_FPN_24k": (*((50,), (24000, (18000,)), 1000, 8, 0.01, True, 8, SIZES_CITY, 1024, CITY),),
    "lvis_v1_mask_rcnn_R_{}_FPN_1x": ((50,), TWO, 1000, 16, 0.02, True, 1203, SIZES_COCO, 800, LVIS),
}
NAMES = {pattern.format(depth): (pattern, depth) for pattern, facts in PROTOCOLS.items() for depth in facts[0]}
# On any data: no protocol of the field's.
OWN = {
    "digits_mask_rcnn_R_18_FPN_demo",
    "any_mask_rcnn_R_18_FPN_small",
    "any_mask_rcnn_R_18_FPN_photographs",
    "any_mask_rcnn_R_50_FPN_quick",
}
# Keys that decide nothing but what is at hand here; every other key of a config is in a test below.
DEFAULTS = get_cfg()


@pytest.fixture(params=RUNNABLE, ids=lambda file: file.stem)
def config(request):
    return request.param, detector_config.read_config(request.param)


def test_every_config_is_in_the_table_and_every_row_is_there():
    assert {*NAMES, *OWN} == {file.stem for file in RUNNABLE}


def test_torchvision_overlay(config):
    _, cfg = config
    assert cfg.INPUT.FORMAT == "RGB"
    assert cfg.MODEL.PIXEL_MEAN == [123.675, 116.28, 103.53]
    assert cfg.MODEL.PIXEL_STD == [58.395, 57.12, 57.375]
    assert cfg.MODEL.RESNETS.STRIDE_IN_1X1 is False
    assert cfg.MODEL.RESNETS.NORM == "SyncBN"
    assert cfg.MODEL.BACKBONE.FREEZE_AT == 0
    assert cfg.TEST.PRECISE_BN.ENABLED is True
    assert cfg.MODEL.WEIGHTS == ""  # --init decides; a config that names weights would hide where a run starts
    if cfg.MODEL.RESNETS.DEPTH in (18, 34):
        assert cfg.MODEL.RESNETS.RES2_OUT_CHANNELS == 64


def test_schedule_ends_where_it_should(config):
    _, cfg = config
    steps = cfg.SOLVER.STEPS
    assert list(steps) == sorted(set(steps))
    assert steps[0] > cfg.SOLVER.WARMUP_ITERS
    assert steps[-1] < cfg.SOLVER.MAX_ITER


def test_heads_belong_to_the_backbone(config):
    file, cfg = config
    if "retinanet" in file.name:
        assert cfg.MODEL.BACKBONE.NAME == "build_retinanet_resnet_fpn_backbone"
        assert cfg.MODEL.META_ARCHITECTURE == "RetinaNet"
        assert cfg.MODEL.FPN.NORM == "SyncBN"
        assert list(cfg.MODEL.FPN.IN_FEATURES) == ["res3", "res4", "res5"]
        octaves = [[size * 2 ** (i / 3) for i in range(3)] for size in (32, 64, 128, 256, 512)]
        assert [pytest.approx(sizes, abs=0.1) for sizes in octaves] == list(cfg.MODEL.ANCHOR_GENERATOR.SIZES)
    elif "_FPN_" in file.name:
        assert cfg.MODEL.BACKBONE.NAME == "build_resnet_fpn_backbone"
        assert cfg.MODEL.FPN.NORM == "SyncBN"
        assert cfg.MODEL.ROI_HEADS.NAME == "StandardROIHeads"  # stock keys and parts only
        assert len(cfg.MODEL.ANCHOR_GENERATOR.SIZES) == len(cfg.MODEL.RPN.IN_FEATURES)
    else:
        assert cfg.MODEL.BACKBONE.NAME == "build_resnet_backbone"
        assert cfg.MODEL.ROI_HEADS.NAME == "ExtraNormRes5ROIHeads"
        assert (cfg.MODEL.RPN.PRE_NMS_TOPK_TEST, cfg.MODEL.RPN.POST_NMS_TOPK_TEST) == (6000, 1000)


def test_header_says_how_to_run_it_on_what_and_how_long(config):
    file, _ = config
    header = [line for line in file.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert f"--config-file configs/{file.parent.name}/{file.name}" in text
    for part in ("# Hardware: ", "# Time (", "OUTPUT_DIR"):
        assert part in text
    assert "# Published" in text or "# Expect" in text


@pytest.mark.parametrize("name", NAMES)
def test_protocol_facts(name):
    cfg = detector_config.read_config(detector_config.find_config(name))
    pattern, depth = NAMES[name]
    _, schedule, warmup, batch, lr, masks, classes, sizes, at_test, (train, val) = PROTOCOLS[pattern]
    assert depth == cfg.MODEL.RESNETS.DEPTH
    assert (cfg.SOLVER.MAX_ITER, tuple(cfg.SOLVER.STEPS)) == schedule
    assert (warmup, batch, lr) == (cfg.SOLVER.WARMUP_ITERS, cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR)
    assert (masks, classes) == (cfg.MODEL.MASK_ON, detector_config.lookup(cfg, splits.number_of_classes_key(cfg)))
    assert (tuple(cfg.INPUT.MIN_SIZE_TRAIN), cfg.INPUT.MIN_SIZE_TEST) == (sizes, at_test)
    assert (train, val) == (cfg.DATASETS.TRAIN, cfg.DATASETS.TEST)
    assert ("bitmask" if name.startswith("voc12_") else "polygon") == cfg.INPUT.MASK_FORMAT
    sampler = "RepeatFactorTrainingSampler" if name.startswith("lvis") else "TrainingSampler"
    assert sampler == cfg.DATALOADER.SAMPLER_TRAIN
    assert (300 if name.startswith("lvis") else 100) == cfg.TEST.DETECTIONS_PER_IMAGE
    if "_FPN_" in name and "retinanet" not in name:
        head = cfg.MODEL.ROI_BOX_HEAD
        assert (head.NAME, head.NUM_CONV, head.NUM_FC, head.NORM) == ("FastRCNNConvFCHead", 4, 1, "SyncBN")
        assert (cfg.MODEL.ROI_MASK_HEAD.NUM_CONV, cfg.MODEL.ROI_MASK_HEAD.NORM) == (4, "SyncBN")
        assert (cfg.MODEL.RPN.PRE_NMS_TOPK_TRAIN, cfg.MODEL.RPN.PRE_NMS_TOPK_TEST) == (2000, 1000)


def test_configs_set_no_key_of_detectron2s_that_no_test_knows():
    """A config that sets, say, a weight decay or a proposal count of its own trains another protocol."""
    known = (
        *("MODEL.META_ARCHITECTURE", "MODEL.PIXEL", "MODEL.BACKBONE", "MODEL.RESNETS", "MODEL.FPN", "MODEL.MASK_ON"),
        *("MODEL.ANCHOR_GENERATOR.SIZES", "MODEL.RPN.IN_FEATURES", "MODEL.RPN.PRE_NMS", "MODEL.RPN.POST_NMS"),
        *("MODEL.ROI_HEADS", "MODEL.ROI_BOX_HEAD", "MODEL.ROI_MASK_HEAD", "MODEL.RETINANET", "INPUT", "DATASETS"),
        *("SOLVER.IMS_PER_BATCH", "SOLVER.BASE_LR", "SOLVER.STEPS", "SOLVER.MAX_ITER", "SOLVER.WARMUP_ITERS"),
        *("TEST.PRECISE_BN", "TEST.DETECTIONS_PER_IMAGE", "DATALOADER.SAMPLER_TRAIN", "DATALOADER.REPEAT_THRESHOLD"),
    )
    for name in NAMES:
        lines = detector_config.differences(DEFAULTS, detector_config.read_config(detector_config.find_config(name)))
        assert [line for line in lines if not line.startswith(known)] == []


@pytest.mark.parametrize("name", ["coco_mask_rcnn_R_18_C4_1x", "any_mask_rcnn_R_18_FPN_small"])
def test_one_config_of_each_kind_builds(name):
    cfg = detector_config.read_config(detector_config.find_config(name))
    detector_config.fit_machine(cfg, processes=1)
    cfg.MODEL.DEVICE = "cpu"
    with logs.quiet():
        names = dict(build_model(cfg).named_parameters())
    assert ("roi_heads.res5.norm.weight" in names) == ("C4" in name)


@pytest.mark.slow
@pytest.mark.parametrize("file", RUNNABLE, ids=lambda file: file.stem)
def test_every_config_builds(file):
    cfg = detector_config.read_config(file)
    detector_config.fit_machine(cfg, processes=1)
    cfg.MODEL.DEVICE = "cpu"
    with logs.quiet():
        build_model(cfg)


def test_bases_are_read_by_configs_only_and_nothing_lies_unused():
    named = "\n".join(file.read_text() for file in FILES)
    for file in FILES:
        if file.name.startswith("base_"):
            assert f"{file.name}\n" in named, f"no config has {file.name} as its base"


def test_fpn_configs_are_detectron2s_own_and_c4_ones_say_what_they_need():
    """In a process that never imported this project: its registries lack what it registers."""
    code = """
import sys
from detectron2.config import get_cfg
from detectron2.modeling import META_ARCH_REGISTRY, BACKBONE_REGISTRY, ROI_HEADS_REGISTRY
for file in sys.argv[1:]:
    cfg = get_cfg()
    cfg.merge_from_file(file)
    known = [cfg.MODEL.META_ARCHITECTURE in META_ARCH_REGISTRY, cfg.MODEL.BACKBONE.NAME in BACKBONE_REGISTRY]
    print(all(known), cfg.MODEL.ROI_HEADS.NAME in ROI_HEADS_REGISTRY)
"""
    out = subprocess.run([sys.executable, "-c", code, *RUNNABLE], capture_output=True, text=True, check=True).stdout
    for file, line in zip(RUNNABLE, out.splitlines(), strict=True):
        assert line == ("True False" if "_C4_" in file.name else "True True"), file.name
        if "_C4_" in file.name:
            assert "`import transfer.register`" in " ".join(file.read_text().replace("#   ", "").split())


def test_a_key_given_twice_is_refused(tmp_path):
    (tmp_path / "twice.yaml").write_text("SOLVER:\n  MAX_ITER: 5\n  STEPS: (3,)\n  MAX_ITER: 7\nVERSION: 2\n")
    with pytest.raises(InputError, match=r"twice\.yaml: line 4: expected each key once, found MAX_ITER twice"):
        detector_config.read_config(tmp_path / "twice.yaml")
    (tmp_path / "child.yaml").write_text("_BASE_: twice.yaml\n")
    with pytest.raises(InputError, match=r"twice\.yaml: line 4"):
        detector_config.read_config(tmp_path / "child.yaml")
