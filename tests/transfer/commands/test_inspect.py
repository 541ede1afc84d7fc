import json

import pytest
import torch

from tests.cases.checkpoints import LAYOUTS, Exploit, backbone, network, save_own
from transfer.__main__ import main


def _json(capsys, *arguments):
    code = main(["inspect", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_what_a_released_file_is(tmp_path, capsys):
    torch.save(LAYOUTS["SwAV"](network()), tmp_path / "swav.pth")
    code, content = _json(capsys, tmp_path / "swav.pth")
    assert code == 0
    assert (content["layout"], content["arch"], content["stem"]) == ("SwAV", "resnet18", "imagenet")
    assert (content["found"], content["expected"], content["dtype"]) == (100, 100, ["float32"])
    assert (content["std"], content["normalisation_from"]) == ([0.228, 0.224, 0.225], "layout")
    assert "prototypes.0.weight" in content["dropped"]


def test_lines_for_people(tmp_path, capsys):
    torch.save(LAYOUTS["MoCo v1/v2"](network()), tmp_path / "moco.pth")
    assert main(["inspect", str(tmp_path / "moco.pth")]) == 0
    out = capsys.readouterr().out
    for text in ("MoCo v1/v2", "state_dict/encoder_q.", "resnet18, imagenet stem", "100/100 float32", "std 0.229"):
        assert text in out


def test_a_faulty_file_is_described_and_the_exit_says_so(tmp_path, capsys):
    state = backbone(network())
    state["conv1.weight"] = state["conv1.weight"].half()
    del state["bn1.bias"]
    save_own(tmp_path / "x.safetensors", state)
    code, content = _json(capsys, tmp_path / "x.safetensors")
    assert code == 1
    assert (content["found"], content["expected"], content["dtype"]) == (99, 100, ["float16", "float32"])
    assert len(content["problems"]) == 2
    assert main(["inspect", str(tmp_path / "x.safetensors")]) == 1
    assert "no: 1 missing (bn1.bias)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["x.pth", "x.pkl"])
def test_an_unsafe_file_is_named_and_not_run(tmp_path, capsys, name):
    import pickle

    marker = tmp_path / "ran"
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": Exploit(marker)}))
    torch.save({"a": Exploit(marker)}, tmp_path / "x.pth")
    assert main(["inspect", str(tmp_path / name)]) == 1
    error = capsys.readouterr().err
    assert "not safe to load" in error
    assert "system" in error
    assert not marker.exists()
