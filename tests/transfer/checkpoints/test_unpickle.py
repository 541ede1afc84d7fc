import argparse
import collections
import datetime
import decimal
import io
import pathlib
import pickle
import time
import tracemalloc
import uuid

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from transfer.checkpoints import archives, stand_ins, unpickle


def _run(code):
    return archives.load(io.BytesIO(code), len(code), unpickle.Budget(len(code)))


def _load(content, protocol=2):
    return _run(pickle.dumps(content, protocol))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers_and_arrays(protocol):
    content = {"a": np.arange(4, dtype="f4").reshape(2, 2), "b": [1, (2.5, None)],
               "c": collections.OrderedDict(x={1, 2}), "d": b"bytes", "e": 3 + 4j}  # fmt: skip
    loaded = _load(content, protocol)
    assert np.array_equal(loaded.pop("a"), content.pop("a"))
    assert loaded == content


def test_tensors_and_parameters():
    loaded = _load({"t": torch.arange(6).view(2, 3).t(), "p": torch.nn.Parameter(torch.ones(2))})
    assert torch.equal(loaded["t"], torch.arange(6).view(2, 3).t())
    assert torch.equal(loaded["p"], torch.ones(2))


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"c__builtin__\nexec\n(S'1'\ntR.",
        b"csubprocess\nPopen\n(S'true'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"ctorch\nload\n(S'x'\ntR.",
        b"cnumpy.testing._private.utils\nrunstring\n(S'1'\nS'2'\ntR.",
        b"cpickle\nloads\n(S'x'\ntR.",
    ],
)
def test_every_other_global_is_refused_by_name(code):
    module, name = code[1:].split(b"\n")[:2]
    with pytest.raises(pickle.UnpicklingError, match=f"{module.decode()}.{name.decode()}"):
        _run(code)


def test_references_out_of_the_file_are_refused():
    with pytest.raises(pickle.UnpicklingError, match="outside"):
        _run(b"\x80\x02X\x01\x00\x00\x00aQ.")
    with pytest.raises(pickle.UnpicklingError, match="no instruction"):
        _run(b"Pelsewhere\n.")


def test_getattr_looks_nothing_up():
    # builtins.getattr(collections.OrderedDict, "fromkeys") would be the first step out of the box.
    code = b"cbuiltins\ngetattr\n(ccollections\nOrderedDict\nS'fromkeys'\ntR."
    loaded = _run(code)
    assert type(loaded) is stand_ins.Inert
    assert loaded == {}
    with pytest.raises(pickle.UnpicklingError, match="call of what is no known"):
        _run(code[:-1] + b")R.")


def _nested_pairs(depth):
    """A tuple of 2**depth leaves in a few bytes: each level holds the one below twice."""
    return b"\x80\x02K\x01K\x01\x86" + b"".join(b"q%c0h%ch%c\x86" % (n, n, n) for n in range(depth))


BOMBS = {
    "a memo index of two billion": b"\x80\x02}r\xff\xff\xff\x7f.",
    "a number of a megabit": b"\x80\x02\x8b" + (1 << 17).to_bytes(4, "little") + b"\x7f" * (1 << 17) + b".",
    "a number of a million digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    "bytes that are not there": b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x.",
    "a byte array that is not there": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"x.",
    "a byte array of a length": b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
    "a key whose hash takes years": b"\x80\x02}" + _nested_pairs(60) + b"K\x01s.",
    "a member whose hash takes years": b"\x80\x04\x8f(" + _nested_pairs(60) + b"\x90.",
    "keys of one hash": b"\x80\x02}("
    + b"".join(b"\x8a\x20" + ((2**61 - 1) * n + (1 << 100)).to_bytes(32, "little") + b"N" for n in range(1000))
    + b"u.",
    "a list copied again and again": b"\x80\x02](" + b"K\x01" * 50_000 + b"eq\x000]("
    + b"cbuiltins\nset\nh\x00\x85R" * 5_000 + b"e.",
    "text encoded again and again": b"\x80\x02X" + (100_000).to_bytes(4, "little") + b"x" * 100_000 + b"q\x000]("
    + b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R" * 5_000 + b"e.",
    "nothing but dictionaries": b"\x80\x02(" + b"}" * 1_000_000 + b"l.",
    "nothing but marks": b"(" * 1_000_000 + b".",
    "a line without end": b"c" + b"x" * 5_000_000,
    "a list in a list in a list": b"\x80\x02" + b"]" * 500_000 + b"a" * 499_999 + b".",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_grows_when_it_is_read_is_refused_soon(name):
    code = BOMBS[name]
    tracemalloc.start()
    start = time.process_time()
    try:
        if name != "a memo index of two billion":  # which is a number like any other: the memo is a table
            with pytest.raises((pickle.UnpicklingError, ValueError, EOFError)):
                _run(code)
        else:
            assert _run(code) == {}
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000 + 24 * len(code)
    assert time.process_time() - start < 20  # tracing makes it four times slower


def test_depth_and_sharing_cost_nothing():
    deep = _run(b"\x80\x02" + b"]" * 20_000 + b"a" * 19_999 + b".")
    assert len(deep) == 1
    shared = _run(_nested_pairs(60) + b".")
    assert len(shared) == 2


def test_extras_of_training_scripts_are_inert():
    extras = {
        "args": argparse.Namespace(lr=0.1),
        "cfg": OmegaConf.create({"a": {"b": [1, "x"]}}),
        "when": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        "took": datetime.timedelta(3),
        "where": pathlib.PurePosixPath("a/b"),
        "here": pathlib.Path("a"),
        "best": np.float32(0.5),
        "count": collections.Counter("aab"),
        "groups": collections.defaultdict(list, {1: [2]}),
        "last": collections.deque([1, 2]),
        "id": uuid.UUID(int=3),
        "exact": decimal.Decimal("1.5"),
        "part": slice(1, 2),
        "random": np.random.default_rng(0),
        "old random": np.random.RandomState(0),
        "kind": torch.float16,
        "device": torch.device("cpu"),
        "names": np.array(["a", "b"]),
    }
    for protocol in (2, 4, 5):
        tree = _load({**extras, "t": torch.ones(2)}, protocol)
        assert torch.equal(tree["t"], torch.ones(2))
        assert tree["args"] == {"lr": 0.1}
        assert tree["best"] == 0.5
        assert tree["count"] == {"a": 2, "b": 1}
        assert tree["groups"] == {1: [2]}
        plain = (int, float, str, type(None), torch.dtype, dict)
        assert all(isinstance(tree[key], plain) for key in extras)


@pytest.mark.parametrize(
    "code",
    [b"\x80\x04\x8c\x07pathlib\x8c\x09os.system\x93.", b"ctypes\nCodeType\n.", b"cnumpy.random\nseed\n.",
     b"cmmengine.fileio\nload\n.", b"cargparse\n_os\n.", b"ccollections\n_sys.modules\n."],
)  # fmt: skip
def test_a_harmless_package_is_no_cover(code):
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):
        _run(code)
