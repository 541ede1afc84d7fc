"""The one table: counts, time left, AP so far, failures; the same on the terminal and on disk."""

import io
from dataclasses import replace

import pytest

from tests.cases.records import make_record
from tests.cases.studies import make_steps
from transfer.records import record_file
from transfer.studies.cells import cells, chain
from transfer.studies.local import BLOCKED, DONE, FAILED, RUNNING, State, note_time
from transfer.studies.progress import Progress
from transfer.studies.step import in_order


@pytest.fixture
def study(tmp_path):
    """Chains of a study and the states of their steps."""
    steps = make_steps(tmp_path, seeds=(0,))
    chains = [chain(cell, steps, {}) for cell in cells(steps.study)]
    return chains, {s.id: State(s) for s in in_order([s for one in chains for s in one.steps])}


def finish(chains, states, cell, ap, seconds=60.0):
    step = next(one.finetune for one in chains if one.cell.name == cell)
    step.product.parent.mkdir(parents=True, exist_ok=True)
    record_file.write(step.product, make_record(bbox={"AP": ap}, segm={"AP": None, "AP50": None, "AP75": None}))
    note_time(step, seconds, 0)
    states[step.id].status = DONE


def test_the_table_counts_estimates_and_shows_ap(study, tmp_path):
    chains, states = study
    progress = Progress(chains, tmp_path, jobs=2)
    progress(list(states.values()))
    text = (tmp_path / "study.md").read_text()
    assert text.startswith("6 cells: 0 done, 6 left, 0 failed. Time left: not known before the first")
    finish(chains, states, "random/0/10%", 12.0)
    for state in states.values():
        if state.step.kind in ("pretrain", "convert"):
            note_time(state.step, 120.0, 0)
            state.status = DONE
    progress(list(states.values()))
    text = (tmp_path / "study.md").read_text()
    assert "6 cells: 1 done, 5 left, 0 failed. About 2 min left." in text  # five of 60 s on two
    assert "| finetune |    1 |       0 |    5 |      0 |        0 |           60 |" in text
    assert "| random |    10% | 1 |   12.0 |       – |" in text


def test_a_failure_is_named_and_what_needs_it_is_counted(study, tmp_path):
    chains, states = study
    for state in states.values():
        if state.step.kind == "pretrain":
            state.status, state.why = FAILED, "too big a batch"
        elif "simclr" in state.step.name:
            state.status = BLOCKED
        elif state.step.kind == "finetune":
            state.status = RUNNING
    text = Progress(chains, tmp_path, 1).text(list(states.values()))
    assert text.startswith("6 cells: 0 done, 4 left, 2 failed.")
    assert f"- failed: pretrain simclr_seed_0: too big a batch ({tmp_path}/logs/pretrain_simclr_seed_0" in text


def test_a_terminal_gets_one_table_in_place_of_the_last(study, tmp_path):
    chains, states = study
    terminal = io.StringIO()
    progress = Progress(chains, tmp_path, 1, terminal)
    progress(list(states.values()))
    first = terminal.getvalue()
    progress(list(states.values()))
    assert terminal.getvalue() == first  # nothing has changed
    finish(chains, states, "random/0/10%", 12.0)
    progress(list(states.values()))
    assert terminal.getvalue() == f"{first}\033[{first.count(chr(10))}F\033[J{(tmp_path / 'study.md').read_text()}"


def test_attempts_that_were_resumed_say_nothing_of_how_long_one_takes(study, tmp_path):
    chains, states = study
    finish(chains, states, "random/0/10%", 1.0)
    step = next(one.finetune for one in chains if one.cell.name == "random/0/10%")
    note_time(step, 5.0, 0)
    assert "Time left: not known" in Progress(chains, tmp_path, 1).text(list(states.values()))
    assert replace(states[step.id], seconds=1.0).status == DONE
