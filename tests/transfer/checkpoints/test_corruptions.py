"""Random corruptions of good checkpoints: an error, or an exact conversion; never a partial load."""

import random
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from tests.cases.checkpoints import header
from transfer.checkpoints import completeness, locate, names, resnets
from transfer.checkpoints.checkpoint import read
from transfer.errors import CheckpointError, InputError

# An R18 of one block a stage and one channel: 60 tensors of a few numbers, so that thousands of them take seconds.
TINY = replace(resnets.SPECS["resnet18"], name="tiny", blocks=(1, 1, 1, 1), base=1)
WANTED = resnets.expected(TINY)


def _good(seed):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=generator) + 0.1 for name, shape in WANTED.items()}


def _drop(state, rng):
    for name in rng.sample(sorted(state), rng.randint(1, 5)):
        del state[name]


def _rename(state, rng):
    name = rng.choice(sorted(state))
    place = rng.randrange(len(name) + 1)
    other = rng.choice([name[:place] + rng.choice("0123456789.abnvw") + name[place:], name[:place] + name[place + 1 :],
                        "module." + name, name.replace("layer", "stage"), name + ".weight", "fc.weight"])  # fmt: skip
    state[other] = state.pop(name)


def _reshape(state, rng):
    name = rng.choice(sorted(state))
    shape = list(state[name].shape)
    kind = rng.randrange(4) if shape else 1
    if kind == 0:
        shape[rng.randrange(len(shape))] += 1
    elif kind == 1:
        shape.append(1)
    elif kind == 2:
        shape = shape[1:]
    else:
        shape = shape[::-1]
    state[name] = torch.rand(shape)


def _swap(state, rng):
    one, two = rng.sample(sorted(state), 2)
    state[one], state[two] = state[two], state[one]


def _poison(state, rng):
    name = rng.choice(sorted(state))
    poisoned = state[name].clone()
    if rng.random() < 0.2:
        state[name] = poisoned.to(rng.choice([torch.int64, torch.float16, torch.float64, torch.bool, torch.complex64]))
        return
    poisoned.view(-1)[rng.randrange(poisoned.numel())] = rng.choice([float("nan"), float("inf"), float("-inf"), -1e30])
    state[name] = poisoned


def _extra(state, rng):
    state[rng.choice(["layer1.0.se.weight", "layer5.0.conv1.weight", "layer1.9.bn1.bias", "conv2.weight", "x"])] = (
        torch.zeros(2)
    )


CORRUPTIONS = (_drop, _rename, _reshape, _swap, _poison, _extra)
HARMLESS = ("fc.weight", "layer", "conv", "bn")


def _accepted(state):
    """What the reader makes of a state dict: the tensors by torchvision name, or None when it refuses."""
    try:
        located = locate.locate(state)[0]
    except CheckpointError:
        return None
    recognised = resnets.recognise({name: tuple(t.shape) for name, t in located.state.items()}, [TINY])
    if recognised is None or located.strange:
        return None
    comparison = completeness.compare(located.state, resnets.expected(*recognised))
    if comparison.problems() or comparison.dtypes:
        return None
    return located.state


def test_ten_thousand_in_memory():
    """Names, shapes, dtypes and values of whatever passes are checked here by other means than the reader's."""
    rng, refused = random.Random(0), 0
    good = _good(0)
    assert _accepted(good) is not None
    for number in range(10_000):
        state = dict(good)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            CORRUPTIONS[number % len(CORRUPTIONS)](state, rng)
        accepted_state = _accepted(state)
        if accepted_state is None:
            refused += 1
            continue
        # Accepted: it must be complete, sound, and exactly what the file says under each name.
        assert {name: tuple(tensor.shape) for name, tensor in accepted_state.items()} == dict(WANTED)
        for name, tensor in accepted_state.items():
            held = state[name] if name in state else state[f"module.{name}"]
            assert tensor.dtype == torch.float32
            assert tensor.data_ptr() == held.data_ptr()
            assert bool(torch.isfinite(tensor).all())
            assert not (name.endswith("running_var") and bool((tensor < 0).any()))
        # Nothing of a backbone was left lying about.
        assert not [key for key in set(state) - set(accepted_state) if not key.startswith(("fc.", "module."))]
        for name in accepted_state:
            assert names.from_detectron2(names.to_detectron2(name)) == name
    # Swaps of equal shapes and wrappers are no faults; nearly all the rest is.
    assert 8_000 < refused < 9_900


def _bytes(path, rng):
    """Corrupt the file itself: cut it, or change some of its bytes."""
    content = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        content = content[: rng.randrange(len(content))]
    else:
        for _ in range(rng.randint(1, 20)):
            content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["pth", "old.pth", "safetensors"])
def test_through_files(tmp_path, monkeypatch, kind):
    """200 files over the three formats, half of them damaged as bytes."""
    monkeypatch.setitem(resnets.SPECS, "tiny", TINY)
    rng, good, accepted, messages = random.Random(1), _good(1), 0, []
    for number in range(67):
        state, path = dict(good), tmp_path / f"x.{kind}"
        if number % 2:
            CORRUPTIONS[number % len(CORRUPTIONS)](state, rng)
        if kind == "safetensors":
            save_file({k: v.clone().contiguous() for k, v in state.items()}, path, metadata=header("tiny"))
        else:
            torch.save(state, path, _use_new_zipfile_serialization=kind == "pth")
        if number % 2 == 0:
            _bytes(path, rng)
        try:
            checkpoint = read(path)
        except InputError as error:
            messages.append(str(error))
            continue
        accepted += 1
        assert {name: tuple(tensor.shape) for name, tensor in checkpoint.state.items()} == dict(WANTED)
        assert all(bool(torch.isfinite(tensor).all()) for tensor in checkpoint.state.values())
        # The zip format has checksums; the two others have none, and a flipped bit in a number is a number.
        if kind == "pth":
            assert all(
                torch.equal(tensor, state.get(name, state.get(f"module.{name}")))
                for name, tensor in checkpoint.state.items()
            )
    assert accepted < 67
    assert not any("\n" in message for message in messages)


def test_the_check_itself_sees_each_kind_of_fault():
    for number, corrupt in enumerate(CORRUPTIONS):
        state = _good(2)
        corrupt(state, random.Random(number + 10))
        comparison = completeness.compare(state, WANTED)
        assert comparison.problems() or comparison.dtypes or corrupt is _swap
