"""What a pickle may not do to memory: dtypes, arrays, storages and tensors made by hand, through every kind of file."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from transfer.checkpoints import archives, locate, opened, stand_ins, unpickle
from transfer.errors import CheckpointError


class Call:
    """Pickles as a call of any function with any arguments and state."""

    def __init__(self, function, arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def _array(shape, dtype, raw, fortran=False):
    return Call(np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, shape, dtype, fortran, raw))


def _dtype(code, *state):
    return Call(np.dtype, (code, False, True), state or None)


def _save(path, content):
    """The same pickle bare, in a zip archive, or in PyTorch's old format."""
    code = pickle.dumps(content, 2)
    if path.suffix == ".pkl":
        path.write_bytes(code)
    elif path.name == "old.pth":
        head = (pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
        path.write_bytes(b"".join([*head, code, pickle.dumps([], 2)]))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", code)
    return path


@pytest.fixture(params=["x.pkl", "new.pth", "old.pth"])
def path(request, tmp_path):
    return tmp_path / request.param


def _open(path, content):
    return opened.open_tree(_save(path, content))[0]


def test_a_dtypes_pickled_state_is_not_handed_to_numpy(path):
    # These states make NumPy itself crash, claim 32 GB or read beyond the bytes.
    pointer = (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 63)
    sub_array = (3, "|", (np.dtype("f8"), (1 << 32,)), None, None, 1 << 35, 1, 0)
    for state in (pointer, sub_array, (3, "|", None, None, None, 1 << 35, 1, 0)):
        tree = _open(path, {"a": _array((1,), _dtype("V8", *state), b"\x41" * 8), "b": 1})
        assert type(tree["a"]) is stand_ins.Inert
        assert tree["b"] == 1


def test_arrays_of_objects_are_not_made(path):
    tree = _open(path, {"a": _array((2,), _dtype("O8"), [1, 2]), "b": _array((1,), _dtype("O8"), b"\x41" * 8)})
    assert all(type(value) is stand_ins.Inert for value in tree.values())


@pytest.mark.parametrize("shape", [(3,), (1 << 40,), (-1,), (2, 2.0), (True,), "ab", (0, 1 << 61), (1,) * 40])
def test_an_arrays_shape_is_held_against_its_bytes(path, shape):
    with pytest.raises(CheckpointError, match=r"an array of \d+ bytes with 4|no shape of lengths"):
        _open(path, {"a": _array(shape, _dtype("f4", 3, "<", None, None, None, -1, -1, 0), bytes(4))})


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">f8").reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype="<i2").reshape(2, 3)),
        np.array([True, False]),
        np.array(7, dtype="u1"),
        np.zeros((0, 3), "f2"),
    ],
    ids=["big-endian", "fortran", "bool", "scalar", "empty"],
)
def test_plain_arrays_keep_their_values(path, array):
    assert np.array_equal(_open(path, {"a": array})["a"], array)


def test_python_2_arrays():
    # cPickle's protocol 0, the default of Python 2, which wrote bytes as escaped text.
    raw = repr(np.array([1.5, -2], "<f4").tobytes().decode("latin1")).encode("latin1")
    code = (
        b"(dp0\nS'w'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\n"
        b"Rp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\n"
        b"tp14\nbI00\n" + b"S" + raw + b"\np15\ntp16\nbs."
    )
    tree = archives.load(io.BytesIO(code), len(code), unpickle.Budget(len(code)))
    assert tree["w"].tolist() == [1.5, -2]


class Storage:
    """Stands in a pickle's arguments for the reference to ``data/0``."""


def _tensor_file(path, size, stride=(1,), offset=0, count=4, metadata=None, elements=None):
    """A zip file with one tensor over a storage of ``count`` floats."""
    out = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, what):
            if isinstance(what, Storage):
                return ("storage", torch.FloatStorage, "0", "cpu", count if elements is None else elements)
            return None

    more = () if metadata is None else (metadata,)
    arguments = (Storage(), offset, size, stride, False, OrderedDict(), *more)
    Pickler(out, 2).dump({"a": Call(torch._utils._rebuild_tensor_v2, arguments)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", out.getvalue())
        archive.writestr("archive/data/0", struct.pack(f"<{count}f", *range(count)))
    return path


def test_a_tensor_made_by_hand_is_read(tmp_path):
    tree, _ = opened.open_tree(_tensor_file(tmp_path / "x.pth", (2, 2), (1, 2)))
    assert tree["a"].tolist() == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (5,)},
        {"size": (2,), "offset": 3},
        {"size": (2,), "stride": (4,)},
        {"size": (1 << 40,), "stride": (0,)},
        {"size": (2, 2), "stride": (1,)},
        {"size": (-1,)},
        {"size": (2,), "stride": (-1,), "offset": 2},
        {"size": (2,), "offset": -1},
        {"size": (2.0,)},
        {"size": (1,) * 40, "stride": (1,) * 40},
        {"size": (0,), "offset": 99},
        {"size": (1 << 61,) * 4, "stride": (1,) * 4},
        {"size": (4,), "elements": 1 << 40},
        {"size": (2,), "elements": 2},
    ],
)
def test_no_tensor_reaches_beyond_its_storage(tmp_path, wrong):
    with pytest.raises(CheckpointError, match="cannot be read"):
        opened.open_tree(_tensor_file(tmp_path / "x.pth", **wrong))


def test_kinds_without_plain_numbers_are_named(tmp_path):
    whole = torch.ones(2, 2)
    kinds = {
        "a meta tensor": whole.to("meta"),
        "a sparse tensor": whole.to_sparse(),
        "a quantized tensor": torch.quantize_per_tensor(whole, 0.1, 0, torch.qint8),
        "sign or conjugation": torch.ones(2, dtype=torch.complex64).conj(),
    }
    torch.save(kinds, tmp_path / "x.pth")
    tree, _ = opened.open_tree(tmp_path / "x.pth")
    for why, value in tree.items():
        assert isinstance(value, stand_ins.Unreadable)
        assert why in value.why
    assert len(locate.groups(tree)[""]) == len(kinds)


@pytest.mark.parametrize("new", [True, False])
def test_every_dtype_is_read_exactly(tmp_path, new):
    dtypes = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64,
              torch.float8_e4m3fn, torch.uint16]  # fmt: skip
    content = {str(dtype): torch.tensor([0, 1, 3]).to(dtype)[1:] for dtype in dtypes}
    content["parameter"] = torch.nn.Parameter(torch.ones(2))
    content["transposed"] = torch.arange(6).view(2, 3).t()
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=new)
    tree, _ = opened.open_tree(tmp_path / "x.pth")
    for key, tensor in content.items():
        assert tree[key].dtype == tensor.dtype
        assert torch.equal(tree[key].contiguous().view(torch.uint8), tensor.detach().contiguous().view(torch.uint8))
