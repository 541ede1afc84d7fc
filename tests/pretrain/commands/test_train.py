"""Each flag reaches the public function as a plain argument."""

import argparse
from pathlib import Path

import pytest

from pretrain.commands import train
from pretrain.training import train as library


def parsed(*argv):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return parser.parse_args(["c.py", "--data", "a", "b", "--work-dir", "w", *argv])


@pytest.fixture
def called(monkeypatch):
    calls = []
    monkeypatch.setattr(library, "train", lambda *args, **kwargs: calls.append((args, kwargs)))
    return calls


def test_the_flags_are_the_arguments(called):
    argv = [
        "--objects",
        "images",
        "o.json",
        "--annotations",
        "n.json",
        "--init",
        "i.pth",
        "--resume",
        "--allow-change",
        "--track",
        "mlflow",
        "--cfg-options",
        "run.seed=1",
    ]
    assert train.run(parsed(*argv)) == 0
    ((args, kwargs),) = called
    assert args == (Path("c.py"), [Path("a"), Path("b")], Path("w"))
    assert kwargs == {
        "annotations": Path("n.json"),
        "objects": (Path("images"), Path("o.json")),
        "init": Path("i.pth"),
        "resume": True,
        "allow_change": True,
        "track": ["mlflow"],
        "overrides": ["run.seed=1"],
    }


def test_the_defaults_are_the_functions_own(called):
    import inspect

    assert train.run(parsed()) == 0
    ((_, kwargs),) = called
    signature = inspect.signature(library.dry_run).parameters
    given = {name: p.default for name, p in signature.items() if p.default is not inspect.Parameter.empty}
    of_training_alone = {"resume": False, "allow_change": False, "objects": None, "track": []}
    assert kwargs == {**given, "overrides": [], **of_training_alone}
