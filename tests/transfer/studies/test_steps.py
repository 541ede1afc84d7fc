"""Each step's command: its words are the study's, and its key changes with all that determines what it makes."""

import argparse
from dataclasses import replace

import pytest

from tests.cases.studies import SETTINGS, make_steps
from transfer.commands import convert, finetune
from transfer.studies.schema import Data, Detector, Digits, Probes, Start
from transfer.studies.steps import PLAIN, Course, Steps

STARTS = {
    "random": Start(),
    "simclr": Start(pretrain="simclr_r18_any_100e", options={"schedule.epochs": 10}, init="before.safetensors"),
    "moco": Start(file="moco.pth", convention="imagenet228"),
    "coco": Start(detector="coco/model_final.pth", convention="msra", allow_partial=True),
}


@pytest.fixture
def steps():
    return make_steps(starts=STARTS)


def after(words, flag, count=1):
    place = words.index(flag)
    return list(words[place + 1 : place + 1 + count])


def parsed(command, words):
    """The words as the command itself reads them: an unknown flag ends the test."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_intermixed_args(words)


def test_a_pretraining_is_the_config_its_options_and_the_seed(steps):
    step = steps.pretrain("simclr", 1)
    assert step.arguments[:3] == ("-m", "pretrain", "simclr_r18_any_100e")
    assert after(step.arguments, "--init") == ["before.safetensors"]
    assert after(step.arguments, "--cfg-options", 2) == ["schedule.epochs=10", "run.seed=1"]
    assert step.product.name == "backbone.safetensors"
    assert step.product.parent.as_posix() in step.arguments
    several = Steps(replace(steps.study, gpus=4), steps.inputs, steps.out).pretrain("simclr", 1)
    assert several.arguments[:4] == ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=4")
    assert several.key != step.key


def test_what_the_terms_give_replaces_what_the_file_says(steps):
    course = Course({"schedule.epochs": 3}, {"SOLVER.BASE_LR": 0.5}, schedule=0.5)
    step = steps.pretrain("simclr", 0, course)
    assert after(step.arguments, "--cfg-options", 2) == ["schedule.epochs=3", "run.seed=0"]
    words = steps.finetune("random", 0, "100%", None, course).arguments
    assert after(words, "--schedule-scale") == ["0.5"]
    assert words[-2:] == ("SOLVER.BASE_LR", "0.5")


def test_a_conversion_says_how_the_file_was_fed(steps):
    step = steps.convert("moco", None)
    args = parsed(convert, list(step.arguments[3:]))
    assert (str(args.file), args.to, args.convention) == ("moco.pth", "detectron2", "imagenet228")
    pretrained = steps.pretrain("simclr", 0)
    assert steps.convert("simclr", pretrained).needs == (pretrained,)
    other = steps.convert("simclr", steps.pretrain("simclr", 1))
    assert other.key != steps.convert("simclr", pretrained).key


def test_every_flag_of_the_study_reaches_the_fine_tuning():
    detector = Detector(
        "digits_mask_rcnn_R_18_FPN_demo",
        {"SOLVER.IMS_PER_BATCH": 8},
        backbone_lr_factor=0.1,
        lr_scale="batch",
        schedule_scale={"10%": 0.25, "100%": 1},
        amp=True,
        channels_last=True,
        gpus=2,
    )
    steps = make_steps(starts=STARTS, detector=detector, labels_seed=5)
    step = steps.finetune("random", 3, "10%", None)
    args = parsed(finetune, list(step.arguments[2:]))
    assert (args.init, args.seed, args.labels, args.labels_seed) == ("random", 3, "10%", 5)
    assert (args.backbone_lr_factor, args.lr_scale, args.schedule_scale) == (0.1, "batch", 0.25)
    assert (args.amp, args.channels_last, args.num_gpus, args.resume) == (True, True, 2, True)
    assert args.opts == ["OUTPUT_DIR", str(step.product.parent), "SOLVER.IMS_PER_BATCH", "8"]
    assert finetune.request(args).init_detector is None
    whole = parsed(finetune, list(steps.finetune("random", 3, "100%", None).arguments[2:]))
    assert (whole.labels, whole.schedule_scale) == (None, None)
    lr = make_steps(detector=replace(detector, lr_scale=None, lr=0.02, freeze_backbone=True, backbone_lr_factor=None))
    args = parsed(finetune, list(lr.finetune("random", 0, "100%", None).arguments[2:]))
    assert (args.lr, args.freeze_backbone) == (0.02, True)


def test_a_whole_detector_is_given_as_it_is(steps):
    step = steps.finetune("coco", 0, "100%", None)
    request = finetune.request(parsed(finetune, list(step.arguments[2:])))
    assert (request.init, request.init_detector) == (None, "coco/model_final.pth")
    assert (request.convention, request.allow_partial) == ("msra", True)
    assert step.needs == ()
    strict = make_steps(starts=STARTS | {"coco": replace(STARTS["coco"], allow_partial=False)})
    assert strict.finetune("coco", 0, "100%", None).key != step.key
    changed = replace(steps.inputs, keys={**steps.inputs.keys, "coco": "other"})
    assert Steps(steps.study, changed, steps.out).finetune("coco", 0, "100%", None).key != step.key
    assert Steps(steps.study, changed, steps.out).finetune("moco", 0, "100%", None).key == (
        steps.finetune("moco", 0, "100%", None).key
    )


def test_a_probe_reads_the_backbone_or_builds_a_random_one():
    steps = make_steps(probes=Probes("classes", ("knn",), size=32))
    pretrained = steps.pretrain("simclr", 0)
    step = steps.probe("simclr", 0, "knn", pretrained)
    assert step.arguments[:4] == ("-m", "pretrain", "evaluate", str(pretrained.product))
    assert after(step.arguments, "--size") == ["32"]
    assert steps.probe("random", 0, "knn", None).arguments[3] == "random:resnet18"


def test_a_speed_is_measured_whatever_the_length(steps):
    step = steps.speed("simclr", 0)
    assert step.captured
    assert {"--dry-run", "schedule.iterations=none", "schedule.epochs=1"} <= set(step.arguments)
    longer = make_steps(starts=STARTS | {"simclr": replace(STARTS["simclr"], options={"schedule.epochs": 99})})
    assert step.product != steps.speed("simclr", 1).product
    assert "schedule.epochs=99" not in longer.speed("simclr", 0).arguments


def test_the_own_digits_are_composed_once_for_all():
    steps = make_steps(data=Data(digits=Digits(train=4, val=2, unlabeled=8)))
    (step,) = steps.data()
    assert after(step.arguments, "--train") == ["4"]
    assert steps.pretrain("simclr", 0).needs == (step,)
    assert step in steps.finetune("random", 0, "100%", None).needs
    assert make_steps().data() == ()


def test_a_key_changes_with_what_determines_the_product(steps):
    before = steps.pretrain("simclr", 0).key
    settings = {"simclr": {**SETTINGS, "data": {"batch": 9}}}
    for changes in ({"unlabelled_key": "v"}, {"settings": settings}, {"keys": {"simclr": "other init"}}):
        other = Steps(steps.study, replace(steps.inputs, **changes), steps.out)
        assert other.pretrain("simclr", 0).key != before, changes
    assert steps.pretrain("simclr", 1).key != before
    moved = Steps(steps.study, steps.inputs, steps.out / "elsewhere")
    assert moved.pretrain("simclr", 0).key == before
    assert steps.pretrain("simclr", 0, PLAIN) == steps.pretrain("simclr", 0)
