import argparse
import io
import zipfile
import zlib

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from tests.cases.checkpoints import Exploit, save_pickle
from transfer.checkpoints import opened
from transfer.errors import CheckpointError, InputError
from transfer.files import atomic

CONTENT = {"a.weight": torch.arange(6.0).reshape(2, 3), "epoch": 3}


def test_all_formats_give_the_same_tree(tmp_path):
    torch.save(CONTENT, tmp_path / "new.pth")
    torch.save(CONTENT, tmp_path / "old.pth.tar", _use_new_zipfile_serialization=False)
    save_pickle(tmp_path / "arrays.pkl", {"a.weight": CONTENT["a.weight"].numpy(), "epoch": 3})
    save_pickle(tmp_path / "tensors.pkl", CONTENT)
    for name in ("new.pth", "old.pth.tar", "arrays.pkl", "tensors.pkl"):
        tree, _ = opened.open_tree(tmp_path / name)
        assert tree["epoch"] == 3
        assert torch.equal(torch.as_tensor(tree["a.weight"]), CONTENT["a.weight"])


@pytest.mark.parametrize("new", [True, False])
def test_a_malicious_file_is_refused_by_name_and_not_run(tmp_path, new):
    marker = tmp_path / "ran"
    torch.save({"a": Exploit(marker)}, tmp_path / "x.pth", _use_new_zipfile_serialization=new)
    save_pickle(tmp_path / "x.pkl", {"a": Exploit(marker)})
    for name in ("x.pth", "x.pkl"):
        with pytest.raises(CheckpointError, match=r"not safe to load.*(posix|os)\.system"):
            opened.open_tree(tmp_path / name)
    assert not marker.exists()


@pytest.mark.parametrize("suffix", ["pth", "pkl", "safetensors"])
def test_a_pickle_under_another_name_is_no_way_round(tmp_path, suffix):
    marker = tmp_path / "ran"
    save_pickle(tmp_path / f"x.{suffix}", {"a": Exploit(marker)})
    with pytest.raises(CheckpointError):
        opened.open_tree(tmp_path / f"x.{suffix}")
    assert not marker.exists()


def test_harmless_extras_of_old_scripts_are_read(tmp_path):
    history = HistoryBuffer()
    history.update(0.5)
    extras = {
        "opt": argparse.Namespace(lr=0.1),
        "message_hub": {"loss": history},
        "best": np.float64(3.5),
        "names": np.array(["a", "b"]),
        "counts": np.arange(3),
    }
    before = torch.serialization.get_safe_globals()
    for number, new in enumerate((True, False)):
        torch.save({**CONTENT, **extras}, tmp_path / f"{number}.pth", _use_new_zipfile_serialization=new)
        tree, _ = opened.open_tree(tmp_path / f"{number}.pth")
        assert tree["opt"] == {"lr": 0.1}
        assert torch.equal(tree["a.weight"], CONTENT["a.weight"])
    assert torch.serialization.get_safe_globals() == before


@pytest.mark.parametrize("share", [0, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("kind", ["new.pth", "old.pth", "x.pkl", "x.safetensors"])
def test_truncated_files_say_so(tmp_path, kind, share):
    path = tmp_path / kind
    content = {f"layer.{n}": torch.randn(50) for n in range(20)}
    if kind == "x.pkl":
        save_pickle(path, {name: tensor.numpy() for name, tensor in content.items()})
    elif kind == "x.safetensors":
        from safetensors.torch import save_file

        save_file(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "new.pth")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"truncated|empty") as caught:
        opened.open_tree(path)
    assert "\n" not in str(caught.value)


def test_zip_bombs(tmp_path):
    torch.save(CONTENT, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as good, zipfile.ZipFile(tmp_path / "bomb.pth", "w") as bomb:
        for entry in good.namelist():
            bomb.writestr(entry, good.read(entry))
        bomb.writestr("archive/data/9", bytes(10_000_000), compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed"):
        opened.open_tree(tmp_path / "bomb.pth")
    raw = (tmp_path / "x.pth").read_bytes()
    # Claim more in the central directory than there is: the sizes of its first entry become 4 GB.
    at = raw.index(b"PK\x01\x02")
    (tmp_path / "liar.pth").write_bytes(raw[: at + 20] + b"\xff\xff\xff\x7f" * 2 + raw[at + 28 :])
    with pytest.raises(CheckpointError, match=r"two sizes|claimed"):
        opened.open_tree(tmp_path / "liar.pth")


def test_nonsense(tmp_path):
    for number, junk in enumerate((b"not a checkpoint", zlib.compress(bytes(100)), b"\x80\x04")):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(junk)
        with pytest.raises(CheckpointError, match="cannot be read") as caught:
            opened.open_tree(path)
        assert "weights_only" not in str(caught.value)
    with pytest.raises(InputError, match="no such checkpoint"):
        opened.open_tree(tmp_path / "absent.pth")
    with pytest.raises(InputError, match=r"is a folder.*found 0\.pth, 1\.pth, 2\.pth; give the file"):
        opened.open_tree(tmp_path)


def test_sha256_is_the_standard_one(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert atomic.sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_storage_inside_a_pickle_is_read_safely_too(tmp_path):
    marker = tmp_path / "ran"
    inner = io.BytesIO()
    torch.save(Exploit(marker), inner)

    class Nested:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (inner.getvalue(),)

    save_pickle(tmp_path / "x.pkl", {"a": Nested()})
    with pytest.raises(CheckpointError):
        opened.open_tree(tmp_path / "x.pkl")
    assert not marker.exists()
