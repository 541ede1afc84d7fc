"""From a request to the record: how a run that was ended goes on, and devices that are not there."""

import pytest

from tests.cases.finetuning import SMALL
from transfer.errors import InputError, Interrupted
from transfer.finetuning import finetune
from transfer.finetuning.request import Request


def test_an_interrupt_names_the_checkpoint_or_says_that_there_is_none(tmp_path):
    none = finetune._how_to_go_on(tmp_path, 2)
    assert none == "interrupted before the first checkpoint; nothing was kept: start again"
    assert finetune._how_to_go_on(None, 15).startswith("stopped by SIGTERM before the first checkpoint")
    (tmp_path / "last_checkpoint").write_text("model_0000003.pth")
    assert f"{tmp_path}/model_0000003.pth is saved: continue" in finetune._how_to_go_on(tmp_path, 2)
    assert finetune._how_to_go_on(tmp_path, 9).startswith("stopped by signal 9;")


def test_more_gpus_than_there_are(monkeypatch):
    monkeypatch.setattr(finetune.torch.cuda, "device_count", lambda: 2)
    finetune._check_devices(Request(SMALL, num_gpus=2))
    with pytest.raises(InputError, match="--num-gpus: expected at most 2 on this machine, found 3; ask for fewer"):
        finetune.carry_out(Request(SMALL, num_gpus=3))


def test_an_interrupt_while_planning_is_told_in_one_line(monkeypatch):
    def interrupted(request):
        raise KeyboardInterrupt

    monkeypatch.setattr(finetune.plan, "prepare", interrupted)
    with pytest.raises(Interrupted, match="interrupted before the first checkpoint"):
        finetune.carry_out(Request(SMALL))
