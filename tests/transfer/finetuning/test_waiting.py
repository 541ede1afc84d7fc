"""How threads wait is decided by what the machine has to do, and by the user before all."""

import pytest

from transfer.finetuning import waiting


@pytest.mark.parametrize(
    ("others", "environment", "added"),
    [
        (0, {}, {"GOMP_SPINCOUNT": waiting.SPINS}),
        (1, {}, {"OMP_WAIT_POLICY": "passive"}),
        (1, {"OMP_NUM_THREADS": "1"}, {"GOMP_SPINCOUNT": waiting.SPINS}),  # there is a core for each
        (2, {"OMP_NUM_THREADS": "1"}, {"OMP_WAIT_POLICY": "passive"}),
        (9, {"OMP_WAIT_POLICY": "active"}, {}),
        (9, {"GOMP_SPINCOUNT": "5"}, {}),
    ],
)
def test_threads_sleep_where_others_want_the_cores(monkeypatch, others, environment, added):
    monkeypatch.setattr(waiting.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(waiting, "others", lambda: others)
    given = dict(environment)
    waiting.choose(environment)
    assert environment == given | added


def test_the_middle_of_a_few_looks_counts_and_this_process_does_not(tmp_path, monkeypatch):
    looks = iter(["3", "1", "2", "2", "9"])

    class File:
        def read_text(self, encoding):
            return f"0.5 0.4 0.3 {next(looks)}/345 6789\n"

    monkeypatch.setattr(waiting, "PAUSE", 0)
    assert waiting.others(File()) == 1
    assert waiting.others(tmp_path / "none") >= 0  # no Linux
