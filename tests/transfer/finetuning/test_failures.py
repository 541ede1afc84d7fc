"""Fine-tuning that is killed, diverges, or meets a broken file, a dead worker or a full disk."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetMapper
from PIL import Image

from tests.cases.coco_sets import edit, write_coco
from tests.cases.finetuning import SMALL, TINY, refused, run
from transfer.records import record_file

ROOT = Path(__file__).parents[3]
MORE = ["SOLVER.MAX_ITER", "8", "SOLVER.STEPS", "(6,)", "SOLVER.CHECKPOINT_PERIOD", "2", "TEST.EVAL_PERIOD", "4"]
# Flips and sizes are drawn in the workers; resize makes the draw matter.
WORKERS = ["DATALOADER.NUM_WORKERS", "2", "INPUT.MIN_SIZE_TRAIN", "(56,64,72)"]


def words(data, folder, *more):
    return ["--init", "random", "--seed", "3", *data, "OUTPUT_DIR", str(folder), *TINY, *MORE, *more]


def process(arguments, **options):
    """Start the command line as a process of its own."""
    command = [sys.executable, "-m", "transfer.train_net", "--config-file", SMALL, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def final(folder):
    return torch.load(folder / "model_final.pth", weights_only=True)


def same(a, b):
    """Equality of nested containers, tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(*words(data, folder, *WORKERS))
    return folder


def test_a_run_killed_and_resumed_ends_bit_for_bit_like_an_uninterrupted_one(whole, data, tmp_path):
    folder = tmp_path / "run"
    child = process(words(data, folder, *WORKERS), start_new_session=True)
    deadline = time.monotonic() + 120
    while not (folder / "model_0000003.pth").is_file():
        assert time.monotonic() < deadline
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert not (folder / "record.json").exists()
    # Other workers than before: they decide nothing.
    run(*words(data, folder, *WORKERS, "DATALOADER.NUM_WORKERS", "0"), "--resume")
    assert same(final(folder), final(whole))
    again, first = record_file.read(folder), record_file.read(whole)
    assert again.metrics == first.metrics
    assert again.seconds.train is None
    lines = [[json.loads(line) for line in (f / "metrics.json").read_text().splitlines()] for f in (folder, whole)]
    assert sorted(line["iteration"] for line in lines[0]) == sorted(line["iteration"] for line in lines[1])


def test_a_run_stopped_between_checkpoint_and_evaluation_makes_it_up(whole, data, tmp_path):
    """The evaluation of iteration 4 was lost with the process; it is in the log of the resumed run."""
    folder = tmp_path / "run"
    run(*words(data, folder, "SOLVER.MAX_ITER", "6", "SOLVER.STEPS", "(5,)"))
    for name in ("record.json", "model_final.pth", "model_0000005.pth"):
        (folder / name).unlink()
    (folder / "last_checkpoint").write_text("model_0000003.pth")
    before = (folder / "log.txt").read_text().count("Start inference")
    run(*words(data, folder, "SOLVER.MAX_ITER", "6", "SOLVER.STEPS", "(5,)"), "--resume")
    assert (folder / "log.txt").read_text().count("Start inference") - before == 2


def test_a_loss_that_is_not_finite_names_the_images_and_a_learning_rate(data, tmp_path, capsys):
    line = refused(capsys, *words(data, tmp_path / "run", "SOLVER.BASE_LR", "1e20"))
    assert "training diverged: expected finite losses, found: " in line
    assert line.count(".png") == 2
    assert "usual for 2 images is 0.0025): try --lr auto, or lower SOLVER.BASE_LR" in line


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_named_and_the_last_checkpoint_stays(data, tmp_path, capsys, workers):
    folder = tmp_path / "run"
    coco = write_coco(tmp_path / "set", 6)
    given = ["--train", *coco, *data[3:]]
    run(*words(given, folder, "SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "(1,)"))
    kept = (folder / "model_final.pth").read_bytes()
    for file in Path(coco[0]).iterdir():  # JPEGs with whole headers, in which the data check sees nothing
        with Image.open(file) as image:
            image.save(file.with_suffix(".jpg"))
        file.with_suffix(".jpg").write_bytes(file.with_suffix(".jpg").read_bytes()[:1500])
    edit(coco[1], lambda c: [i.update(file_name=i["file_name"].replace("png", "jpg")) for i in c["images"]])
    more = ["SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "(1,)", "DATALOADER.NUM_WORKERS", workers]
    line = refused(capsys, *words(given, tmp_path / "other", *more))
    assert ".jpg: expected an image that can be read, found OSError" in line
    assert line.endswith("restore the file, then continue with --resume")
    assert (folder / "model_final.pth").read_bytes() == kept


def test_a_worker_that_dies(data, tmp_path, capsys, monkeypatch):
    def killed(self, record):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(DatasetMapper, "__call__", killed)
    line = refused(capsys, *words(data, tmp_path / "run", "DATALOADER.NUM_WORKERS", "1"))
    assert "a process that loads images was ended" in line
    assert "continue with --resume and fewer DATALOADER.NUM_WORKERS" in line


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(whole, data, tmp_path):
    """A limit on the size of files stands for the full disk: the same failing write."""
    folder = tmp_path / "run"
    run(*words(data, folder, "SOLVER.MAX_ITER", "8"))
    for name in ("record.json", "model_final.pth", "model_0000005.pth", "model_0000007.pth"):
        (folder / name).unlink()
    (folder / "last_checkpoint").write_text("model_0000003.pth")
    kept = (folder / "model_0000003.pth").read_bytes()
    limit = len(kept) // 2
    child = process(
        [*words(data, folder), "--resume"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    _, err = child.communicate(timeout=120)
    assert child.returncode == 1
    (line,) = err.splitlines()
    assert "cannot be written: expected room for the run's files, found File too large" in line
    assert "model_0000003.pth is intact: make room, then continue with --resume" in line
    assert (folder / "model_0000003.pth").read_bytes() == kept
    assert (folder / "last_checkpoint").read_text() == "model_0000003.pth"
    assert sorted(file.name for file in folder.glob("*model*")) == ["model_0000001.pth", "model_0000003.pth"]
    run(*words(data, folder), "--resume")
    assert record_file.read(folder).metrics["bbox"]["AP"] is not None
