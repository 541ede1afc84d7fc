import json

import pytest
import torch

from transfer.errors import InputError
from transfer.reporting import curves


def write(folder, name, entries):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return folder


def test_finetuning_curves(tmp_path):
    entries = [{"iteration": i, "total_loss": 10.0 - i} for i in range(4)]
    entries += [{"iteration": 2, "total_loss": 5.0}]  # resumed: the later value counts
    entries += [{"iteration": 3, "bbox/AP": 4.0, "segm/AP": float("nan")}, {"iteration": 4, "bbox/AP": 6.0}]
    found = curves.finetuning(write(tmp_path, "metrics.json", entries))
    assert found.loss == ((0, 10), (1, 9), (2, 5), (3, 7))
    assert found.ap == {"bbox": ((3, 4), (4, 6))}
    assert curves.finetuning(tmp_path / "nowhere") is None


def test_long_curves_are_thinned_to_means():
    points = tuple((float(i), float(i % 2)) for i in range(1000))
    found = curves.thin(points)
    assert len(found) <= curves.MOST_POINTS
    assert found[0] == (4.0, pytest.approx(4 / 9))


def test_pretraining_curves_and_the_mask(tmp_path):
    folder = write(tmp_path / "run", "metrics.jsonl", [{"iteration": 20, "loss": 3.0}, {"iteration": 40, "loss": 2.0}])
    assert curves.pretraining(folder) == curves.Pretraining("run", "", {"loss": ((20, 3), (40, 2))}, ())
    (folder / "settings.json").write_text('{"method": "metamask"}')
    (folder / "checkpoints").mkdir()
    for number, value in ((20, 9.0), (40, 0.0)):
        state = {"state_dict": {"objective.mask.logits": torch.full((3,), value)}}
        torch.save(state, folder / f"checkpoints/iteration_{number:08d}.pth")
    found = curves.pretraining(folder)
    assert (found.method, found.mask) == ("metamask", (0.5, 0.5, 0.5))  # of the last checkpoint


def test_files_that_are_something_else_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"metrics.jsonl is missing: expected a pretraining run"):
        curves.pretraining(tmp_path)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match="expected one JSON object a line"):
        curves.finetuning(tmp_path)
    (tmp_path / "metrics.json").write_text("[1]\n")
    with pytest.raises(InputError, match="line 1: expected an object with iteration"):
        curves.finetuning(tmp_path)
