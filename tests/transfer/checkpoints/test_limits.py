"""Files damaged at the level of pickle instructions and zip entries: no crash, bounded time and memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("seed", "count"), [(0, 400), pytest.param(1, 4_000, marks=pytest.mark.slow)])
def test_damaged_instructions_and_entries(tmp_path, seed, count):
    command = [sys.executable, "-m", "tests.cases.corrupted_files", str(seed), str(count), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200)
    assert child.returncode == 0, child.stderr[-2000:]
    result = json.loads(child.stdout)
    assert result["faults"] == []
    # None is a whole backbone; a part of them opens none the less, so the damage reaches all there is.
    assert result["opened"] + result["refused"] == count
    assert count // 20 < result["opened"] < count * 3 // 4
