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
from PIL import Image

from tests.cases.coco_sets import edit, write_coco
from tests.cases.finetuning import SMALL, TINY, refused, run
from transfer.errors import InputError, Interrupted
from transfer.finetuning import batches
from transfer.finetuning.loader import Unreadable
from transfer.finetuning.mapper import Mapper
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


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_stop_saves_and_goes_on_like_one_that_was_not(whole, data, tmp_path, signum):
    """The signal goes to the loading processes too, as a terminal and a queue send it."""
    folder = tmp_path / "run"
    # Checkpoints are far apart: what is saved is saved because of the signal.
    seldom = ["SOLVER.CHECKPOINT_PERIOD", "100"]
    child = process(words(data, folder, *WORKERS, *seldom), start_new_session=True)
    deadline = time.monotonic() + 300
    while "Starting training" not in (folder / "log.txt").read_text() if (folder / "log.txt").is_file() else True:
        assert time.monotonic() < deadline
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)
    os.killpg(child.pid, signum)
    _, err = child.communicate(timeout=300)
    assert child.returncode == 128 + signum
    (line,) = err.splitlines()
    last = (folder / "last_checkpoint").read_text()
    assert f"{folder}/{last} is saved: continue with the same arguments and --resume" in line
    assert not (folder / "record.json").exists()
    run(*words(data, folder, *WORKERS, *seldom), "--resume")
    assert same(final(folder)["model"], final(whole)["model"])
    assert record_file.read(folder).metrics == record_file.read(whole).metrics


def test_a_signal_before_the_first_checkpoint_promises_nothing(data, tmp_path, capsys, monkeypatch):
    def stopped(cfg, part):
        raise Interrupted("interrupted", signal.SIGTERM)

    monkeypatch.setattr(batches, "train_set", stopped)
    capsys.readouterr()
    run(*words(data, tmp_path / "run"), expected=143)
    (line,) = capsys.readouterr().err.splitlines()
    assert "stopped by SIGTERM before the first checkpoint; nothing was kept: start again" in line


def test_a_start_that_fails_leaves_its_folder_free(data, tmp_path, capsys, monkeypatch):
    def broken(cfg, part):
        raise InputError("one.png: expected an image")

    with monkeypatch.context() as patch:
        patch.setattr(batches, "train_set", broken)
        assert "one.png: expected an image" in refused(capsys, *words(data, tmp_path / "run"))
    short = ["SOLVER.MAX_ITER", "1", "SOLVER.STEPS", "()"]
    run(*words(data, tmp_path / "run"), *short)  # the same folder, without --resume
    assert record_file.read(tmp_path / "run").schedule.max_iter == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_the_last_statistics_is_the_one_that_is_said(data, tmp_path, capsys, monkeypatch, workers):
    """Not that of an evaluation afterwards, in which fvcore's hooks are still on the model."""
    original = batches.Mapped.__getitem__

    def unreadable(self, place):
        position = place[0] if isinstance(place, tuple) else place
        if position >= 2:  # beyond the only batch that is trained on: what the statistics are taken of
            return Unreadable("b.png", "KeyError: no such chunk")
        return original(self, place)

    monkeypatch.setattr(batches.Mapped, "__getitem__", unreadable)
    few = ["SOLVER.MAX_ITER", "1", "SOLVER.STEPS", "()", "TEST.PRECISE_BN.NUM_ITER", "4"]
    line = refused(capsys, *words(data, tmp_path / "run", *few, "DATALOADER.NUM_WORKERS", workers))
    assert "b.png: expected an image that can be read, found KeyError: no such chunk" in line


def test_a_mapper_that_fails_in_a_loading_process_is_one_line(data, tmp_path, capsys, monkeypatch):
    def failing(self, record):
        raise KeyError("instances")

    monkeypatch.setattr(Mapper, "__call__", failing)
    line = refused(capsys, *words(data, tmp_path / "run", "DATALOADER.NUM_WORKERS", "1"))
    assert ".png: expected an image that can be read, found KeyError: 'instances'" in line


def test_a_dry_run_checks_and_writes_nothing(data, tmp_path, capsys):
    run(*words(data, tmp_path / "run"), "--dry-run")
    shown = capsys.readouterr().out
    assert "dry run: everything that can be checked beforehand is right (8 iterations of 2 images" in shown
    assert "resume" not in shown
    assert not (tmp_path / "run").exists()
    assert "expected 2" in refused(capsys, *words(data, tmp_path / "run", "MODEL.ROI_HEADS.NUM_CLASSES", "7"))


def test_a_worker_that_dies(data, tmp_path, capsys, monkeypatch):
    def killed(self, record):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Mapper, "__call__", killed)
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
