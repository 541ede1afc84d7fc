"""The weights that fine-tuning starts from: what is taken from them, and which are refused."""

from pathlib import Path

import pytest
import torch

from tests.cases.detectors import detectron2_model, small_config
from tests.cases.finetuning import TINY, converted, refused, run
from transfer.detectors import config as detector_config
from transfer.detectors.overlay import needed_in
from transfer.errors import InputError
from transfer.finetuning import weights
from transfer.records import record_file

pytestmark = pytest.mark.usefixtures("one_thread")

METADATA = {
    "format": "pretrain.backbone/1",
    "arch": "resnet18",
    "stem": "imagenet",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "channel_order": "RGB",
}


@pytest.fixture
def cfg():
    return detector_config.read_config(detector_config.find_config("any_mask_rcnn_R_18_FPN_small"))


@pytest.mark.parametrize(
    ("overridden", "said"),
    [
        ({"INPUT.FORMAT": "BGR"}, "override INPUT.FORMAT: the weights w.pth need RGB, found BGR; leave it out"),
        ({"MODEL.PIXEL_STD": [58.395, 57.12, 57.375]}, r"override MODEL.PIXEL_STD: .* need \[63.75"),
        ({"MODEL.RESNETS.DEPTH": 50}, "override MODEL.RESNETS.DEPTH: the weights w.pth need 18, found 50"),
        ({"MODEL.RESNETS.STRIDE_IN_1X1": True}, "override MODEL.RESNETS.STRIDE_IN_1X1"),
        ({"MODEL.RESNETS.NUM_GROUPS": 32}, "override MODEL.RESNETS.NUM_GROUPS: the weights w.pth need 1, found 32"),
    ],
)
def test_overrides_that_contradict_the_weights(cfg, overridden, said):
    start = weights.InitialWeights("w.pth", Path("w.pth"), "", METADATA, needed_in(METADATA, cfg))
    with pytest.raises(InputError, match=said):
        weights.check_agreement(cfg, start, overridden)
    weights.check_agreement(cfg, start, {"MODEL.RESNETS.DEPTH": 18})


def test_a_config_of_another_depth_or_without_batchnorm(cfg):
    start = weights.InitialWeights("w.pth", Path("w.pth"), "", METADATA, needed_in(METADATA, cfg))
    cfg.MODEL.RESNETS.NORM = "GN"
    with pytest.raises(InputError, match=r"MODEL\.RESNETS\.NORM: expected a BatchNorm .*, found GN"):
        weights.check_agreement(cfg, start, {})
    large = detector_config.read_config(detector_config.find_config("coco_mask_rcnn_R_50_FPN_1x"))
    with pytest.raises(InputError, match="expected a ResNet-50, as the config says, found a ResNet-18"):
        weights.check_agreement(large, start, {})


def test_the_c4_head_takes_its_res5_from_the_weights(data, weights_file, tmp_path):
    words = [
        "--config-file",
        "coco_mask_rcnn_R_50_C4_1x",
        "--init",
        weights_file,
        *data,
        "OUTPUT_DIR",
        tmp_path / "run",
    ]
    words += [*TINY, "MODEL.RESNETS.DEPTH", 18, "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 16]
    run(*words)
    record = record_file.read(tmp_path / "run")
    assert (record.weights.loaded, record.weights.expected) == (100, 100)
    assert "RES2_OUT_CHANNELS: 64" in (tmp_path / "run/config.yaml").read_text()  # brought by the weights
    assert "ExtraNormRes5ROIHeads" in (tmp_path / "run/config.yaml").read_text()


def test_partial_weights(data, weights_file, tmp_path, capsys):
    content = torch.load(weights_file, weights_only=True)
    del content["model"]["res3.0.conv1.weight"]
    content["model"]["res4.1.conv2.weight"] = torch.ones(4, 4, 3, 3)
    torch.save(content, tmp_path / "holes.pth")
    words = ["--init", tmp_path / "holes.pth", *data, "OUTPUT_DIR", tmp_path / "run", *TINY]
    line = refused(capsys, *words)
    assert "expected all 100 tensors of the backbone and no others, found 98/100 tensors, 2 missing (" in line
    assert "backbone.bottom_up.res3.0.conv1.weight" in line
    assert not (tmp_path / "run").exists()
    run("--allow-partial", *words)
    record = record_file.read(tmp_path / "run")
    assert (record.weights.loaded, record.weights.expected) == (98, 100)


def test_weights_of_another_architecture(data, tmp_path, capsys):
    torch.save(converted("resnet34"), tmp_path / "r34.pth")
    words = ["--init", tmp_path / "r34.pth", *data, "OUTPUT_DIR", tmp_path / "run", *TINY]
    assert "expected a ResNet-18, as the config says, found a ResNet-34" in refused(capsys, *words)
    content = converted("resnet34")  # a file that lies about itself: every tensor of the R18 is in it
    content["metadata"]["arch"] = "resnet18"
    torch.save(content, tmp_path / "r34.pth")
    extra = len(content["model"]) - 100
    assert f"found 100/100 tensors, {extra} unused (" in refused(capsys, *words)
    assert not (tmp_path / "run").exists()


def test_a_detector_of_other_classes_is_started_from_and_counted(data, tmp_path, capsys):
    """Of five classes, saved as Detectron2 saves it, on data of fewer; then on a config that it does not fit."""
    cfg = small_config(5)
    (tmp_path / "coco").mkdir()
    file = tmp_path / "coco/model_final.pth"
    torch.save({"model": detectron2_model(cfg).state_dict()}, file)
    (tmp_path / "coco/config.yaml").write_text(cfg.dump())
    words = ["--init-detector", file, "--seed", 0, *data, "OUTPUT_DIR", tmp_path / "run", *TINY]
    run(*words, "--backbone-lr-factor", 0.5, "SOLVER.BASE_LR", 1e-8, "SOLVER.WEIGHT_DECAY", 0.0)
    record = record_file.read(tmp_path / "run")
    assert record.weights.drawn_anew == 6
    assert record.weights.loaded == record.weights.expected - 6 > 100
    assert record.schedule.backbone_lr_factor == 0.5
    trained = torch.load(tmp_path / "run/model_final.pth", weights_only=True)["model"]
    original = torch.load(file, weights_only=True)["model"]
    for name in ("backbone.fpn_output2.weight", "roi_heads.mask_head.deconv.weight", "roi_heads.box_head.fc1.weight"):
        torch.testing.assert_close(trained[name], original[name], rtol=1e-4, atol=1e-6)  # two steps of next to nothing
    text = (tmp_path / "run/log.txt").read_text()
    assert "drawn anew, for other classes or anchors: roi_heads." in text
    line = refused(capsys, *words, "--resume", "--backbone-lr-factor", 0.1)
    assert "SOLVER.BACKBONE_LR_FACTOR: 0.5 -> 0.1" in line
    words[words.index(tmp_path / "run")] = tmp_path / "other"
    line = refused(capsys, *words, "MODEL.FPN.NORM", "")
    assert "model_final.pth: expected all" in line
    assert "8 missing (backbone.fpn_lateral2.bias" in line
    line = refused(capsys, *words, "--eval-only")
    assert "expected a detector of the classes that are measured on" in line
    assert not (tmp_path / "other").exists()


def test_weights_that_were_not_converted(data, tmp_path, capsys):
    torch.save({"state_dict": {"module.conv1.weight": torch.ones(1)}}, tmp_path / "raw.pth")
    line = refused(capsys, "--init", tmp_path / "raw.pth", *data, "OUTPUT_DIR", tmp_path / "run", *TINY)
    assert "convert it first: python -m transfer convert" in line
    (tmp_path / "old.pkl").write_bytes(b"\x80\x04.")
    line = refused(capsys, "--init", tmp_path / "old.pkl", *data, "OUTPUT_DIR", tmp_path / "run", *TINY)
    assert "found a pickle, which is not loaded" in line
