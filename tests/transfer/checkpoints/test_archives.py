import io
import pickle
import struct
import zipfile

import pytest
import torch

from transfer.checkpoints import opened
from transfer.errors import CheckpointError

CONTENT = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3)}


def _rewritten(path, change, **options):
    """A ``torch.save`` file whose entries went through ``change`` (name, bytes) -> list of the same."""
    torch.save(CONTENT, path)
    with zipfile.ZipFile(path) as good:
        entries = [(name, good.read(name)) for name in good.namelist()]
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in change(entries):
            archive.writestr(name, content)
    return path


def test_the_first_bytes_say_what_a_file_is_and_not_the_last(tmp_path):
    path = tmp_path / "x.pth"
    torch.save(CONTENT, path)
    whole = path.read_bytes()
    # More text than a zip file allows after its directory is a zip file nonetheless, and a damaged one.
    for tail in (b"PK\x05\x06", b"PK\x05\x06" + bytes(10), bytes(100_000)):
        path.write_bytes(whole + tail)
        with pytest.raises(CheckpointError, match=r"cannot be read.*BadZipFile"):
            opened.open_tree(path)
    path.write_bytes(whole + b"....")
    assert torch.equal(opened.open_tree(path)[0]["b"], CONTENT["b"])


def test_a_compressed_entry_stays_refused_whatever_stands_at_the_end(tmp_path):
    path = _rewritten(tmp_path / "x.pth", lambda entries: entries, compression=zipfile.ZIP_DEFLATED)
    for tail in (b"", b"PK\x05\x06"):
        path.write_bytes(path.read_bytes() + tail)
        with pytest.raises(CheckpointError, match=r"compressed|cannot be read"):
            opened.open_tree(path)


def test_the_same_guard_holds_inside_a_pickle(tmp_path):
    inner = tmp_path / "inner.pth"
    torch.save(torch.ones(3).untyped_storage(), inner)
    with zipfile.ZipFile(inner) as good:
        entries = {name: good.read(name) for name in good.namelist()}
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)

    class Inner:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (bomb.getvalue(),)

    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": Inner()}))
    with pytest.raises(CheckpointError, match="compressed"):
        opened.open_tree(tmp_path / "x.pkl")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: [*entries, entries[0]], "one entry of each name"),
        (lambda entries: [e for e in entries if not e[0].endswith("data.pkl")], "a zip archive of other files"),
        (lambda entries: [("a.npy", b"x")], r"NumPy \.npz"),
        (lambda entries: [*entries, ("archive/constants.pkl", b"")], "TorchScript"),
        (lambda entries: [(n, b"big" if n.endswith("byteorder") else c) for n, c in entries], "big-endian"),
        (lambda entries: [e for e in entries if not e[0].endswith("data/1")], "not in the archive"),
        (lambda entries: [(n, c[:-1] if "/data/" in n else c) for n, c in entries], "another length"),
    ],
    ids=["twice", "no pickle", "npz", "torchscript", "byte order", "no storage", "short storage"],
)
def test_other_archives_are_named(tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        opened.open_tree(_rewritten(tmp_path / "x.pth", change))
    assert "\n" not in str(caught.value)


def test_entries_that_overlap(tmp_path):
    path = tmp_path / "x.pth"
    torch.save(CONTENT, path)
    raw = bytearray(path.read_bytes())
    entries = [at for at in range(len(raw)) if raw[at : at + 4] == b"PK\x01\x02"]
    # The directory says that the second storage's entry stands where the first one's does.
    first, second = (next(at for at in entries if f"/data/{n}".encode() in raw[at : at + 80]) for n in (0, 1))
    raw[second + 42 : second + 46] = raw[first + 42 : first + 46]
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"overlapping|others in their places"):
        opened.open_tree(path)


def test_an_entry_inside_another(tmp_path):
    """The storage's bytes are the last entry's whole record: one memory under two names, every length right."""
    inside = b"PK\x03\x04" + bytes(22) + struct.pack("<HH", 8, 0) + b"x/data/1" + struct.pack("<3f", 1, 2, 3)
    path = tmp_path / "x.pth"
    torch.save(CONTENT, path)
    with zipfile.ZipFile(path) as good:
        entries = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", entries["x/data.pkl"])
        archive.writestr("x/data/0", inside)
        archive.writestr("x/data/1", entries["x/data/1"])
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 42 : at + 46] = struct.pack("<I", raw.index(inside))
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="overlapping"):
        opened.open_tree(path)


def test_a_flipped_bit_in_a_tensor_is_noticed(tmp_path):
    path = tmp_path / "x.pth"
    torch.save(CONTENT, path)
    raw = bytearray(path.read_bytes())
    at = raw.index(struct.pack("<6f", *range(6)))
    raw[at + 6] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="checksum"):
        opened.open_tree(path)


def test_a_directory_of_millions_of_entries(tmp_path):
    # 300,000 records of nothing: 20 MB that would become 300 MB of objects.
    path = tmp_path / "x.pth"
    record = b"PK\x01\x02" + bytes(42)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 300_000 * len(record), 30, 0)
    path.write_bytes(b"PK\x03\x04" + bytes(26) + record * 300_000 + end)
    with pytest.raises(CheckpointError, match="larger than any checkpoint's"):
        opened.open_tree(path)


def _legacy(path, **changes):
    torch.save(CONTENT, path, _use_new_zipfile_serialization=False)
    raw = path.read_bytes()
    for old, new in changes.values():
        assert old in raw
        raw = raw.replace(old, new)
    path.write_bytes(raw)
    return path


def test_the_old_format_says_its_lengths_twice(tmp_path):
    with pytest.raises(CheckpointError, match="another length"):
        opened.open_tree(_legacy(tmp_path / "x.pth", length=(struct.pack("<q", 6), struct.pack("<q", 1 << 40))))
    # 6 elements of 4 bytes: the object's own claim becomes a billion.
    with pytest.raises(CheckpointError, match="more tensors than the file has bytes"):
        opened.open_tree(_legacy(tmp_path / "x.pth", claim=(b"K\x06Nt", b"J\x00\x00\x00\x40Nt")))


def test_torchscript_is_named(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "x.pth"))
    with pytest.raises(CheckpointError, match="TorchScript"):
        opened.open_tree(tmp_path / "x.pth")
