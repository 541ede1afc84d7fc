"""Equal compute and the search: what is read from products of steps, and what follows from it."""

import json
from pathlib import Path

import pytest

from tests.cases.records import make_record
from tests.cases.studies import make_steps
from transfer.errors import InputError
from transfer.records import record_file
from transfer.studies import terms
from transfer.studies.data_sets import DataSet
from transfer.studies.local import DONE, FAILED, State, note_time
from transfer.studies.schema import Search, Terms
from transfer.studies.step import in_order

SPEED = """dry run on CPU, 1 threads: 5 iterations of 32 images measured, nothing kept
speed      128.0 img/s, {seconds} s an iteration
whole job  0:00:47 for 187 iterations, estimated
"""


def test_equal_compute_gives_each_start_what_fits_at_its_median_speed(tmp_path):
    steps = make_steps(tmp_path, terms=Terms("compute", seconds=100.0))
    asked = []

    def run(given):
        for turn, step in enumerate(given):
            asked.append(step)
            step.product.parent.mkdir(exist_ok=True)
            step.product.write_text(SPEED.format(seconds=(0.25, 9.0, 0.2)[turn]))
        return [State(step, DONE) for step in given]

    courses = terms.courses_of(steps, ["random", "simclr"], run)
    assert courses["simclr"].pretrain == {"schedule.iterations": 400, "schedule.warmup_epochs": round(40 / 187, 4)}
    assert courses["random"].pretrain == {}
    assert len(asked) == terms.ROUNDS
    assert all(step.captured and "--dry-run" in step.arguments for step in asked)
    assert terms.courses_of(steps, ["simclr"], terms.nothing) == {
        "simclr": courses["simclr"]
    }  # read back, not measured again


def test_a_speed_that_cannot_be_measured_is_one_line(tmp_path):
    steps = make_steps(tmp_path, terms=Terms("compute", seconds=100.0))
    with pytest.raises(InputError, match=r"the speed of every start, found none: python -m pretrain .*: too big"):
        terms.courses_of(steps, ["simclr"], lambda given: [State(given[0], FAILED, why="too big")])
    with pytest.raises(InputError, match="expected a speed and a length"):
        terms.measured("nothing of the kind")


def searched(tmp_path, aps):
    """Run a search of two pretraining and two fine-tuning values whose trials end with ``aps``; None is an error."""
    content = {
        "images": [{"id": i} for i in range(10)],
        "annotations": [{"id": i, "image_id": i} for i in range(10)],
        "categories": [{"id": 1, "name": "a"}],
    }
    train = tmp_path / "train.json"
    train.write_text(json.dumps(content))
    search = Search({"optimizer.lr": (0.1, 0.3)}, {"SOLVER.BASE_LR": (0.01, 0.02)}, share=0.5, held_out=0.2)
    steps = make_steps(tmp_path / "out", terms=Terms(search=search))
    parts = (("images", str(train)), ("images", str(train)))
    object.__setattr__(steps.inputs, "data", DataSet((), "d", 10, parts))
    trials = []

    def run(given):
        for step in given:
            trials.append(step)
            if aps[len(trials) - 1] is None:
                note_time(step, 1.0, 1)
                continue
            step.product.parent.mkdir(parents=True, exist_ok=True)
            record = make_record(segm={"AP": aps[len(trials) - 1]})
            record_file.write(step.product, record)
        return []

    return steps, trials, lambda names: terms.courses_of(steps, names, run)


def test_the_search_takes_the_best_trial_on_held_out_train_images(tmp_path):
    steps, trials, settle = searched(tmp_path, [1.0, 2.0, None, 1.5])
    course = settle(["simclr"])["simclr"]
    assert (course.pretrain, course.finetune) == ({"optimizer.lr": 0.1}, {"SOLVER.BASE_LR": 0.02})
    pretrain = in_order(trials[:1])[0]
    assert {"schedule.epochs=5", "optimizer.lr=0.1", "run.seed=1001"} <= set(pretrain.arguments)
    finetune = trials[0].arguments
    assert finetune[finetune.index("--schedule-scale") + 1] == "0.5"
    files = [Path(finetune[finetune.index(flag) + 2]) for flag in ("--train", "--val")]
    fit, held = (json.loads(file.read_text()) for file in files)
    assert len(fit["images"]) == 8
    assert len(held["images"]) == 2
    assert {i["id"] for i in fit["images"]} == {a["image_id"] for a in fit["annotations"]}
    assert {i["id"] for i in fit["images"]} | {i["id"] for i in held["images"]} == set(range(10))
    assert terms.courses_of(steps, ["simclr"], terms.nothing)["simclr"] == course


def test_a_search_that_is_not_over_settles_nothing(tmp_path):
    steps, _, _ = searched(tmp_path, [])
    with pytest.raises(InputError, match="expected all trials of simclr, found some missing"):
        terms.courses_of(steps, ["simclr"], terms.nothing)


def test_a_search_in_which_all_trials_fail_is_one_line(tmp_path):
    _, _, settle = searched(tmp_path, [None] * 4)
    with pytest.raises(InputError, match="expected a trial of simclr that ends, found none"):
        settle(["simclr"])
