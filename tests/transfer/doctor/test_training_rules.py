"""The limits of the rules; that each finds its fault in a real config is tests/transfer/doctor/test_examine.py."""

import pytest
from detectron2.config import get_cfg

from transfer.doctor import training_rules
from transfer.doctor.findings import Situation


def _situation(**keys):
    cfg = get_cfg()
    cfg.merge_from_list([part for key, value in keys.items() for part in (key.replace("__", "."), value)])
    return Situation(cfg)


@pytest.mark.parametrize(
    ("batch", "rate", "wheres"),
    [
        (16, 0.02, 0),
        (8, 0.01, 0),
        (16, 0.08, 0),
        (16, 0.09, 1),
        (16, 0.005, 0),
        (16, 0.004, 1),
        (2, 0.02, 1),
        (4, 0.02, 0),
    ],
)
def test_the_linear_rule_with_a_factor_of_four(batch, rate, wheres):
    situation = _situation(SOLVER__IMS_PER_BATCH=batch, SOLVER__BASE_LR=rate)
    assert len(list(training_rules.learning_rate(situation))) == wheres


@pytest.mark.parametrize(("steps", "wheres"), [((2, 9), 0), ((2, 10), 1), ((), 0), ((10, 2), 2), ((2, 2), 1)])
def test_steps_against_the_last_iteration(steps, wheres):
    situation = _situation(SOLVER__STEPS=steps, SOLVER__MAX_ITER=10, SOLVER__WARMUP_ITERS=0)
    assert len(list(training_rules.schedule(situation))) == wheres


@pytest.mark.parametrize(
    ("data", "classes", "wheres"),
    [("coco_2017_train", 80, 0), ("coco_2017_train", 81, 1), ("voc_2012_train", 20, 0), ("voc_2012_train", 80, 1),
     ("lvis_v1_train", 1203, 0), ("cityscapes_fine_instance_seg_train", 8, 0), ("mine", 3, 0)],
)  # fmt: skip
def test_classes_of_the_data_sets_detectron2_knows(data, classes, wheres):
    situation = _situation(DATASETS__TRAIN=(data,), MODEL__ROI_HEADS__NUM_CLASSES=classes)
    assert len(list(training_rules.classes(situation))) == wheres


def test_retinanet_counts_its_own_classes():
    situation = _situation(MODEL__META_ARCHITECTURE="RetinaNet", DATASETS__TRAIN=("voc_2007_train",))
    assert [f.where for f in training_rules.classes(situation)] == ["MODEL.RETINANET.NUM_CLASSES"]
