"""``python -m transfer convert``: what it writes and prints, and its exit codes."""

import os

import torch
import yaml

from tests.cases.checkpoints import LAYOUTS, assert_same, backbone, network, to_detectron2_by_hand
from transfer.__main__ import main
from transfer.checkpoints.checkpoint import read, read_converted_metadata


def test_detectron2_file_and_overlay(own, tmp_path, capsys):
    path, state = own
    out = tmp_path / "x.pth"
    assert main(["convert", str(path), "--to", "detectron2", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("100/100 tensors") == 2
    assert "res5 (RoI head)" in printed
    content = torch.load(out, weights_only=True)
    assert content["matching_heuristics"] is True
    assert_same(content["model"], {to_detectron2_by_hand(name): tensor for name, tensor in state.items()})
    assert content["metadata"]["source"]["layout"] == "backbone.safetensors"
    assert read_converted_metadata(out) == content["metadata"]
    overlay = yaml.safe_load((tmp_path / "x.yaml").read_text())
    assert overlay["INPUT"]["FORMAT"] == "RGB"
    assert overlay["MODEL"]["PIXEL_STD"] == [58.395, 57.12, 57.375]
    assert overlay["MODEL"]["RESNETS"]["RES2_OUT_CHANNELS"] == 64
    assert sorted(os.listdir(tmp_path)) == ["x.pth", "x.yaml"]


def test_command_line_converts_a_foreign_layout(tmp_path, capsys):
    model = network()
    wanted = backbone(model)
    torch.save(LAYOUTS["SwAV"](model), tmp_path / "swav.pth")
    assert (
        main(
            [
                "convert",
                str(tmp_path / "swav.pth"),
                "--to",
                "detectron2",
                "--head",
                "fpn",
                "--out",
                str(tmp_path / "x.pth"),
            ]
        )
        == 0
    )
    overlay = yaml.safe_load((tmp_path / "x.yaml").read_text())
    assert overlay["MODEL"]["PIXEL_STD"][0] == 58.14  # 0.228 * 255, SwAV's own
    assert_same(read(tmp_path / "x.pth").state, wanted)
    assert "SwAV" in capsys.readouterr().out
