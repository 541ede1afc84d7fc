"""Steps as processes: each once, in order, side by side, over kills; on commands that are trivial."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from transfer.studies.local import BLOCKED, DONE, FAILED, Local, times
from transfer.studies.step import Step, in_order

ROOT = Path(__file__).parents[3]
# Appends to a file that it ran, then makes its product.
WRITE = """
import pathlib, sys, time
product, note, seconds = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), float(sys.argv[3])
with note.open("a") as file:
    file.write(product.name + "\\n")
time.sleep(seconds)
product.write_text("done")
"""


# Its product holds the GPUs that it was given.
SEEN = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
time.sleep(0.4)
"""


def make(folder, name, needs=(), seconds=0.0, code=WRITE, kind="finetune", **changes):
    product = folder / name
    arguments = ("-c", code, str(product), str(folder / "note.txt"), str(seconds))
    return Step(kind, name, "k", arguments, product, folder / "logs" / f"{name}.log", tuple(needs), **changes)


def ran(folder):
    return (folder / "note.txt").read_text().split()


def test_steps_run_in_order_once_and_not_again(tmp_path):
    first = make(tmp_path, "first")
    steps = [make(tmp_path, "a", [first]), make(tmp_path, "b", [first])]
    assert [step.name for step in in_order(steps)] == ["first", "a", "b"]
    states = Local(tmp_path, jobs=2).run(steps)
    assert {state.status for state in states} == {DONE}
    assert ran(tmp_path)[0] == "first"
    assert sorted(ran(tmp_path)) == ["a", "b", "first"]
    Local(tmp_path, jobs=2).run(steps)
    assert len(ran(tmp_path)) == 3
    assert len(times(first)) == 1


def test_a_failed_step_leaves_out_what_needs_it_and_says_its_last_line(tmp_path):
    broken = make(tmp_path, "broken", code="import sys; print('almost'); sys.exit('lost: expected a, found b')")
    states = Local(tmp_path).run([make(tmp_path, "after", [broken]), make(tmp_path, "other")])
    by_name = {state.step.name: state for state in states}
    assert [by_name[name].status for name in ("broken", "after", "other")] == [FAILED, BLOCKED, DONE]
    assert by_name["broken"].why == "lost: expected a, found b"


def test_a_command_that_ends_well_without_its_product_has_failed(tmp_path):
    (state,) = Local(tmp_path).run([make(tmp_path, "nothing", code="print('all is well')")])
    assert (state.status, state.why) == (FAILED, "all is well")


def test_output_that_is_the_product_appears_whole(tmp_path):
    good = make(tmp_path, "good", code="print('0.25 s')", captured=True)
    bad = make(tmp_path, "bad", code="print('0.25'); raise SystemExit(1)", captured=True)
    Local(tmp_path).run([good, bad])
    assert good.product.read_text() == "0.25 s\n"
    assert not bad.product.exists()


def test_gpus_are_shared_out(tmp_path):
    single = [make(tmp_path, name, code=SEEN) for name in "abcd"]
    Local(tmp_path, jobs=2, devices=("3", "7")).run(single)
    assert sorted(step.product.read_text() for step in single) == ["3", "3", "7", "7"]
    both, none = make(tmp_path, "both", code=SEEN, gpus=2), make(tmp_path, "none", code=SEEN, gpus=0)
    Local(tmp_path, jobs=2, devices=("3", "7")).run([both, none])
    assert (both.product.read_text(), none.product.read_text()) == ("3,7", "")


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.transfer.studies.test_local import make
from transfer.errors import Interrupted
from transfer.studies.local import Local
folder = Path(sys.argv[1])
try:
    Local(folder, jobs=2).run([make(folder, name, seconds=float(sys.argv[2])) for name in sys.argv[3:]])
except Interrupted as error:
    sys.exit(128 + error.signum)
"""


def start(request, folder, seconds, *names):
    command = [sys.executable, "-c", DRIVER.format(root=str(ROOT)), str(folder), str(seconds), *names]
    process = subprocess.Popen(command, cwd=ROOT)
    request.addfinalizer(lambda: (process.kill(), process.wait()))
    limit = time.monotonic() + 60
    while not (folder / "note.txt").exists() or len(ran(folder)) < min(2, len(names)):
        assert time.monotonic() < limit
        time.sleep(0.02)
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="children end with their parent on Linux alone")
def test_a_killed_call_leaves_no_process_and_the_next_goes_on(request, tmp_path):
    process = start(request, tmp_path, 600, "a", "b")
    process.kill()
    process.wait()
    (tmp_path / "note.txt").unlink()
    states = Local(tmp_path, jobs=2).run([make(tmp_path, name) for name in "ab"])  # waits for the locks to be free
    assert {state.status for state in states} == {DONE}
    assert sorted(ran(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_commands_too(request, tmp_path, number):
    process = start(request, tmp_path, 600, "a", "b")
    os.kill(process.pid, number)
    assert process.wait(30) == 128 + number
    assert not (tmp_path / "a").exists()
    assert not times(make(tmp_path, "a"))  # an interrupted attempt says nothing of how long one takes


def test_two_calls_share_the_work(request, tmp_path):
    process = start(request, tmp_path, 2, "a", "b")
    states = Local(tmp_path).run([make(tmp_path, name, seconds=2) for name in "abc"])
    assert process.wait(30) == 0
    assert {state.status for state in states} == {DONE}
    assert sorted(ran(tmp_path)) == ["a", "b", "c"]


def test_signals_are_given_back(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    Local(tmp_path).run([make(tmp_path, "a")])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_times_of_a_step_are_plain_json(tmp_path):
    step = make(tmp_path, "a")
    Local(tmp_path).run([step])
    ((seconds, code),) = json.loads(step.log.with_suffix(".times.json").read_text())
    assert seconds >= 0
    assert code == 0
