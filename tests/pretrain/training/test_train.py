"""Whole trainings through the command line: the file that comes out, exact resume, and every kind of bad input."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from pretrain.__main__ import main
from pretrain.backbones import build_backbone, load_backbone
from pretrain.training.plan import find_checkpoints
from tests.cases.tiny_config import CONFIG

JOINT = ["method=metamask_compmod", "optimizer.name=adamw", "meta.every=2"]


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for k in range(14):
        cv2.imwrite(str(folder / f"{k:02d}.png"), rng.integers(0, 255, (40, 50, 3), np.uint8))
    return folder


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG)
    return path


def pretrain(config, data, work, *options, **flags):
    argv = [str(config), "--data", str(data), "--work-dir", str(work)]
    for flag, value in flags.items():
        argv += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
    return main([*argv, *(["--cfg-options", *options] if options else [])])


def tensors(path):
    return {k: v for k, v in load_backbone(path)[0].state_dict().items() if "num_batches" not in k}


def test_a_run_leaves_weights_that_say_what_they_are(config, data, tmp_path):
    work = tmp_path / "run"
    assert pretrain(config, data, work) == 0
    net, metadata = load_backbone(work / "backbone.safetensors")
    assert metadata["method"] == "metamask"
    assert metadata["settings"]["objective"]["contrastive_widths"] == [16, 16]
    assert (metadata["epoch"], metadata["iteration"], metadata["seed"]) == (2, 6, 0)
    assert metadata["data"]["images"] == 14
    torch.manual_seed(0)  # the weights that the run began with
    assert not torch.equal(net.conv1.weight, build_backbone("resnet18").conv1.weight)
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4, 5, 6]  # ten log points or all
    assert {"loss", "redundancy", "contrastive", "mask_direct", "mask_second_order", "effective_rank"} <= lines[
        -1
    ].keys()
    assert [p.name for p in find_checkpoints(work / "checkpoints")] == [
        "iteration_00000003.pth",
        "iteration_00000006.pth",
    ]


@pytest.mark.parametrize(
    "options",
    [
        ["method=metamask_compmod"],
        ["method=byol_compmod", "objective.bootstrap_widths=(16,16)", "objective.predictor_width=16"],
        JOINT,
        [*JOINT, "views.colour=device", "views.blur=0.5"],
    ],
    ids=["post", "byol", "adamw", "device_colour"],
)
def test_a_resumed_run_ends_bit_for_bit_like_the_uninterrupted_one(config, data, tmp_path, options):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert pretrain(config, data, whole, *options) == 0
    shutil.copytree(whole, cut)
    (cut / "backbone.safetensors").unlink()
    find_checkpoints(cut / "checkpoints")[-1].unlink()  # as if killed between iterations 3 and 6
    assert pretrain(config, data, cut, *options, resume=True) == 0
    a, b = tensors(whole / "backbone.safetensors"), tensors(cut / "backbone.safetensors")
    assert all(torch.equal(a[k], b[k]) for k in a)
    lines = [[json.loads(line) for line in (w / "metrics.jsonl").read_text().splitlines()] for w in (whole, cut)]
    assert [line["iteration"] for line in lines[0]] == [line["iteration"] for line in lines[1]]
    assert [line["loss"] for line in lines[0]] == [line["loss"] for line in lines[1]]
    final = [torch.load(find_checkpoints(w / "checkpoints")[-1], weights_only=True)["state_dict"] for w in (whole, cut)]
    assert all(torch.equal(final[0][k], v) for k, v in final[1].items())


@pytest.mark.parametrize("colour", ["loader", "device"])
def test_the_number_of_workers_changes_nothing(config, data, tmp_path, colour):
    options = [f"views.colour={colour}", "views.blur=0.5", "schedule.iterations=2"]
    runs = [tmp_path / "none", tmp_path / "two"]
    for work, workers in zip(runs, (0, 2), strict=True):
        assert pretrain(config, data, work, f"data.workers={workers}", *options) == 0
    a, b = [tensors(work / "backbone.safetensors") for work in runs]
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_init_starts_from_the_given_weights(config, data, tmp_path):
    assert pretrain(config, data, tmp_path / "a", "schedule.iterations=1") == 0
    source = tmp_path / "a" / "backbone.safetensors"
    still = ["schedule.iterations=1", "optimizer.lr=1e-30", "optimizer.weight_decay=0", "run.seed=5"]
    assert pretrain(config, data, tmp_path / "b", *still, init=source) == 0
    a, b = tensors(source), tensors(tmp_path / "b" / "backbone.safetensors")
    assert all(torch.equal(a[k], b[k]) for k in a if "running" not in k)


def fails(capsys, *args, **kwargs):
    """The one line on stderr of a run that must end with exit code 1."""
    assert pretrain(*args, **kwargs) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("pretrain: ")
    return lines[0]


def test_a_missing_folder_leaves_nothing_behind(config, tmp_path, capsys):
    assert "found no folder" in fails(capsys, config, tmp_path / "nothing", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_processes_need_a_launcher(config, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert "start several processes by torchrun" in fails(capsys, config, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_key_is_named(config, data, tmp_path, capsys):
    assert "did you mean optimizer.lr" in fails(capsys, config, data, tmp_path / "run", "optimizer.lrr=1")
    assert not (tmp_path / "run").exists()


def test_another_run_in_the_folder_is_refused(config, data, tmp_path, capsys):
    assert pretrain(config, data, tmp_path / "run", "schedule.iterations=1") == 0
    before = (tmp_path / "run" / "backbone.safetensors").read_bytes()
    assert "expected no run" in fails(capsys, config, data, tmp_path / "run")
    assert (tmp_path / "run" / "backbone.safetensors").read_bytes() == before


def test_a_work_folder_among_the_images_is_refused(config, data, tmp_path, capsys):
    """Its report's pictures would be images of the next start."""
    for work in (data, data / "runs/a"):
        assert main([str(config), "--data", str(data), "--work-dir", str(work)]) == 1
        assert "--work-dir: expected a folder outside of the images, found" in capsys.readouterr().err
    assert not (data / "runs").exists()


def test_a_folder_in_which_nothing_was_trained_is_taken_again(config, data, tmp_path, capsys):
    fails(capsys, config, data, tmp_path / "run", "optimizer.lr=1e30", "schedule.warmup_epochs=0")
    assert pretrain(config, data, tmp_path / "run", "schedule.iterations=2") == 0
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2]


def test_a_corrupt_image_is_skipped_and_named_and_many_stop_the_run(config, data, tmp_path, capsys, caplog):
    (data / "03.png").write_bytes(b"not an image")
    assert pretrain(config, data, tmp_path / "a", "data.max_unreadable=0.1") == 0
    assert "unreadable image skipped (1 so far)" in caplog.text
    assert "03.png" in caplog.text
    for k in range(4, 9):
        (data / f"{k:02d}.png").write_bytes(b"")
    assert "too many unreadable images" in fails(capsys, config, data, tmp_path / "b", "data.max_unreadable=0.1")
    assert not (tmp_path / "b" / "backbone.safetensors").exists()


def test_a_diverging_loss_stops_with_the_files_named(config, data, tmp_path, capsys):
    line = fails(capsys, config, data, tmp_path / "run", "optimizer.lr=1e30", "schedule.warmup_epochs=0")
    assert "the loss became" in line
    assert ".png" in line


def test_init_of_another_architecture_is_refused(config, data, tmp_path, capsys):
    assert pretrain(config, data, tmp_path / "a", "schedule.iterations=1") == 0
    source = tmp_path / "a" / "backbone.safetensors"
    line = fails(capsys, config, data, tmp_path / "b", "backbone.arch=resnet34", init=source)
    assert "expected 180 tensors, found 80 missing" in line
    assert not (tmp_path / "b").exists()


def test_init_brings_its_normalisation(config, data, tmp_path, caplog):
    caplog.set_level("INFO")
    options = ("schedule.iterations=1", "data.mean=(0.5,0.5,0.5)", "data.std=(0.25,0.25,0.25)")
    assert pretrain(config, data, tmp_path / "a", *options) == 0
    source = tmp_path / "a" / "backbone.safetensors"
    assert pretrain(config, data, tmp_path / "b", "schedule.iterations=1", init=source) == 0
    assert "data.mean and data.std are (0.5, 0.5, 0.5)" in caplog.text
    assert load_backbone(tmp_path / "b" / "backbone.safetensors")[1]["mean"] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("flags", [[], ["--resume"]])
def test_a_place_that_cannot_be_written_to_is_seen_first(config, data, tmp_path, capsys, flags):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "run", "/proc/run"):
        assert main([str(config), "--data", str(data), "--work-dir", str(place), *flags]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"pretrain: --work-dir: expected a folder that can be written to, found {place} (")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard", "metrics.jsonl", "run.json", "mask.json"])
def test_something_else_in_a_files_place_is_one_line(config, data, tmp_path, capsys, name):
    """A folder where a file belongs, or a file where a folder belongs."""
    (tmp_path / "run").mkdir()
    if "." in name:
        (tmp_path / "run" / name).mkdir()
    else:
        (tmp_path / "run" / name).write_text("mine")
    line = fails(capsys, config, data, tmp_path / "run", "schedule.iterations=1")
    assert name in line


def test_both_forms_of_the_command_are_one(config, data, tmp_path):
    argv = [str(config), "--data", str(data), "--cfg-options", "schedule.iterations=1", "method=simclr"]
    assert main([*argv, "--work-dir", str(tmp_path / "a")]) == main(["train", *argv, "--work-dir", str(tmp_path / "b")])
    a, b = (tensors(tmp_path / name / "backbone.safetensors") for name in "ab")
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_config_is_a_program_and_what_it_raises_is_one_line(data, tmp_path, capsys):
    for text in ("import nothing_of_that_name", "1 / 0", "raise RuntimeError('two\\nlines')", "x = ("):
        (tmp_path / "bad.py").write_text(text)
        assert "bad.py cannot be read: " in fails(capsys, tmp_path / "bad.py", data, tmp_path / "run")
