"""``python -m transfer doctor``: what it prints, and its exit codes."""

import torch

from tests.cases.checkpoints import LAYOUTS, backbone, network, save_own
from tests.cases.detector_configs import write_config
from transfer.__main__ import main
from transfer.checkpoints.checkpoint import read
from transfer.conversion.convert import convert


def test_command_line_and_exit_codes(tmp_path, capsys):
    (tmp_path / "ok").mkdir()
    assert main(["doctor"]) == 0
    assert main(["doctor", "--config-file", str(write_config(tmp_path / "ok"))]) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out
    warned = write_config(tmp_path, ("FREEZE_AT: 0", "FREEZE_AT: 2"))
    assert main(["doctor", "--config-file", str(warned), "--classes", "80"]) == 0
    assert "0 errors, 1 warnings" in capsys.readouterr().out
    assert main(["doctor", "--config-file", str(warned), "--classes", "3"]) == 0
    assert main(["doctor", "--config-file", str(warned), "--classes", "3", "--stock", "--gpus", "1"]) == 1
    assert main(["doctor", "--classes", "0"]) == 1
    assert main(["doctor", "--config-file", str(tmp_path / "absent.yaml")]) == 1


def test_weights_are_read_and_compared(tmp_path, capsys):
    own = save_own(tmp_path / "b.safetensors", backbone(network()))
    convert(read(own), "detectron2", tmp_path / "d.pth")
    config = write_config(tmp_path)
    assert main(["doctor", "--config-file", str(config), "--weights", str(tmp_path / "d.pth")]) == 1
    assert "MODEL.RESNETS.DEPTH: expected 18" in capsys.readouterr().out
    for name, content in (
        ("moco.pth", LAYOUTS["MoCo v1/v2"](network())),
        ("cut.pth", {"model": {"stem.conv1.weight": torch.ones(1)}}),
    ):
        torch.save(content, tmp_path / name)
        assert main(["doctor", "--weights", str(tmp_path / name)]) == 1
        assert "error: weights:" in capsys.readouterr().out
