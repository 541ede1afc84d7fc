"""A finished run of three iterations, and copies of it to go on with."""

import shutil

import pytest

from pretrain.__main__ import main
from tests.cases.finished_runs import SHORT, same_weights
from tests.cases.runs import arguments, write_inputs


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(inputs, work folder) of a run of three iterations with checkpoints after the last two."""
    folder = tmp_path_factory.mktemp("finished")
    write_inputs(folder)
    assert main(arguments(folder, folder / "run", options=SHORT)) == 0
    return folder, folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it, and how to go on there."""
    shutil.copytree(finished[1], tmp_path / "run")

    def again(*flags, options=(), resume="--resume"):
        return main(arguments(finished[0], tmp_path / "run", resume, *flags, options=[*SHORT, *options]))

    again.work = tmp_path / "run"
    again.ended_as_before = lambda: same_weights(tmp_path / "run", finished[1])
    return again
