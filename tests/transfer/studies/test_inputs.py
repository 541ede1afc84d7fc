"""What a study is run on: missing data, starts that do not fit and a full disk end in one line before anything runs."""

import shutil
from collections import namedtuple
from dataclasses import replace

import pytest
import torch

from tests.cases.coco_sets import write_coco
from tests.cases.detectors import detectron2_model, small_config
from transfer.errors import InputError
from transfer.studies import inputs
from transfer.studies.schema import Data, Detector, Start, Study

CONFIG = "digits_mask_rcnn_R_18_FPN_demo"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of random weights on real images; nothing may change them."""
    folder = tmp_path_factory.mktemp("study")
    train, val = write_coco(folder / "train", 6), write_coco(folder / "val", 2, seed=1)
    data = Data(train=tuple(map(str, train)), val=tuple(map(str, val)), unlabelled="train")
    return Study(data, {"random": Start()}, Detector(CONFIG), labels=("50%", "100%"))


def test_what_is_looked_at_is_what_the_commands_are_given(study, tmp_path):
    starts = {"random": Start(), "simclr": Start(pretrain="simclr_r18_any_100e", options={"data.batch": 4})}
    found = inputs.look(replace(study, starts=starts), tmp_path)
    assert found.data.arguments == ("--train", *study.data.train, "--val", *study.data.val)
    assert found.data.train_images == 6
    assert found.unlabelled == (study.data.train[0], "--annotations", study.data.train[1])
    assert found.settings["simclr"]["data"]["batch"] == 4
    assert found.arch == {"random": "resnet18", "simclr": "resnet18"}
    assert inputs.look(replace(study, starts=starts), tmp_path) == found
    assert not list(tmp_path.iterdir())


def test_other_data_and_another_detector_have_other_keys(study, tmp_path):
    before = inputs.look(study, tmp_path)
    other = replace(study, data=replace(study.data, val=study.data.train))
    assert inputs.look(other, tmp_path).data.key != before.data.key
    slower = replace(study, detector=Detector(CONFIG, {"SOLVER.BASE_LR": 0.001}))
    assert inputs.look(slower, tmp_path).detector_key != before.detector_key


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": Data(train=("nowhere", "a.json"), val=("nowhere", "a.json"))},
         r"nowhere: expected a folder of images, found nothing"),
        ({"labels": ("50%", "3")}, r"labels: expected different numbers of images, found 50% and 3, both 3 of 6"),
        ({"labels": ("7",)}, r"expected at most 6, the training images, found 7"),
        ({"detector": Detector("any_mask_rcnn_R_18_FPN_smal")}, r"similar name: any_mask_rcnn_R_18_FPN_small"),
        ({"detector": Detector(CONFIG, {"SOLVER.MAX_ITR": 1})}, r"did you mean SOLVER\.MAX_ITER"),
        ({"detector": Detector(CONFIG, {"SEED": 1})}, r"detector\.options: .* found SEED; the study sets it"),
        ({"starts": {"a": Start(file="none.pth")}}, r"none\.pth: expected a file or folder, found No such file"),
        ({"starts": {"a": Start(pretrain="simclr_r50_imagenet_200e")}},
         r"starts\.a: expected a ResNet-18, as digits_mask_rcnn_R_18_FPN_demo is built of, found resnet50"),
        ({"starts": {"a": Start(pretrain="simclr_r18_any_100e", options={"optimizer.lrr": 1})}},
         r"simclr_r18_any_100e: .* found optimizer\.lrr; did you mean optimizer\.lr\?"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_one_line(study, tmp_path, changes, says):
    with pytest.raises(InputError, match=says) as error:
        inputs.look(replace(study, **changes), tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A detector of five classes as a run of Detectron2 leaves it, with its config."""
    folder, cfg = tmp_path_factory.mktemp("detector"), small_config(5)
    torch.save({"model": detectron2_model(cfg).state_dict()}, folder / "model_final.pth")
    (folder / "config.yaml").write_text(cfg.dump())
    return folder / "model_final.pth"


def test_a_detector_that_fits_is_a_start_and_its_key_changes_with_its_config(study, detector, tmp_path):
    small = replace(study, detector=Detector("any_mask_rcnn_R_18_FPN_small"))
    small = replace(small, starts={"random": Start(), "coco": Start(detector=str(detector))})
    before = inputs.look(small, tmp_path)
    assert before.arch["coco"] == "resnet18"
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "model_final.pth").write_bytes(detector.read_bytes())
    (copy / "config.yaml").write_text(
        detector.with_name("config.yaml").read_text().replace("FORMAT: RGB", "FORMAT: BGR")
    )
    other = replace(small, starts={"random": Start(), "coco": Start(detector=str(copy / "model_final.pth"))})
    assert inputs.look(other, tmp_path / "out").keys["coco"] != before.keys["coco"]


def test_a_detector_that_does_not_fit_is_one_line_unless_parts_may_be_left_out(study, detector, tmp_path):
    other = Detector("any_mask_rcnn_R_18_FPN_small", {"MODEL.FPN.OUT_CHANNELS": 32})
    start = Start(detector=str(detector))
    with pytest.raises(
        InputError, match=r"^starts\.coco: .*model_final\.pth: expected all \d+ tensors of the detector"
    ):
        inputs.look(replace(study, detector=other, starts={"coco": start}), tmp_path)
    some = replace(start, allow_partial=True)
    assert inputs.look(replace(study, detector=other, starts={"coco": some}), tmp_path).arch == {"coco": "resnet18"}


def test_unlabelled_images_that_are_not_there_are_one_line(study, tmp_path):
    data = replace(study.data, unlabelled=("nowhere",))
    starts = {"a": Start(pretrain="simclr_r18_any_100e")}
    with pytest.raises(InputError, match=r"data\.unlabelled: expected images at nowhere, found nothing"):
        inputs.look(replace(study, data=data, starts=starts), tmp_path)


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10**12, 10**12, 2 * 10**9))
    inputs.check_disk(tmp_path / "new/folder", 1e9)
    with pytest.raises(InputError, match=r"expected about 3\.0 GB free for the whole study, found 2\.0 GB"):
        inputs.check_disk(tmp_path / "new/folder", 3e9)
