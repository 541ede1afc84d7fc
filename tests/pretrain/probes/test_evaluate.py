"""The command on coloured images: the record it writes, what it may not look at, and every kind of bad input."""

import json

import pytest
import safetensors.torch

from pretrain.__main__ import main
from pretrain.backbones import FORMAT, build_backbone
from tests.cases.evaluations import ABOUT, fails, record


def test_an_existing_record_is_replaced_only_by_force(weights, data, tmp_path, capsys):
    out = tmp_path / "r.json"
    out.write_text("mine")
    assert "add --force" in fails(capsys, weights, data, out, "knn")
    assert record(weights, data, out, "knn", "--force")["schema"] == "pretrain.evaluation/1"


@pytest.mark.parametrize(
    ("protocol", "options", "message"),
    [
        ("knn", ["--k", 0], "--k: expected a whole number from 1 to"),
        ("knn", ["--k", 19], "--k: expected at most the 18 images"),
        ("knn", ["--temperature", 0], "--temperature: expected a number from 1e-06"),
        ("knn", ["--weight-decays", 1], "--weight-decays: expected only with --protocol linear or objects"),
        ("linear", ["--k", 5], "--k: expected only with --protocol knn or objects"),
        ("linear", ["--weight-decays", -1], "--weight-decays: expected 1 to 100 numbers"),
        ("knn", ["--size", 32, "--resize", 16], "--resize: expected at least"),
        ("knn", ["--size", 2], "--size: expected a whole number from 8 to 4096"),
        ("knn", ["--size", 10**8], "--size: expected a whole number from 8 to 4096"),
        ("knn", ["--resize", 10**8], "--resize: expected a whole number from 8 to 4096"),
        ("knn", ["--seed", 10**25], "--seed: expected a whole number from 0 to 4294967295"),
        ("knn", ["--batch", 10**25], "--batch: expected a whole number from 1 to"),
        ("knn", ["--workers", 10**6], "--workers: expected a whole number from 0 to 1024"),
        ("knn", ["--device", "nonsense"], "--device: expected a device"),
        ("knn", ["--device", "meta"], "--device: expected a device that is here, found meta"),
        ("knn", ["--query", "nowhere"], "found no folder at nowhere"),
        ("knn", ["--masked"], "--masked: expected mask.json beside"),
        ("linear", ["--masked"], "--masked: expected --protocol knn"),
    ],
)
def test_bad_arguments_are_one_line(weights, data, tmp_path, capsys, protocol, options, message):
    assert message in fails(capsys, weights, data, tmp_path / "r.json", protocol, *options)


def test_bad_weights_are_one_line(data, tmp_path, capsys):
    out = tmp_path / "r.json"
    assert "found nothing at" in fails(capsys, tmp_path / "no.safetensors", data, out, "knn")
    assert "expected one of resnet18" in fails(capsys, "random:vgg", data, out, "knn", "--size", 16)
    assert "--size: expected the side" in fails(capsys, "random:resnet18", data, out, "knn")
    net = build_backbone("resnet18")
    net.conv1.weight.data.fill_(float("nan"))
    tensors = {k: v for k, v in net.state_dict().items() if "num_batches" not in k}
    about = {"format": FORMAT, **ABOUT, "stem": "imagenet"}
    header = {k: v if isinstance(v, str) else json.dumps(v) for k, v in about.items()}
    safetensors.torch.save_file(tensors, tmp_path / "nan.safetensors", metadata=header)  # `save_backbone` refuses it
    assert "expected finite features" in fails(capsys, tmp_path / "nan.safetensors", data, out, "knn", "--size", 32)


def test_training_keeps_its_own_command_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["config.py"])
    assert stop.value.code == 2
    assert "--work-dir" in capsys.readouterr().err
