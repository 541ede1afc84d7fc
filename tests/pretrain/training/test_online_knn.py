"""Nearest neighbours during training: what is written, and that the training is not touched."""

import json
import logging

import numpy as np
import pytest
import torch

from pretrain.__main__ import main
from pretrain.backbones import build_backbone
from pretrain.data.sources import find_images
from pretrain.errors import InputError
from pretrain.probes.features import Input
from pretrain.training import online_knn
from pretrain.training.online_knn import OnlineKnn
from pretrain.training.plan import find_checkpoints
from tests.cases.labelled_sets import class_folder

CONFIG = """
method = "byol_compmod"
backbone = dict(arch="resnet18")
objective = dict(bootstrap_widths=(16, 16), predictor_width=16, coding_distortion=0.3)
optimizer = dict(lr=0.01)
schedule = dict(iterations=4, warmup_epochs=0.5)
data = dict(batch=4, workers=0)
views = dict(size=32)
run = dict(log_every=2, checkpoint_every=100)
"""


@pytest.fixture
def data(tmp_path):
    return class_folder(tmp_path / "images", per_class=4)


def pretrain(data, work, *options, resume=False):
    config = work.parent / "tiny.py"
    config.write_text(CONFIG)
    argv = [str(config), "--data", str(data), "--work-dir", str(work), *(["--resume"] if resume else [])]
    return main([*argv, *(["--cfg-options", *options] if options else [])])


def metrics(work):
    return [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]


def state(work):
    return torch.load(find_checkpoints(work / "checkpoints")[-1], weights_only=True)


def test_looking_leaves_the_training_bit_for_bit_as_it_is(data, tmp_path, caplog):
    caplog.set_level(logging.INFO, "pretrain")
    with_look, without = tmp_path / "with", tmp_path / "without"
    assert pretrain(data, with_look, "run.knn_every=1") == 0
    after = torch.get_rng_state()
    assert pretrain(data, without) == 0
    assert torch.equal(after, torch.get_rng_state())
    a, b = state(with_look), state(without)
    assert all(torch.equal(a["state_dict"][k], v) for k, v in b["state_dict"].items())
    assert a["state_dict"].keys() == b["state_dict"].keys()
    timing = {"images_per_second", "data_wait"}
    plain = [{k: v for k, v in line.items() if k not in timing} for line in metrics(without)]
    same = [{k: v for k, v in line.items() if k not in timing} for line in metrics(with_look) if "knn" not in line]
    assert same == plain
    looks = [line for line in metrics(with_look) if "knn" in line]
    assert [line["iteration"] for line in looks] == [3, 4]  # the end of the first epoch, and the last iteration
    assert all(line.keys() == {"iteration", "knn", "knn_standard_error"} for line in looks)
    assert "held-out training images of 3 classes" in caplog.text


def hook(data, **changes):
    paths = find_images(data)
    how = Input(32, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    given = {"every": 1, "root": data, "paths": paths, "how": how, "seed": 0, "batch": 4, "workers": 0}
    return OnlineKnn(**{**given, "out": data / "unused", **changes})


def test_bank_and_query_share_no_image_and_depend_on_the_seed(data):
    splits = [hook(data, seed=seed) for seed in (0, 0, 1)]
    first = splits[0]
    assert not set(first.bank.paths) & set(first.query.paths)
    assert sorted([*first.bank.paths, *first.query.paths]) == find_images(data)
    assert first.query.labels.bincount().tolist() == [1, 1, 1]
    assert [p.parent.name for p in first.query.paths] == [first.classes[k] for k in first.query.labels]
    assert splits[1].query.paths == first.query.paths
    assert splits[2].query.paths != first.query.paths


def test_a_large_set_is_looked_at_in_part(data, monkeypatch):
    monkeypatch.setattr(online_knn, "LARGEST_BANK", 5)
    monkeypatch.setattr(online_knn, "LARGEST_QUERY", 2)
    assert (len(hook(data).bank), len(hook(data).query)) == (5, 2)


def test_colours_are_told_apart_and_unreadable_images_left_out(data):
    watch = hook(data)
    torch.manual_seed(0)
    net = build_backbone("resnet18", "small").train()
    watch.bank.paths[0].write_bytes(b"not an image")
    assert watch.look(net) == {"knn": 100.0, "knn_standard_error": 0.0}
    wrong = (watch.bank.labels + 1) % 3
    watch.bank.labels.copy_(wrong)
    assert watch.look(net)["knn"] == 0
    assert net.training


def test_features_that_are_not_finite_are_said_and_not_scored(data, caplog):
    net = build_backbone("resnet18", "small")
    net.bn1.running_var.fill_(np.nan)
    assert hook(data).look(net) == {}
    assert "finite features" in caplog.text


def test_without_class_folders_nothing_begins(data, tmp_path, capsys):
    assert pretrain(data / "red", tmp_path / "run", "run.knn_every=1") == 1
    line = capsys.readouterr().err.strip()
    assert line.startswith("pretrain: run.knn_every: ")
    assert line.count("\n") == 0
    assert not (tmp_path / "run").exists()
    single = class_folder(tmp_path / "single", per_class=1)
    with pytest.raises(InputError, match="at least two images"):
        hook(single)


def test_a_run_from_before_a_setting_existed_can_be_resumed(data, tmp_path, capsys):
    work = tmp_path / "run"
    assert pretrain(data, work, "schedule.iterations=1") == 0
    saved = work / "run.json"
    old = json.loads(saved.read_text())
    del old["settings"]["run"]["knn_every"]
    saved.write_text(json.dumps(old))
    assert pretrain(data, work, "schedule.iterations=1", resume=True) == 0
    assert pretrain(data, work, "schedule.iterations=1", "run.seed=1", resume=True) == 1
    assert "found others in run.seed (0 then, 1 now)" in capsys.readouterr().err
