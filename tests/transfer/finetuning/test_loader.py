"""Batches, what cannot be read in them, and processes that end early."""

import os
import random
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.cases.finetuning import refused, words
from transfer.errors import InputError
from transfer.finetuning.loader import Loader, Unreadable
from transfer.finetuning.mapper import Mapper

ENTRIES = [{"file_name": f"{k}.png", "k": k} for k in range(4)]


def loader(entries, **options):
    return Loader(DataLoader(entries, batch_size=2, collate_fn=list, **options))


def test_batches_and_the_names_of_the_last_ones_images():
    ours = loader(ENTRIES)
    assert len(ours) == 2
    files = []
    for batch in ours:
        files.append(ours.files)
        assert [entry["file_name"] for entry in batch] == ours.files
    assert files == [["0.png", "1.png"], ["2.png", "3.png"]]


def test_an_image_that_cannot_be_read_ends_the_batches_in_one_line():
    batches = iter(loader([*ENTRIES[:2], Unreadable("b.png", "no image"), ENTRIES[3]]))
    assert len(next(batches)) == 2
    with pytest.raises(InputError, match=r"b\.png: expected an image that can be read, found no image; restore"):
        next(batches)


def test_reading_draws_nothing_from_the_models_random_numbers():
    class Drawing(list):
        def __getitem__(self, k):
            torch.rand(1), np.random.rand(), random.random()
            return super().__getitem__(k)

    def drawn():
        return torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()

    def seed():
        torch.manual_seed(0), np.random.seed(0), random.seed(0)

    seed()
    expected = drawn()
    seed()
    list(loader(Drawing(ENTRIES)))
    assert drawn() == expected


def test_closing_ends_the_loading_processes():
    ours = loader(ENTRIES, num_workers=1)
    next(iter(ours))
    (worker,) = ours._batches._workers
    ours.close()
    worker.join(60)
    assert not worker.is_alive()


def test_a_mapper_that_fails_in_a_loading_process_is_one_line(data, tmp_path, capsys, monkeypatch):
    def failing(self, record):
        raise KeyError("instances")

    monkeypatch.setattr(Mapper, "made_ready", failing)
    line = refused(capsys, *words(data, tmp_path / "run", "DATALOADER.NUM_WORKERS", "1"))
    assert ".png: expected an image that can be read, found KeyError: 'instances'" in line


def test_a_worker_that_dies(data, tmp_path, capsys, monkeypatch):
    def killed(self, record):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Mapper, "made_ready", killed)
    line = refused(capsys, *words(data, tmp_path / "run", "DATALOADER.NUM_WORKERS", "1"))
    assert "a process that loads images was ended" in line
    assert "continue with --resume and fewer DATALOADER.NUM_WORKERS" in line
