"""Fine-tuning that is killed, diverges, or meets a broken file, a dead worker or a full disk."""

import resource
import signal
from pathlib import Path

import pytest
from PIL import Image

from tests.cases.coco_sets import edit, write_coco
from tests.cases.finetuning import process, refused, run, words
from transfer.errors import Interrupted
from transfer.finetuning import batches
from transfer.finetuning.loader import Unreadable
from transfer.records import record_file


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


def test_a_signal_before_the_first_checkpoint_promises_nothing(data, tmp_path, capsys, monkeypatch):
    def stopped(cfg, part):
        raise Interrupted("interrupted", signal.SIGTERM)

    monkeypatch.setattr(batches, "train_set", stopped)
    capsys.readouterr()
    run(*words(data, tmp_path / "run"), expected=143)
    (line,) = capsys.readouterr().err.splitlines()
    assert "stopped by SIGTERM before the first checkpoint; nothing was kept: start again" in line


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
