import collections
import io
import pickle

import numpy as np
import pytest
import torch

from transfer.checkpoints import unpickle


def _load(content, protocol=2):
    return unpickle.load(io.BytesIO(pickle.dumps(content, protocol)))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers_and_arrays(protocol):
    content = {"a": np.arange(4, dtype="f4").reshape(2, 2), "b": [1, (2.5, None)],
               "c": collections.OrderedDict(x={1, 2}), "d": b"bytes", "e": 3 + 4j}  # fmt: skip
    found = _load(content, protocol)
    assert np.array_equal(found.pop("a"), content.pop("a"))
    assert found == content


def test_tensors_and_parameters():
    found = _load({"t": torch.arange(6).view(2, 3).t(), "p": torch.nn.Parameter(torch.ones(2))})
    assert torch.equal(found["t"], torch.arange(6).view(2, 3).t())
    assert torch.equal(found["p"], torch.ones(2))


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
        unpickle.load(io.BytesIO(code))


def test_references_out_of_the_file_are_refused():
    with pytest.raises(pickle.UnpicklingError, match="outside"):
        unpickle.load(io.BytesIO(b"Pelsewhere\n."))


def test_getattr_looks_nothing_up():
    # builtins.getattr(collections.OrderedDict, "fromkeys") would be the first step out of the box.
    code = b"cbuiltins\ngetattr\n(ccollections\nOrderedDict\nS'fromkeys'\ntR."
    found = unpickle.load(io.BytesIO(code))
    assert type(found) is unpickle.Inert
    assert found == {}
    with pytest.raises(TypeError):
        found()
