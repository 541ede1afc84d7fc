"""The starts of a study: their files are read and must fit the detector; settings of pretrainings must load."""

from dataclasses import replace

import pytest
import torch

from tests.cases.checkpoints import backbone, network, save_own
from tests.cases.detectors import detectron2_model, small_config
from tests.cases.studies import SETTINGS
from transfer.errors import InputError
from transfer.studies import inputs, starts
from transfer.studies.schema import Data, Detector, Search, Start, Study, Terms

OURS = {
    **SETTINGS,
    "backbone": {"arch": "resnet18", "stem": "imagenet"},
    "data": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
}


def look(start, options=(), settings=None, config="any_mask_rcnn_R_18_FPN_small"):
    study = Study(Data(), {"a": start}, Detector(config, dict(options)))
    return starts.look("a", start, study, inputs.detector_config_of(study), settings)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A backbone.safetensors of an R18."""
    return save_own(tmp_path_factory.mktemp("own") / "backbone.safetensors", backbone(network()))


def test_random_weights_have_the_detectors_backbone_and_no_key():
    assert look(Start()) == starts.StartFacts("resnet18")


def test_a_file_is_read_and_its_content_is_its_key(own, tmp_path):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(own.read_bytes())
    assert look(Start(file=str(own))) == look(Start(file=str(copy)))
    assert look(Start(file=str(own))).arch == "resnet18"


def test_a_pretraining_may_start_from_weights_of_its_own_architecture(own):
    start = Start(pretrain="simclr_r18_any_100e", init=str(own))
    assert look(start, settings=OURS).key == look(Start(file=str(own))).key
    assert look(replace(start, init=None), settings=OURS).key is None
    other = {**OURS, "backbone": {"arch": "resnet50", "stem": "imagenet"}}
    with pytest.raises(InputError, match=r"starts\.a: init: expected weights of resnet50, .* found resnet18"):
        look(start, settings=other, config="any_mask_rcnn_R_50_FPN_quick")


@pytest.mark.parametrize(
    ("start", "options", "message"),
    [
        (Start(file="none.pth"), {}, r"^starts\.a: no such checkpoint: .* found nothing at none\.pth"),
        (Start(detector="none.pth"), {}, r"^starts\.a: no such checkpoint: .* found nothing at none\.pth"),
        (Start(pretrain="x", init="none.pth"), {}, r"^starts\.a: no such checkpoint: .* found nothing at none\.pth"),
        (Start(pretrain="x"), {"INPUT.FORMAT": "BGR"}, r"^starts\.a: override INPUT\.FORMAT: .* need RGB, found BGR"),
        (Start(pretrain="x"), {"MODEL.RESNETS.NORM": "GN"}, r"^starts\.a: MODEL\.RESNETS\.NORM: expected a BatchNorm"),
        (Start(pretrain="x"), {"MODEL.RESNETS.DEPTH": 34},
         r"^starts\.a: expected a ResNet-34, as any_mask_rcnn_R_18_FPN_small is built of, found resnet18"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(start, options, message):
    with pytest.raises(InputError, match=message) as error:
        look(start, options, settings=OURS if start.pretrain else None)
    assert "\n" not in str(error.value)


def test_every_value_that_is_searched_has_to_load():
    start = Start(pretrain="simclr_r18_any_100e", options={"schedule.epochs": 3})
    study = Study(Data(unlabelled="train"), {"random": Start(), "a": start}, Detector("x"))
    searched = replace(study, terms=Terms(search=Search(pretrain={"optimizer.lr": (0.1, 0.2)})))
    settings = starts.all_settings(searched)
    assert settings.keys() == {"a"}
    assert settings["a"]["schedule"]["epochs"] == 3
    assert settings == starts.all_settings(study)
    bad = replace(study, terms=Terms(search=Search(pretrain={"optimizer.lr": (0.1, -1.0)})))
    with pytest.raises(InputError, match=r"simclr_r18_any_100e: optimizer.* found -1"):
        starts.all_settings(bad)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A detector of five classes as a run of Detectron2 leaves it, with its config."""
    folder, cfg = tmp_path_factory.mktemp("detector"), small_config(5)
    torch.save({"model": detectron2_model(cfg).state_dict()}, folder / "model_final.pth")
    (folder / "config.yaml").write_text(cfg.dump())
    return folder / "model_final.pth"


def test_a_detector_that_fits_is_a_start_and_its_key_changes_with_its_config(detector, tmp_path):
    before = look(Start(detector=str(detector)))
    assert before.arch == "resnet18"
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "model_final.pth").write_bytes(detector.read_bytes())
    (copy / "config.yaml").write_text(
        detector.with_name("config.yaml").read_text().replace("FORMAT: RGB", "FORMAT: BGR")
    )
    assert look(Start(detector=str(copy / "model_final.pth"))).key != before.key
    assert look(Start(detector=str(detector))) == before


def test_a_detector_that_does_not_fit_is_one_line_unless_parts_may_be_left_out(detector):
    start = Start(detector=str(detector))
    with pytest.raises(InputError, match=r"^starts\.a: .*model_final\.pth: expected all \d+ tensors of"):
        look(start, {"MODEL.FPN.OUT_CHANNELS": 32})
    assert look(replace(start, allow_partial=True), {"MODEL.FPN.OUT_CHANNELS": 32}).arch == "resnet18"
