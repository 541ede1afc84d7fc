"""``--dry-run``: every command once, and what the whole costs, from short measurements that are trivial here."""

from dataclasses import replace

import pytest

from tests.cases.records import make_record
from tests.cases.studies import make_steps
from transfer.errors import InputError
from transfer.records import record_file
from transfer.records.record import Seconds
from transfer.studies.cells import cells, chain
from transfer.studies.local import DONE, FAILED, State, note_time
from transfer.studies.rehearsal import ITERATIONS, iterations, rehearse
from transfer.studies.schema import Terms
from transfer.studies.step import SPEED

SPEED_TEXT = """dry run on CPU, 1 threads: 5 iterations of 8 images measured, nothing kept
speed      128.0 img/s, 0.5 s an iteration
disk       0.25 GB
whole job  0:00:47 for 20 iterations, estimated
"""


class Measurements:
    """In place of the machine: each measurement leaves what the real command would."""

    jobs = 2

    def __init__(self, fails=""):
        self.fails, self.ran = fails, []

    def run(self, steps):
        states = []
        for step in steps:
            self.ran.append(step)
            if self.fails and self.fails in step.name:
                states.append(State(step, FAILED, why="out of memory"))
                continue
            step.product.parent.mkdir(parents=True, exist_ok=True)
            if step.captured:
                step.product.write_text(SPEED_TEXT)
            else:
                record_file.write(step.product, make_record(seconds=Seconds(ITERATIONS * 0.5, 30.0)))
            states.append(State(step, DONE))
        return states


def rows(text):
    """The table's rows by the kind of step."""
    cut = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in cut}


def test_every_command_is_listed_once_and_the_costs_add_up(tmp_path):
    steps, machine = make_steps(tmp_path, seeds=(0, 1)), Measurements()
    text = rehearse(steps, cells(steps.study), machine)
    assert text.startswith("12 cells, 2 steps side by side")
    every = [line.strip() for line in text.splitlines() if line.startswith("    python ")]
    assert len(every) == len(set(every)) == 2 + 3 + 12  # pretrainings, conversions (one of the file), fine-tunings
    assert {step.kind for step in machine.ran} == {SPEED}
    table = rows(text)
    assert table["pretrain"] == ["2", "100", "0.06", "0.50"]  # 10 epochs of 20 iterations of 0.5 s; 0.25 GB each
    length = iterations(steps, "100%")
    each = length * 0.5 + 30
    assert table["finetune"][:3] == ["12", f"{each:.0f}", f"{12 * each / 3600:.2f}"]
    assert table["convert"][:2] == ["3", "–"]
    hours = (200 + 12 * each) / 3600
    assert f"left: {hours:.2f} hours of steps, {hours / 2:.2f} hours with 2 side by side" in text
    assert "not measured, seconds to minutes each: convert" in text


def test_what_is_there_already_is_said_and_not_counted(tmp_path):
    steps = make_steps(tmp_path, seeds=(0,))
    before = rehearse(steps, cells(steps.study), Measurements())
    step = chain(cells(steps.study)[0], steps, {}).finetune
    step.product.parent.mkdir(parents=True)
    record_file.write(step.product, make_record())
    after = rehearse(steps, cells(steps.study), Measurements())
    assert after.count("# there already") == 1
    assert float(after.split("left: ")[1].split()[0]) < float(before.split("left: ")[1].split()[0])


def test_equal_compute_is_planned_from_the_measured_speed(tmp_path):
    steps = make_steps(tmp_path, seeds=(0,), terms=Terms("compute", seconds=100.0))
    text = rehearse(steps, cells(steps.study), Measurements())
    assert "schedule.iterations=200" in text  # 100 s at 0.5 s
    assert rows(text)["pretrain"][:2] == ["1", "100"]


def test_earlier_conversions_give_their_cost(tmp_path):
    steps = make_steps(tmp_path, seeds=(0,))
    note_time(steps.convert("moco", None), 12.0, 0)
    assert rows(rehearse(steps, cells(steps.study), Measurements()))["convert"][1] == "12"


def test_the_length_is_the_configs_under_all_that_scales_it(tmp_path):
    steps = make_steps(tmp_path)
    whole = iterations(steps, "100%")
    detector = replace(steps.study.detector, schedule_scale={"10%": 0.5, "100%": 1})
    shorter = make_steps(tmp_path, detector=detector)
    assert (iterations(shorter, "10%"), iterations(shorter, "100%")) == (whole // 2, whole)


def test_a_measurement_that_fails_is_one_line(tmp_path):
    steps = make_steps(tmp_path)
    with pytest.raises(InputError, match=r"--dry-run: python -m pretrain .*: out of memory; see "):
        rehearse(steps, cells(steps.study), Measurements(fails="simclr"))
