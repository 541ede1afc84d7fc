"""What a study is run on, and that what cannot be run is one line before anything runs."""

from dataclasses import replace

import pytest

from tests.cases.coco_sets import write_coco
from transfer.errors import InputError
from transfer.studies import inputs
from transfer.studies.schema import Data, Detector, Digits, Probes, Search, Start, Study, Terms

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
    ("changes", "message"),
    [
        ({"detector": Detector("any_mask_rcnn_R_18_FPN_smal")}, r"similar name: any_mask_rcnn_R_18_FPN_small"),
        ({"detector": Detector("base_mask_rcnn_R_18_FPN_small")}, r"expected a config that can be run"),
        ({"detector": Detector(CONFIG, {"SOLVER.MAX_ITR": 1})}, r"did you mean SOLVER\.MAX_ITER"),
        ({"detector": Detector(CONFIG, {"SOLVER.IMS_PER_BATCH": 0})}, r"SOLVER\.IMS_PER_BATCH: expected 1 or more"),
        ({"detector": Detector(CONFIG, {"SEED": 1})}, r"detector\.options: .* found SEED; the study sets it"),
        ({"terms": Terms(search=Search(finetune={"SOLVER.BASE_LR": (0.1, -1.0)}))}, r"SOLVER\.BASE_LR: expected"),
        ({"terms": Terms(search=Search(finetune={"SOLVER.LR": (0.1,)}))}, r"expected a Detectron2 key, .* SOLVER\.LR"),
        ({"probes": Probes("nowhere")}, r"probes\.data: .* at nowhere, found nothing"),
        ({"starts": {"a": Start(pretrain="simclr_r18_any_100e", options={"optimizer.lrr": 1})}},
         r"simclr_r18_any_100e: .* found optimizer\.lrr; did you mean optimizer\.lr\?"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_one_line(study, tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as error:
        inputs.look(replace(study, **changes), tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_fine_tuning_itself_is_asked_whether_it_would_begin(study, tmp_path):
    found = inputs.look(study, tmp_path)
    inputs.check_fine_tuning(study, found, tmp_path)
    assert not list(tmp_path.iterdir())
    same = replace(study, data=replace(study.data, val=study.data.train))
    with pytest.raises(InputError, match="expected another file to measure on than the one trained on"):
        inputs.check_fine_tuning(same, inputs.look(same, tmp_path), tmp_path)
    classes = replace(study, detector=Detector(CONFIG, {"MODEL.ROI_HEADS.NUM_CLASSES": 7}))
    with pytest.raises(InputError, match=r"MODEL\.ROI_HEADS\.NUM_CLASSES: expected \d, .* found 7"):
        inputs.check_fine_tuning(classes, inputs.look(classes, tmp_path), tmp_path)


def test_data_that_the_study_composes_need_not_be_there(study, tmp_path):
    own = replace(study, data=Data(digits=Digits(train=8, val=4)))
    inputs.check_fine_tuning(own, inputs.look(own, tmp_path), tmp_path)
    assert not list(tmp_path.iterdir())
