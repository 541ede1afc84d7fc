"""The study file: what is read, and that everything no study can mean is refused in one line."""

from pathlib import Path

import pytest

from transfer.errors import InputError
from transfer.studies.study_file import ALL, Start, find_study, read_study

CONFIGS = Path(__file__).parents[3] / "configs/studies"
GOOD = """
data:
  train: [images, train.json]
  val: [images, val.json]
  unlabelled: [images]
starts:
  random: random
  simclr: {pretrain: simclr_r18_any_100e, options: {schedule.epochs: 2}}
  moco: {file: moco.pth.tar}
seeds: [0, 1]
labels: [10%, 100%]
detector:
  config: digits_mask_rcnn_R_18_FPN_demo
  options:
    SOLVER.STEPS: (1,)
    SOLVER.MAX_ITER: 2
"""


def write(folder, text):
    file = folder / "study.yaml"
    file.write_text(text)
    return file


def test_a_study_is_read_as_it_is_written(tmp_path):
    study = read_study(write(tmp_path, GOOD))
    assert study.data.train == ("images", "train.json")
    assert study.starts["random"] == Start()
    assert study.starts["simclr"] == Start(pretrain="simclr_r18_any_100e", options={"schedule.epochs": 2})
    assert (study.seeds, study.labels, study.terms.equal) == ((0, 1), ("10%", ALL), "epochs")
    assert study.detector.options == {"SOLVER.STEPS": "(1,)", "SOLVER.MAX_ITER": 2}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seeds:", "seed:", r"expected a known key, found seed; did you mean seeds\?"),
        ("options: {schedule", "optons: {schedule", r"starts\.simclr: .* found optons; did you mean options\?"),
        ("  moco:", "  simclr:", r"expected each name once, found simclr twice"),
        ("10%", "0%", r"labels: expected a share above 0, .* found 0%"),
        ("[10%, 100%]", "[10%, 10%]", r"labels: expected each share once"),
        ("[0, 1]", "[0, 0]", r"seeds: expected whole numbers from 0, each once, found \[0, 0\]"),
        ("[0, 1]", "[zero]", r"seeds\[0\]: expected a whole number, found 'zero'"),
        ("[images, train.json]", "[images]", r"both as \[IMAGES, ANNOTATIONS\]"),
        ("  unlabelled: [images]\n", "", r"starts\.simclr: expected data\.unlabelled to pretrain on, found none"),
        ("random: random", "random: {file: a.pth}", r"starts\.random: expected random weights under this name"),
        ("{file: moco.pth.tar}", "{file: a, pretrain: b}", r"starts\.moco: expected pretrain or file, found both"),
        ("{schedule.epochs: 2}", "{run.seed: 2}", r"starts\.simclr\.options: expected no run\.seed"),
        ("  moco:", "  a/b:", r"expected names of letters"),
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
def test_what_no_study_can_mean_is_one_line(tmp_path, old, new, says):
    assert old in GOOD
    file = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=says) as error:
        read_study(file)
    assert str(error.value).startswith(f"{file}:")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n", "text", "a: 2026-13-45\n", f"a: {'9' * 5000}\n", "[" * 5000])
def test_what_is_no_study_file_is_one_line(tmp_path, text):
    with pytest.raises(InputError, match="expected") as error:
        read_study(write(tmp_path, text))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_packaged_study_can_be_read(file):
    study = read_study(file.stem)
    assert study.starts["random"] == Start()
    assert len(study.starts) > 1


def test_packaged_studies_are_found_by_name_and_close_names_are_told():
    assert find_study("digits_small").name == "digits_small.yaml"
    with pytest.raises(InputError, match=r"similar name: digits_small\.yaml"):
        find_study("digit_smal.yaml")
