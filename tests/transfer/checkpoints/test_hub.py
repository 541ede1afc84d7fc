"""``hf:ORG/NAME[@REVISION][/FILE]`` against huggingface_hub itself: its cache without a network, and a local server."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save

from tests.cases.checkpoints import assert_same, backbone, network
from tests.cases.hub import COMMIT, serve, write_cache
from transfer.__main__ import main
from transfer.checkpoints import hub
from transfer.checkpoints.checkpoint import examine, read
from transfer.errors import CheckpointError, InputError

ROOT = Path(__file__).parents[3]
STATE = backbone(network())


def safetensors(state=STATE):
    return save(state)


def pickled(state=STATE):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def as_json(**content):
    return json.dumps(content).encode()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub's, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf:org/name", ("org/name", "main", None)),
        ("hf:org/name@v1.0", ("org/name", "v1.0", None)),
        ("hf:org/na.me-2/sub/x.pth", ("org/na.me-2", "main", "sub/x.pth")),
        ("hf:org/name@abc/x@2.pth", ("org/name", "abc", "x@2.pth")),
    ],
)
def test_an_address_has_a_repository_a_revision_and_a_file(text, expected):
    address = hub.parse(text)
    assert (address.repository, address.revision, address.file) == expected


@pytest.mark.parametrize("text", ["hf:", "hf:name", "hf:org/", "hf:org/name@", "hf:org/name@a@b", "hf:../name x"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InputError, match="names no repository: expected hf:ORG/NAME"):
        hub.parse(text)


CHOICES = [
    (["model.safetensors", "pytorch_model.bin"], "model.safetensors"),
    (["pytorch_model.bin", "weights.safetensors"], "weights.safetensors"),
    (["a.safetensors", "b.safetensors", "model.safetensors"], "model.safetensors"),
    (["a.pth", "pytorch_model.bin", "README.md"], "pytorch_model.bin"),
    (["README.md", "dino_resnet50_pretrain.pth"], "dino_resnet50_pretrain.pth"),
]


@pytest.mark.parametrize(("names", "chosen"), CHOICES)
def test_which_file_is_taken(cache, names, chosen):
    write_cache(cache, "org/name", {name: name.encode() for name in names})
    fetched = hub.fetch("hf:org/name")
    assert fetched.path.read_bytes() == chosen.encode()
    assert fetched.name == f"hf:org/name@{COMMIT}/{chosen}"


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (["a.safetensors", "b.safetensors", "pytorch_model.bin"], "a.safetensors, b.safetensors; name one"),
        (["a.pth", "b.ckpt"], r"a\.pth, b\.ckpt; name one: hf:org/name@main/a\.pth"),
        (["README.md"], "expected a checkpoint, found README.md"),
    ],
)
def test_no_file_is_guessed(cache, names, listed):
    """Several safetensors files are no reason to take the pickle beside them."""
    write_cache(cache, "org/name", {name: name.encode() for name in names})
    with pytest.raises(InputError, match=listed):
        hub.fetch("hf:org/name")


def test_a_file_that_is_named_is_taken_and_one_that_is_not_there_is_refused(cache):
    write_cache(cache, "org/name", {"model.safetensors": b"1", "old/x.pth": b"2"})
    assert hub.fetch("hf:org/name/old/x.pth").path.read_bytes() == b"2"
    with pytest.raises(InputError, match=r"expected the file x\.pth, found model\.safetensors, old/x\.pth"):
        hub.fetch("hf:org/name/x.pth")


def test_a_revision_and_a_commit_lead_to_their_own_files(cache):
    other = COMMIT[::-1]
    write_cache(cache, "org/name", {"model.safetensors": b"main"})
    write_cache(cache, "org/name", {"model.safetensors": b"old"}, "v1", other)
    assert hub.fetch("hf:org/name@v1").path.read_bytes() == b"old"
    assert hub.fetch(f"hf:org/name@{COMMIT}").path.read_bytes() == b"main"
    with pytest.raises(InputError, match=r"hf:org/name@v2: expected the hub or a copy in its cache, found neither"):
        hub.fetch("hf:org/name@v2")


def test_without_network_and_cache_it_is_one_line(cache):
    cache.rmdir()
    with pytest.raises(InputError, match="found neither") as error:
        hub.fetch("hf:org/name")
    assert "\n" not in str(error.value)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match="pip install huggingface_hub"):
        hub.fetch("hf:org/name")


def test_the_weights_are_those_of_the_file_and_the_source_names_the_commit(cache):
    write_cache(
        cache, "org/name", {"model.safetensors": safetensors(), "config.json": as_json(architecture="resnet18")}
    )
    checkpoint = read("hf:org/name")
    assert_same(checkpoint.state, STATE)
    assert checkpoint.metadata["source"]["file"] == f"hf:org/name@{COMMIT}/model.safetensors"
    assert (checkpoint.origin, checkpoint.doubts) == ("layout", [])


@pytest.mark.parametrize(
    "files",
    [
        {"config.json": as_json(architecture="resnet18", pretrained_cfg={"mean": [0.5] * 3, "std": [0.25] * 3})},
        {"preprocessor_config.json": as_json(image_mean=[0.5] * 3, image_std=[0.25] * 3)},
    ],
)
def test_how_it_was_fed_is_what_the_repository_states(cache, files):
    write_cache(cache, "org/name", {"model.safetensors": safetensors(), **files})
    checkpoint = read("hf:org/name")
    assert (checkpoint.metadata["mean"], checkpoint.metadata["std"]) == ([0.5] * 3, [0.25] * 3)
    assert checkpoint.origin == "file"
    assert read("hf:org/name", convention="imagenet").metadata["mean"] == [0.485, 0.456, 0.406]


@pytest.mark.parametrize("config", [{"architecture": "resnetaa18"}, {"hidden_act": "gelu"}, {"aa_layer": "avg"}])
def test_another_network_under_the_same_names_is_refused_by_its_config(cache, config):
    write_cache(cache, "org/name", {"model.safetensors": safetensors(), "config.json": as_json(**config)})
    with pytest.raises(CheckpointError, match=f"config.{next(iter(config))}"):
        read("hf:org/name")


def test_a_config_that_is_no_json_is_refused(cache):
    write_cache(cache, "org/name", {"model.safetensors": safetensors(), "config.json": b"{"})
    with pytest.raises(InputError, match=r"config\.json is no JSON"):
        examine("hf:org/name")


def test_the_command_line_converts_without_a_network(tmp_path):
    """In a process of its own, as a user sets it: by the package's own variables."""
    write_cache(tmp_path / "cache", "org/name", {"pytorch_model.bin": pickled()})
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    words = ["convert", "hf:org/name", "--to", "torchvision", "--out", str(tmp_path / "x.pth")]
    command = [sys.executable, "-m", "transfer", *words]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert_same(torch.load(tmp_path / "x.pth", weights_only=True), STATE)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    files = {"model.safetensors": safetensors(), "pytorch_model.bin": b"never", "config.json": as_json(depth=18)}
    with serve({"org/name": files}) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield tmp_path / "cache"


def test_it_is_downloaded_once_and_then_served_by_the_cache(server, tmp_path, monkeypatch, capsys):
    out = tmp_path / "x.pth"
    assert main(["convert", "hf:org/name", "--to", "detectron2", "--out", str(out)]) == 0
    capsys.readouterr()
    source = torch.load(out, weights_only=True)["metadata"]["source"]
    assert source["file"] == f"hf:org/name@{COMMIT}/model.safetensors"
    assert not list(server.rglob("pytorch_model.bin"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_same(read("hf:org/name").state, STATE)
    assert main(["verify", "hf:org/name", str(out)]) == 0


@pytest.mark.parametrize("text", ["hf:org/other", "hf:org/name@v9"])
@pytest.mark.usefixtures("server")
def test_what_the_hub_does_not_have_is_one_line(text):
    with pytest.raises(InputError, match="found none of this name and revision") as error:
        hub.fetch(text)
    assert "\n" not in str(error.value)
