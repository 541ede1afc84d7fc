"""A short finished pretraining to copy, damage and go on with, and what to compare afterwards."""

import torch

from pretrain.backbones import load_backbone

SHORT = ["data.workers=0", "schedule.iterations=3", "run.checkpoint_every=1", "method=simclr"]


def same_weights(work, other):
    a, b = (load_backbone(w / "backbone.safetensors")[0].state_dict() for w in (work, other))
    return all(torch.equal(a[k], b[k]) for k in a)


def one_line(capsys):
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("pretrain: ")
    return lines[0]
