"""Checkpoints appear whole or not at all; the log of metrics goes on where the last of them was made."""

import json

import pytest
import torch
from torch import nn

from transfer.finetuning import checkpointer
from transfer.finetuning.checkpointer import AtomicCheckpointer


def test_a_checkpoint_is_read_back_with_all_its_parts(tmp_path):
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    ours = AtomicCheckpointer(model, str(tmp_path), optimizer=optimizer)
    ours.save("model_0000004", iteration=4)
    assert checkpointer.last(tmp_path) == "model_0000004.pth"
    content = torch.load(tmp_path / "model_0000004.pth", weights_only=True)
    assert content["iteration"] == 4
    assert content["optimizer"]["param_groups"][0]["lr"] == 0.5
    assert torch.equal(content["model"]["weight"], model.weight)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last_checkpoint", "model_0000004.pth"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    ours = AtomicCheckpointer(nn.Linear(3, 2), str(tmp_path))
    ours.save("model_0000001", iteration=1)

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpointer.atomic, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        ours.save("model_0000002", iteration=2)
    assert checkpointer.last(tmp_path) == "model_0000001.pth"
    assert not (tmp_path / "model_0000002.pth").exists()


def test_no_checkpoint(tmp_path):
    assert checkpointer.last(tmp_path) is None


def test_the_metrics_of_iterations_that_come_again_are_removed(tmp_path):
    lines = [json.dumps({"iteration": k, "loss": 1.0}) for k in (1, 3, 5, 7)]
    (tmp_path / "metrics.json").write_text("\n".join([*lines, '{"iteration": 9, "lo']))
    (tmp_path / ".model_0000007.pth.abc").write_text("half")
    (tmp_path / "last_checkpoint").write_text("model_0000005.pth")
    checkpointer.tidy(tmp_path)
    rows = [json.loads(line)["iteration"] for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert rows == [1, 3, 5]
    assert not list(tmp_path.glob(".model*"))
    (tmp_path / "last_checkpoint").write_text("model_final.pth")
    checkpointer.tidy(tmp_path)
    assert len((tmp_path / "metrics.json").read_text().splitlines()) == 3  # a finished run's are all its own
