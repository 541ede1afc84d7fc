import logging
import math
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from tests.cases.coco_sets import write_coco
from transfer.data import splits
from transfer.detectors import config as detector_config
from transfer.errors import InputError
from transfer.evaluation import measure
from transfer.finetuning import logs, outcome, weights
from transfer.records.record import ALL_METRICS

SMALL = "configs/segmentation/any_mask_rcnn_R_18_FPN_small.yaml"


@pytest.fixture
def cfg():
    return detector_config.read_config(detector_config.find_config(SMALL))


@pytest.mark.parametrize("name", [SMALL, SMALL.removeprefix("configs/"), Path(SMALL).name, Path(SMALL).stem])
def test_packaged_configs_are_found_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert detector_config.find_config(name).name == Path(SMALL).name


def test_a_file_that_is_there_comes_before_a_packaged_one(tmp_path, monkeypatch):
    (tmp_path / "configs/segmentation").mkdir(parents=True)
    (tmp_path / SMALL).write_text("VERSION: 2\n")
    monkeypatch.chdir(tmp_path)
    assert detector_config.find_config(SMALL) == Path(SMALL)


def test_configs_are_found_when_installed_without_the_checkout(tmp_path):
    """The wheel holds the configs inside the package: transfer/configs/{detection,segmentation}."""
    root = Path(detector_config.__file__).parents[2]
    shutil.copytree(root / "transfer", tmp_path / "transfer", ignore=shutil.ignore_patterns("__pycache__"))
    for kind in ("detection", "segmentation"):
        shutil.copytree(root / "configs" / kind, tmp_path / "transfer/configs" / kind)
    code = f"from transfer.detectors.config import find_config; print(find_config('{SMALL}'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "transfer" / SMALL)


def test_an_unknown_config_names_its_neighbours():
    with pytest.raises(InputError, match=r"similar name: any_mask_rcnn_R_18_FPN_small\.yaml"):
        detector_config.find_config("configs/segmentation/any_mask_rcnn_R18_FPN_small.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SOLVER:\n  MAX_ITERS: 5\nVERSION: 2\n", r"found SOLVER\.MAX_ITERS; did you mean SOLVER\.MAX_ITER\?"),
        ("SOLVER:\n  BASE_LR: fast\nVERSION: 2\n", "expected a Detectron2 config, found Type mismatch"),
        ("- 1\n", "expected config keys, found list"),
        ("a: [1\n", "expected a YAML file, found while parsing"),
        ("_BASE_: gone.yaml\n", r"gone\.yaml: expected a config file, found nothing; a _BASE_ names it"),
        ("OUTPUT_DIR: !!python/object/apply:os.getcwd []\n", "expected a YAML file, found could not determine"),
    ],
)
def test_config_files_that_cannot_be_used(tmp_path, text, said):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=said) as error:
        detector_config.read_config(tmp_path / "x.yaml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["SOLVER.MAX_ITER"], "expected KEY VALUE pairs, found 1 words: SOLVER.MAX_ITER"),
        (["SOLVER.MAXITER", "5"], r"found SOLVER\.MAXITER; did you mean SOLVER\.MAX_ITER\?"),
        (["SOLVER.MAX_ITER", "many"], "override SOLVER.MAX_ITER: expected a value like 600, found Type mismatch"),
        (["SOLVER", "5"], "override SOLVER"),
    ],
)
def test_overrides_that_cannot_be_used(cfg, pairs, said):
    with pytest.raises(InputError, match=said):
        detector_config.override(cfg, pairs)


def test_overrides_and_changes(cfg):
    detector_config.override(cfg, ["SOLVER.MAX_ITER", "5", "DATASETS.TRAIN", "('coco_2017_train',)"])
    assert (cfg.SOLVER.MAX_ITER, cfg.DATASETS.TRAIN) == (5, ("coco_2017_train",))
    assert detector_config.changed(cfg, {"SOLVER.MAX_ITER": 7, "SOLVER.IMS_PER_BATCH": 4}) == [
        "SOLVER.MAX_ITER: 5 -> 7"
    ]
    other = cfg.clone()
    other.SOLVER.MAX_ITER = 9
    assert detector_config.differences(cfg, other) == ["SOLVER.MAX_ITER: 7 -> 9"]
    assert detector_config.differences(cfg, cfg.clone()) == []


def test_a_saved_config_is_the_same_config(cfg, tmp_path):
    (tmp_path / "config.yaml").write_text(cfg.dump())
    assert detector_config.differences(detector_config.read_config(tmp_path / "config.yaml"), cfg) == []
    assert not detector_config.same([[1, 2]], [[1, 3]])
    assert not detector_config.same([1, 2], [1])


def test_one_process_gets_plain_batchnorm(cfg):
    cfg.MODEL.DEVICE = "cuda"
    lines = detector_config.fit_machine(cfg, processes=1)
    assert "MODEL.RESNETS.NORM: SyncBN -> BN" in lines
    assert "MODEL.FPN.NORM: SyncBN -> BN" in lines
    assert ("MODEL.DEVICE: cuda -> cpu" in lines) == (not torch.cuda.is_available())
    assert detector_config.fit_machine(cfg, processes=1) == []


def test_no_more_workers_than_cores(cfg):
    cfg.DATALOADER.NUM_WORKERS = 10_000
    lines = detector_config.fit_machine(cfg, processes=1)
    assert 1 <= cfg.DATALOADER.NUM_WORKERS < 10_000
    assert f"DATALOADER.NUM_WORKERS: 10000 -> {cfg.DATALOADER.NUM_WORKERS}" in lines


def test_frozen_batchnorm_stays_frozen(cfg):
    cfg.MODEL.RESNETS.NORM = "FrozenBN"
    detector_config.fit_machine(cfg, processes=1)
    assert cfg.MODEL.RESNETS.NORM == "FrozenBN"


METADATA = {
    "format": "pretrain.backbone/1",
    "arch": "resnet18",
    "stem": "imagenet",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "channel_order": "RGB",
}


def test_weights_bring_their_normalisation_and_leave_the_protocol_alone(cfg):
    needed = weights.needs(METADATA, cfg)
    assert needed["MODEL.PIXEL_STD"] == [63.75, 63.75, 63.75]
    assert needed["MODEL.RESNETS.DEPTH"] == 18
    assert not {"MODEL.BACKBONE.FREEZE_AT", "MODEL.RESNETS.NORM", "MODEL.FPN.NORM"} & set(needed)


@pytest.mark.parametrize(
    ("overridden", "said"),
    [
        ({"INPUT.FORMAT": "BGR"}, "override INPUT.FORMAT: the weights w.pth need RGB, found BGR; leave it out"),
        ({"MODEL.PIXEL_STD": [58.395, 57.12, 57.375]}, r"override MODEL.PIXEL_STD: .* need \[63.75"),
        ({"MODEL.RESNETS.DEPTH": 50}, "override MODEL.RESNETS.DEPTH: the weights w.pth need 18, found 50"),
        ({"MODEL.RESNETS.STRIDE_IN_1X1": True}, "override MODEL.RESNETS.STRIDE_IN_1X1"),
    ],
)
def test_overrides_that_contradict_the_weights(cfg, overridden, said):
    start = weights.Start("w.pth", Path("w.pth"), "", METADATA, weights.needs(METADATA, cfg))
    with pytest.raises(InputError, match=said):
        weights.check_agreement(cfg, start, overridden)
    weights.check_agreement(cfg, start, {"MODEL.RESNETS.DEPTH": 18})


def test_a_config_of_another_depth_or_without_batchnorm(cfg):
    start = weights.Start("w.pth", Path("w.pth"), "", METADATA, weights.needs(METADATA, cfg))
    cfg.MODEL.RESNETS.NORM = "GN"
    with pytest.raises(InputError, match=r"MODEL\.RESNETS\.NORM: expected a BatchNorm .*, found GN"):
        weights.check_agreement(cfg, start, {})
    large = detector_config.read_config(detector_config.find_config("coco_mask_rcnn_R_50_FPN_1x"))
    with pytest.raises(InputError, match="expected a ResNet-50, as the config says, found a ResNet-18"):
        weights.check_agreement(large, start, {})


def test_built_in_names():
    with pytest.raises(InputError, match="data set nobody: expected a name that Detectron2 knows"):
        splits.registered(("nobody",), masks=True)
    with pytest.raises(InputError, match=r"data set coco_2017_val: .* set DETECTRON2_DATASETS") as error:
        splits.registered(("coco_2017_val",), masks=True)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"data set voc_2007_test: .* set DETECTRON2_DATASETS"):
        splits.registered(("voc_2007_test",), masks=False)


def test_a_registered_set_is_described_like_its_file(tmp_path):
    split, rle = splits.from_files(*write_coco(tmp_path / "a"), masks=True)
    assert not rle
    again = splits.registered((splits.register(split, "train"),), masks=True)
    assert again == split


def test_not_measured_is_null_and_single_classes_have_the_ap_of_the_task():
    found = {
        "bbox": {
            "AP": 12.5,
            "AP50": -1,
            "AP75": math.nan,
            "APs": 0.0,
            "APm": 1.0,
            "APl": 2.0,
            "AP-a": math.nan,
            "AP-b": 3.0,
        }
    }
    measured, per_class = outcome.from_detectron2(found, ("a", "b"))
    found = {"AP": 12.5, "AP50": None, "AP75": None, "APs": 0.0, "APm": 1.0, "APl": 2.0}
    assert measured["bbox"] == dict.fromkeys(ALL_METRICS) | found
    assert set(measured["segm"].values()) == {None}
    assert per_class == {"bbox": {"a": None, "b": 3.0}, "segm": {}}
    assert outcome.from_detectron2({"bbox": found}, ("only",))[1]["bbox"] == {"only": 12.5}
    assert measure.table(measured).splitlines()[2].split() == ["segm", *"------"]


def test_the_log_has_everything_and_the_terminal_what_a_user_can_act_on(tmp_path, capsys):
    with logs.logging_to(tmp_path):
        logging.getLogger("transfer.finetuning.plan").info("seen")
        logging.getLogger("detectron2.checkpoint.c2").warning("names")
    logging.getLogger("transfer.finetuning.plan").info("after")
    text = (tmp_path / "log.txt").read_text()
    out = capsys.readouterr().out
    assert "seen" in text
    assert "names" in text
    assert "seen" in out
    assert "names" not in out
    assert "after" not in text + out


def test_only_named_warnings_are_silenced():
    with logs.quiet():
        warnings.warn("torch.meshgrid: in an upcoming release", UserWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="another"):  # warnings are errors in these tests
            warnings.warn("another", UserWarning, stacklevel=1)
