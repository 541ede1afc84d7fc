"""The command on coloured images: the record it writes, what it may not look at, and every kind of bad input."""

import hashlib
import json

import numpy as np
import pytest
import safetensors.torch
import torch

from pretrain.__main__ import main
from pretrain.backbones import FORMAT, build_backbone, save_backbone
from pretrain.data.sources import find_images, fingerprint
from pretrain.mask_file import FILE
from pretrain.probes import pictures
from pretrain.versions import package_version
from tests.cases.labelled_sets import cifar10, class_folder

ABOUT = {
    "arch": "resnet18",
    "stem": "small",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "channel_order": "RGB",
    "method": "metamask",
    "settings": {"views": {"size": 16}},
    "epoch": 3,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    class_folder(root / "train")
    class_folder(root / "val", per_class=4, seed=1)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    torch.manual_seed(0)
    save_backbone(path, build_backbone("resnet18", "small"), ABOUT)
    return path


def evaluated(weights, data, out, protocol, *options):
    """The command's exit code."""
    argv = ["evaluate", str(weights), "--data", str(data), "--protocol", protocol, "--out", str(out), "--device", "cpu"]
    return main([*argv, *map(str, options)])


def record(*args):
    assert evaluated(*args) == 0
    return json.loads(args[2].read_text())


def test_knn_writes_a_record_that_says_everything(weights, data, tmp_path):
    content = record(weights, data, tmp_path / "new" / "knn.json", "knn", "--k", 3)
    assert content["schema"] == "pretrain.evaluation/1"
    assert content["weights"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (content["weights"]["method"], content["weights"]["epoch"]) == ("metamask", 3)
    protocol = content["protocol"]
    assert (protocol["name"], protocol["k"], protocol["temperature"]) == ("knn", 3, 0.07)
    assert (protocol["size"], protocol["resize"], protocol["mean"]) == (16, 16, [0.5, 0.5, 0.5])
    assert [content["data"][s]["n"] for s in ("train", "test")] == [18, 12]
    assert content["data"]["test"]["classes"] == ["blue", "green", "red"]
    for split, folder in (("train", data / "train"), ("test", data / "val")):
        assert content["data"][split]["fingerprint"] == fingerprint(folder, find_images(folder))
    # plain colours are told apart even by random weights
    assert content["results"]["top1"] == {"accuracy": 100, "standard_error": 0, "correct": 12, "n": 12}
    assert content["results"]["majority_top1"]["accuracy"] == 100
    assert content["results"].keys() == {"top1", "majority_top1"}
    assert 1 <= content["effective_rank"]["value"] <= 12
    assert content["effective_rank"]["width"] == 512
    assert content["versions"]["torch"] == package_version("torch")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["knn.json"]


def test_linear_chooses_its_weight_decay_on_train_and_reads_the_test_split_once_and_last(
    weights, data, tmp_path, monkeypatch
):
    looked_at = []
    extract, validate = pictures.extract_features, pictures.validate_weight_decays

    def watched(backbone, images, *args, **kwargs):
        looked_at.append(images.source)
        return extract(backbone, images, *args, **kwargs)

    def choosing(features, labels, *args, **kwargs):
        looked_at.append(len(features))
        return validate(features, labels, *args, **kwargs)

    monkeypatch.setattr(pictures, "extract_features", watched)
    monkeypatch.setattr(pictures, "validate_weight_decays", choosing)
    content = record(weights, data, tmp_path / "linear.json", "linear", "--weight-decays", 1e-3, 1e-2, 0.1)
    assert looked_at == [str(data / "train"), 18, str(data / "val")]
    assert content["results"]["top1"]["accuracy"] == 100
    assert content["protocol"]["weight_decay"] == 0.1  # all separate the colours: the most regularised one
    assert [v["weight_decay"] for v in content["protocol"]["validation"]] == [0.1, 1e-2, 1e-3]
    assert content["protocol"]["largest_gradient"] < 1e-3


def test_random_weights_are_a_baseline(data, tmp_path):
    content = record("random:resnet18", data, tmp_path / "r.json", "knn", "--size", 32, "--resize", 40)
    assert (content["weights"]["stem"], content["weights"]["sha256"]) == ("imagenet", None)
    assert (content["protocol"]["size"], content["protocol"]["resize"]) == (32, 40)


def test_cifar_gives_top_5_as_well(weights, tmp_path, monkeypatch):
    cifar10(tmp_path, monkeypatch)
    content = record(weights, tmp_path, tmp_path / "c.json", "knn")
    top1, top5 = content["results"]["top1"], content["results"]["top5"]
    assert top1["n"] == top5["n"] == 4
    assert top1["correct"] <= top5["correct"]
    p = top5["accuracy"] / 100
    assert top5["standard_error"] == pytest.approx(100 * np.sqrt(p * (1 - p) / 4))


@pytest.mark.gpu
@pytest.mark.parametrize("protocol", ["knn", "linear"])
def test_a_gpu_gives_the_same_result(weights, data, tmp_path, protocol):
    here = record(weights, data, tmp_path / "cpu.json", protocol)
    there = record(weights, data, tmp_path / "gpu.json", protocol, "--device", "cuda")
    assert there["results"] == here["results"]
    assert there["effective_rank"]["value"] == pytest.approx(here["effective_rank"]["value"], rel=0.02)


def fails(capsys, *args):
    """The one line on stderr of a command that must end with exit code 1 and write nothing."""
    before = args[2].read_text() if args[2].exists() else None
    assert evaluated(*args) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("pretrain: ")
    assert (args[2].read_text() if args[2].exists() else None) == before
    return lines[0]


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


def test_random_weights_are_judged_with_statistics_of_the_training_images(data, tmp_path):
    """As any trained network has them; unset ones make it another network."""
    made = [
        record(f"random:resnet18{end}", data, tmp_path / f"{k}.json", "knn", "--size", 32)
        for k, end in enumerate(("", ":as-is"))
    ]
    assert made[0]["weights"]["statistics"] == {"images": str(data / "train"), "n": 18}
    assert "statistics" not in made[1]["weights"]
    assert made[0]["effective_rank"]["value"] != pytest.approx(made[1]["effective_rank"]["value"], rel=0.05)


def test_masked_features_are_judged_under_the_mask(data, tmp_path):
    """A mask with one open dimension leaves a rank of 1."""
    path, mask = tmp_path / "b.safetensors", [0.0] * 511 + [1.0]
    torch.manual_seed(0)
    save_backbone(path, build_backbone("resnet18", "small"), {**ABOUT, "iteration": 9})
    (tmp_path / FILE).write_text(json.dumps({9: mask}))
    plain, masked = (record(path, data, tmp_path / f"{len(o)}.json", "knn", *o) for o in ([], ["--masked"]))
    assert "h ⊙ M" in masked["protocol"]["features"]
    assert "without a mask" in plain["protocol"]["features"]
    assert masked["effective_rank"]["value"] == pytest.approx(1)
    assert plain["effective_rank"]["value"] > 1.5


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


def test_an_unreadable_image_is_named_instead_of_left_out(weights, tmp_path, capsys):
    class_folder(tmp_path / "train", per_class=2)
    broken = class_folder(tmp_path / "test", per_class=2, seed=1) / "red" / "0.png"
    broken.write_bytes(b"not an image")
    line = fails(capsys, weights, tmp_path, tmp_path / "r.json", "knn")
    assert "found 1 that are not" in line
    assert str(broken) in line


def test_training_keeps_its_own_command_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["config.py"])
    assert stop.value.code == 2
    assert "--work-dir" in capsys.readouterr().err
