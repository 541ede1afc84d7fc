"""Whole images told apart: the record of each protocol, and what it may not look at."""

import hashlib
import json

import numpy as np
import pytest
import torch

from pretrain.backbones import build_backbone, save_backbone
from pretrain.data.sources import find_images, fingerprint
from pretrain.mask_file import FILE
from pretrain.probes import pictures
from pretrain.versions import package_version
from tests.cases.evaluations import ABOUT, fails, record
from tests.cases.labelled_sets import cifar10, class_folder


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


def test_an_unreadable_image_is_named_instead_of_left_out(weights, tmp_path, capsys):
    class_folder(tmp_path / "train", per_class=2)
    broken = class_folder(tmp_path / "test", per_class=2, seed=1) / "red" / "0.png"
    broken.write_bytes(b"not an image")
    line = fails(capsys, weights, tmp_path, tmp_path / "r.json", "knn")
    assert "found 1 that are not" in line
    assert str(broken) in line
