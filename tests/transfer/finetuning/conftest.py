"""A run that several modules compare with."""

import pytest

from tests.cases.finetuning import WORKERS, run, words


@pytest.fixture(scope="package")
def whole(data, tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(*words(data, folder, *WORKERS))
    return folder
