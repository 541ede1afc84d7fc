import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from transfer.detectors import config as detector_config
from transfer.errors import InputError

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
    ("text", "message"),
    [
        ("SOLVER:\n  MAX_ITERS: 5\nVERSION: 2\n", r"found SOLVER\.MAX_ITERS; did you mean SOLVER\.MAX_ITER\?"),
        ("SOLVER:\n  BASE_LR: fast\nVERSION: 2\n", "expected a Detectron2 config, found Type mismatch"),
        ("- 1\n", "expected config keys, found list"),
        ("a: [1\n", "expected a YAML file, found while parsing"),
        ("SOLVER: 2026-13-45\n", "expected a YAML file, found month must be in"),
        (f"SEED: {'9' * 5000}\n", "expected a YAML file, found Exceeds the limit"),
        ("_BASE_: gone.yaml\n", r"gone\.yaml: expected a config file, found nothing; a _BASE_ names it"),
        ("OUTPUT_DIR: !!python/object/apply:os.getcwd []\n", "expected a YAML file, found could not determine"),
    ],
)
def test_config_files_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        detector_config.read_config(tmp_path / "x.yaml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["SOLVER.MAX_ITER"], "expected KEY VALUE pairs, found 1 words: SOLVER.MAX_ITER"),
        (["SOLVER.MAXITER", "5"], r"found SOLVER\.MAXITER; did you mean SOLVER\.MAX_ITER\?"),
        (["SOLVER.MAX_ITER", "many"], "override SOLVER.MAX_ITER: expected a value like 600, found Type mismatch"),
        (["SOLVER", "5"], "override SOLVER"),
    ],
)
def test_overrides_that_cannot_be_used(cfg, pairs, message):
    with pytest.raises(InputError, match=message):
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
