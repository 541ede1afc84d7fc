from pathlib import Path

import pytest
from detectron2.config import get_cfg
from detectron2.modeling import build_model

from transfer import d2, logs
from transfer.errors import InputError

ROOT = Path(__file__).parent.parent / "configs"
FILES = sorted([*ROOT.glob("detection/*.yaml"), *ROOT.glob("segmentation/*.yaml")])
RUNNABLE = [file for file in FILES if not file.name.startswith("base_")]
SIZES_COCO = (640, 672, 704, 736, 768, 800)

# The facts of the field's protocols: name -> (max_iter, steps, mask, classes, short sides, train, test).
PROTOCOLS = {
    "coco_mask_rcnn_R_50_FPN_1x": (90000, (60000, 80000), True, 80, SIZES_COCO),
    "coco_mask_rcnn_R_50_FPN_2x": (180000, (120000, 160000), True, 80, SIZES_COCO),
    "coco_mask_rcnn_R_50_C4_1x": (90000, (60000, 80000), True, 80, SIZES_COCO),
    "coco_mask_rcnn_R_50_C4_2x": (180000, (120000, 160000), True, 80, SIZES_COCO),
    "coco_faster_rcnn_R_50_FPN_1x": (90000, (60000, 80000), False, 80, SIZES_COCO),
    "voc0712_faster_rcnn_R_50_C4_24k": (24000, (18000, 22000), False, 20, tuple(range(480, 801, 32))),
}


@pytest.fixture(params=RUNNABLE, ids=lambda file: file.stem)
def config(request):
    return request.param, d2.read_config(request.param)


def test_there_are_the_configs_that_the_project_promises():
    promised = {*PROTOCOLS, "digits_mask_rcnn_R_18_FPN_demo", "any_mask_rcnn_R_18_FPN_small"}
    assert promised <= {file.stem for file in RUNNABLE}


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
    if "_FPN_" in file.name:
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


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocol_facts(name):
    cfg = d2.read_config(d2.find_config(name))
    max_iter, steps, mask, classes, sizes = PROTOCOLS[name]
    assert (cfg.SOLVER.MAX_ITER, tuple(cfg.SOLVER.STEPS)) == (max_iter, steps)
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR) == (16, 0.02)
    assert (mask, classes) == (cfg.MODEL.MASK_ON, cfg.MODEL.ROI_HEADS.NUM_CLASSES)
    assert (tuple(cfg.INPUT.MIN_SIZE_TRAIN), cfg.INPUT.MIN_SIZE_TEST) == (sizes, 800)
    if name.startswith("voc"):
        assert cfg.DATASETS.TRAIN == ("voc_2007_trainval", "voc_2012_trainval")
        assert cfg.DATASETS.TEST == ("voc_2007_test",)
        assert cfg.SOLVER.WARMUP_ITERS == 100
    else:
        assert (cfg.DATASETS.TRAIN, cfg.DATASETS.TEST) == (("coco_2017_train",), ("coco_2017_val",))
    if "_FPN_" in name:
        head = cfg.MODEL.ROI_BOX_HEAD
        assert (head.NUM_CONV, head.NUM_FC, head.NORM) == (4, 1, "SyncBN")
        assert cfg.MODEL.ROI_MASK_HEAD.NORM == "SyncBN"


@pytest.mark.parametrize("name", ["coco_mask_rcnn_R_50_C4_1x", "any_mask_rcnn_R_18_FPN_small"])
def test_one_config_of_each_kind_builds(name):
    cfg = d2.read_config(d2.find_config(name))
    d2.fit_machine(cfg, processes=1)
    cfg.MODEL.DEVICE = "cpu"
    with logs.quiet():
        names = dict(build_model(cfg).named_parameters())
    assert ("roi_heads.res5.norm.weight" in names) == ("C4" in name)


@pytest.mark.slow
@pytest.mark.parametrize("file", RUNNABLE, ids=lambda file: file.stem)
def test_every_config_builds(file):
    cfg = d2.read_config(file)
    d2.fit_machine(cfg, processes=1)
    cfg.MODEL.DEVICE = "cpu"
    with logs.quiet():
        build_model(cfg)


def test_bases_are_read_by_configs_only_and_nothing_lies_unused():
    named = "\n".join(file.read_text() for file in FILES)
    for file in FILES:
        if file.name.startswith("base_"):
            assert f"{file.name}\n" in named, f"no config has {file.name} as its base"


def test_stock_detectron2_reads_the_fpn_configs():
    for file in RUNNABLE:
        if "_FPN_" in file.name:
            get_cfg().merge_from_file(str(file))


def test_a_key_given_twice_is_refused(tmp_path):
    (tmp_path / "twice.yaml").write_text("SOLVER:\n  MAX_ITER: 5\n  STEPS: (3,)\n  MAX_ITER: 7\nVERSION: 2\n")
    with pytest.raises(InputError, match=r"twice\.yaml: line 4: expected each key once, found MAX_ITER twice"):
        d2.read_config(tmp_path / "twice.yaml")
    (tmp_path / "child.yaml").write_text("_BASE_: twice.yaml\n")
    with pytest.raises(InputError, match=r"twice\.yaml: line 4"):
        d2.read_config(tmp_path / "child.yaml")
