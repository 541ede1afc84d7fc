"""The packaged study of digits: killed again and again, in shards and in a queue, it ends with the same records."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cases import slurm_cluster
from transfer.records.record_file import FILE_NAME

ROOT = Path(__file__).parents[3]
STUDY = "digits_small"
CELLS = 12
KILLS = 5
SEED = 7  # of the moments


def command(*words):
    return [sys.executable, "-m", "transfer", "study", STUDY, "--out", "study", "--jobs", "2", *words]


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def run(folder, *words):
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command(*words), cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def records(folder):
    """Folder of each fine-tuning -> its record, without what a clock or a memory has measured."""
    found = {}
    for file in sorted((folder / "study/finetune").glob(f"*/{FILE_NAME}")):
        content = json.loads(file.read_text())
        del content["seconds"]
        del content["cost"]["peak_memory"]
        found[file.parent.name] = content
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert f"{CELLS} of {CELLS} cells done" in run(folder)
    found = records(folder)
    assert len(found) == CELLS
    assert all(content["detections_sha256"] for content in found.values())
    return folder, found


@pytest.mark.slow
def test_a_study_that_is_killed_at_random_moments_ends_with_the_same_records(undisturbed, tmp_path):
    moments = random.Random(SEED)
    for _ in range(KILLS):
        with (tmp_path / "out.txt").open("ab") as out:
            process = subprocess.Popen(command(), cwd=tmp_path, env=environment(), stdout=out, stderr=out)
            time.sleep(moments.uniform(10, 60))
            process.kill()
            process.wait()
    assert len(records(tmp_path)) < CELLS, "all was done before the last kill"
    run(tmp_path)
    assert records(tmp_path) == undisturbed[1]


@pytest.mark.slow
def test_two_shards_side_by_side_end_with_the_same_records(undisturbed, tmp_path):
    processes = [subprocess.Popen(command("--shard", f"{i}/2"), cwd=tmp_path, env=environment()) for i in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert records(tmp_path) == undisturbed[1]
    assert not (tmp_path / "study/report").exists()
    assert f"{CELLS} of {CELLS} cells done" in run(tmp_path, "--report-only")
    assert (tmp_path / "study/report/report.html").is_file()


@pytest.mark.slow
def test_a_study_that_is_done_runs_nothing_again(undisturbed):
    folder, found = undisturbed
    files = {f: f.stat().st_mtime_ns for f in (folder / "study").rglob("*") if f.suffix in (".pth", ".safetensors")}
    run(folder)
    assert records(folder) == found
    assert {f: f.stat().st_mtime_ns for f in files} == files


@pytest.mark.slow
def test_a_real_queue_ends_with_the_same_records(undisturbed, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    if why := slurm_cluster.missing():
        pytest.skip(why)
    with slurm_cluster.cluster(tmp_path / "cluster") as queue:
        for name in ("SLURM_CONF", "PATH"):
            monkeypatch.setenv(name, queue[name])
        said = run(tmp_path, "--executor", "slurm", "--slurm", "timeout_min=600", "cpus_per_task=1")
    assert f"{CELLS} of {CELLS} cells done" in said
    assert records(tmp_path) == undisturbed[1]
