"""Each flag reaches the public function as a plain argument, the protocol's own in its dataclass."""

import argparse
import inspect
from pathlib import Path

import pytest

from pretrain.commands import evaluate
from pretrain.errors import InputError
from pretrain.probes import evaluate as library
from pretrain.probes.protocol import KnnProtocol, LinearProtocol, ObjectsProtocol

SIGNATURE = inspect.signature(library.evaluate).parameters


def parsed(protocol, *argv):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return parser.parse_args(["w.safetensors", "--data", "d", "--out", "o.json", "--protocol", protocol, *argv])


@pytest.fixture
def called(monkeypatch):
    calls = []
    monkeypatch.setattr(library, "evaluate", lambda *args, **kwargs: calls.append((args, kwargs)))
    return calls


def test_the_flags_are_the_arguments(called):
    numbers = ["--size", "32", "--resize", "40", "--seed", "3", "--batch", "8", "--workers", "1"]
    argv = ["--query", "q", "--device", "cpu", "--force", "--masked", *numbers, "--k", "7", "--temperature", "0.1"]
    assert evaluate.run(parsed("knn", *argv)) == 0
    ((args, kwargs),) = called
    assert args == ("w.safetensors", Path("d"), KnnProtocol(7, 0.1))
    assert kwargs == {
        "query": Path("q"),
        "size": 32,
        "resize": 40,
        "seed": 3,
        "masked": True,
        "baseline": True,
        "batch": 8,
        "workers": 1,
        "device": "cpu",
        "out": Path("o.json"),
        "force": True,
    }


@pytest.mark.parametrize(("name", "protocol"), [("knn", KnnProtocol()), ("linear", LinearProtocol())])
def test_the_defaults_are_the_functions_own(called, name, protocol):
    assert evaluate.run(parsed(name)) == 0
    ((args, kwargs),) = called
    assert args[2] == protocol
    own = {key: p.default for key, p in SIGNATURE.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert kwargs == {**own, "out": Path("o.json")}


def test_weight_decays_are_the_linear_probes(called):
    evaluate.run(parsed("linear", "--weight-decays", "0.1", "0"))
    assert called[0][0][2] == LinearProtocol((0.1, 0.0))
    with pytest.raises(InputError, match="--k: expected only with --protocol knn or objects"):
        evaluate.run(parsed("linear", "--k", "5"))


def test_objects_are_named_by_two_paths(called):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    argv = ["w", "--out", "o", "--protocol", "objects", "--coco", "images", "a.json", "--query", "more", "b.json"]
    assert evaluate.run(parser.parse_args([*argv, "--most", "9", "--weight-decays", "1", "--no-baseline"])) == 0
    ((args, kwargs),) = called
    assert args == ("w", (Path("images"), Path("a.json")), ObjectsProtocol(weight_decays=(1.0,), most=9))
    assert kwargs["query"] == (Path("more"), Path("b.json"))
    assert kwargs["baseline"] is False
    with pytest.raises(InputError, match="--batch: expected only with --protocol knn or linear"):
        evaluate.run(parser.parse_args([*argv, "--batch", "3"]))
    with pytest.raises(InputError, match="--protocol objects: expected --coco, found none"):
        evaluate.run(parser.parse_args([*argv[:5]]))
