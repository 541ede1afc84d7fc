"""What no study can mean is refused in one line that names the key, before anything is looked at."""

import pytest

from tests.cases.studies import GOOD
from transfer.errors import InputError
from transfer.studies.study_file import read_study


def write(folder, text):
    file = folder / "study.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("options: {schedule", "optons: {schedule", r"starts\.simclr: .* found optons; did you mean options\?"),
        ("  moco:", "  simclr:", r"expected each name once, found simclr twice"),
        ("10%", "0%", r"labels: expected a share above 0, .* found 0%"),
        ("[10%, 100%]", "[10%, 10%]", r"labels: expected each share once"),
        ("[0, 1]", "[0, 0]", r"seeds: expected whole numbers from 0 to \d+, each once, found \[0, 0\]"),
        ("[0, 1]", "[zero]", r"seeds\[0\]: expected a whole number, found 'zero'"),
        ("[images, train.json]", "[images]", r"both as \[IMAGES, ANNOTATIONS\]"),
        ("  unlabelled: [images]\n", "", r"starts\.simclr: expected data\.unlabelled to pretrain on, found none"),
        ("random: random", "random: {file: a.pth}", r"starts\.random: expected random weights under this name"),
        (
            "{file: moco.pth.tar}",
            "{file: a, pretrain: b}",
            r"starts\.moco: expected one of pretrain, file and detector, found pretrain and file",
        ),
        ("{file: moco.pth.tar}", "{file: a, detector: b}", r"starts\.moco: .* found file and detector"),
        ("{file: moco.pth.tar}", "{convention: msra}", r"starts\.moco: expected convention beside file or detector"),
        (
            "{file: moco.pth.tar}",
            "{file: a, allow_partial: true}",
            r"starts\.moco: expected allow_partial beside detector",
        ),
        ("{file: moco.pth.tar}", "{options: {a: 1}}", r"starts\.moco: expected options and init beside pretrain"),
        (
            "  options:\n",
            "  backbone_lr_factor: 0\n  options:\n",
            r"backbone_lr_factor: expected a finite number above 0 .* found 0",
        ),
        (
            "  options:\n",
            "  backbone_lr_factor: 0.1\n  freeze_backbone: true\n  options:\n",
            r"found 0\.1 with freeze_backbone",
        ),
        ("  options:\n", "  lr: 0.1\n  lr_scale: batch\n  options:\n", r"lr_scale: expected it to set"),
        (
            "  options:\n",
            "  freeze_backbone: true\n  options:\n    MODEL.BACKBONE.FREEZE_AT: 2\n",
            r"freeze_backbone: expected it",
        ),
        ("  moco:", f"  {'m' * 81}:", r"expected names of up to 80 letters"),
        ("  options:\n", "  lr: .inf\n  options:\n", r"detector\.lr: expected a number, found inf"),
        (
            "  options:\n",
            "  schedule_scale: .nan\n  options:\n",
            r"schedule_scale: expected a number or a mapping, found nan",
        ),
        ("[0, 1]", "[2147483648]", r"seeds: expected whole numbers from 0 to 2147483647"),
        ("  options:\n", "  lr: -1\n  options:\n", r"detector\.lr: expected a finite number above 0, found -1"),
        ("  options:\n", "  gpus: 0\n  options:\n", r"gpus: expected 1 or more, found 1 and 0"),
        ("seeds: [0, 1]", "seeds: []", r"seeds: expected whole numbers from 0 to \d+, each once, found \[\]"),
        ("seeds: [0, 1]", "seeds: [0]\nprobes: {data: x, protocols: [cnn]}", r"probes\.protocols: .* found cnn"),
        ("seeds: [0, 1]", "seeds: [0]\nprobes: {data: x, protocols: []}", r"probes\.protocols: .* found none"),
        ("seeds: [0, 1]", "terms: {equal: epochs, seconds: 5}", r"terms\.seconds: .* none with epochs, found 5"),
        ("seeds: [0, 1]", "terms: {equal: time}", r"terms\.equal: expected epochs or compute, found time"),
        ("seeds: [0, 1]", "terms: {search: {finetune: {SOLVER.MAX_ITER: [1]}}}", r"trials are shorter"),
        ("[10%, 100%]", "[]", r"labels: expected each share once and at least one, found \[\]"),
        ("[10%, 100%]", "[110%]", r"labels: expected a share above 0, .* found 110%"),
        ("  val: [images, val.json]\n", "", r"data: expected val beside train"),
        ("  unlabelled: [images]\n", "  unlabelled: trian\n", r"data\.unlabelled: expected a list or the word train"),
        ("  unlabelled: [images]\n", "  unlabelled: [images]\n  digits: {train: 4}\n", r"found train and digits"),
        ("  unlabelled: [images]\n", "  unlabelled: [images]\n  val_voc: a:b\n", r"expected val_voc beside train_voc"),
        ("random: random", "random: randm", r"starts\.random: expected keys and values, found 'randm'"),
        ("{schedule.epochs: 2}", "{run.seed: 2}", r"starts\.simclr\.options: expected no run\.seed"),
        ("  moco:", "  a/b:", r"expected names of up to 80 letters"),
        ("  config: digits_mask_rcnn_R_18_FPN_demo\n", "", r"detector: expected config, found options; add it"),
        (
            "seeds: [0, 1]",
            "seeds: [0]\nbaseline: swav",
            r"baseline: expected one of the starts \(random, ",
        ),
        ("  options:\n", "  schedule_scale: 2\n  options:\n", r"schedule_scale: expected it to set SOLVER\.MAX_ITER"),
        ("  options:\n", "  lr: 0.1\n  options:\n    SOLVER.BASE_LR: 1\n", r"lr: expected it to set SOLVER\.BASE_LR"),
        ("seeds: [0, 1]", "terms: {equal: compute, seconds: .inf}", r"terms\.seconds: expected a number, found inf"),
        ("seeds: [0, 1]", "terms: {warmup: .nan}", r"terms\.warmup: expected a number, found nan"),
        ("seeds: [0, 1]", "terms: {equal: compute}", r"terms\.seconds: expected more than 0 with equal: compute"),
        ("seeds: [0, 1]", "terms: {search: {share: 0.5}}", r"terms\.search: expected options with values to try"),
    ],
)
def test_what_no_study_can_mean_is_one_line(tmp_path, old, new, message):
    assert old in GOOD
    file = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as error:
        read_study(file)
    assert str(error.value).startswith(f"{file}:")
    assert "\n" not in str(error.value)
