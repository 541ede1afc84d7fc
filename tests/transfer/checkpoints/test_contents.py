import gzip
import tarfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from transfer.checkpoints import opened
from transfer.errors import CheckpointError

FILES = {
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 102400000\n",
    "a web page": b"\n<!DOCTYPE html><html><head><title>Not found</title>",
    "JSON text": b'{"metadata": {"total_size": 1}, "weight_map": {}}',
    "a gzip archive": gzip.compress(b"x" * 100),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "an image": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "text": b"error: rate limit exceeded\n",
}


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "pkl"])
@pytest.mark.parametrize("kind", FILES)
def test_what_else_a_file_is(tmp_path, kind, suffix):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(FILES[kind])
    with pytest.raises(CheckpointError, match=f"expected a checkpoint, found {kind}") as caught:
        opened.open_tree(path)
    assert "\n" not in str(caught.value)


def test_archives_around_checkpoints(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pth")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "x.pth", "x.pth")
    with pytest.raises(CheckpointError, match="a tar archive; unpack it"):
        opened.open_tree(tmp_path / "x.tar")
    np.save(tmp_path / "x.npy", np.ones(3))
    with pytest.raises(CheckpointError, match="a single NumPy array"):
        opened.open_tree(tmp_path / "x.npy")


@pytest.mark.parametrize("suffix", ["pth", "pkl", "ckpt", "bin"])
def test_the_name_of_a_file_says_nothing(tmp_path, suffix):
    content = {"a": torch.arange(3.0)}
    path = tmp_path / f"x.{suffix}"
    save_file(content, path, metadata={"format": "pt"})
    tree, header = opened.open_tree(path)
    assert torch.equal(tree["a"], content["a"])
    assert header == {"format": "pt"}
    torch.save(content, path)
    assert torch.equal(opened.open_tree(path)[0]["a"], content["a"])


def test_a_header_of_megabytes(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes((9 << 20).to_bytes(8, "little") + b"{" + b" " * (9 << 20))
    with pytest.raises(CheckpointError, match="header"):
        opened.open_tree(path)
