"""Peak memory is added up rightly."""

import pytest
import torch

from benchmarks.memory import peak_bytes, peak_of_trace

CPU = torch.device("cpu")


def test_peak_of_a_step_counts_what_was_there_before():
    size = 2**18  # float32: 1 MiB

    def prepare():
        held = torch.zeros(3 * size)
        freed = torch.zeros(9 * size)
        del freed  # before the measured work

        def work():
            a = torch.ones(2 * size)
            del a
            b = torch.ones(size)
            return held.sum() + b.sum()

        return work

    peak = peak_bytes(prepare, CPU)
    assert 5 * 2**20 <= peak < 5.1 * 2**20


def test_a_trace_without_its_window_is_refused():
    with pytest.raises(ValueError, match="measured steps"):
        peak_of_trace([{"name": "[memory]", "ts": 1, "args": {"Bytes": 4}}])
