"""``python -m pretrain evaluate`` as the tests of the probes run it."""

import json

from pretrain.__main__ import main

ABOUT = {
    "arch": "resnet18",
    "stem": "small",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "channel_order": "RGB",
    "method": "metamask",
    "settings": {"views": {"size": 16}},
    "epoch": 3,
}


def evaluated(weights, data, out, protocol, *options):
    """The command's exit code."""
    argv = ["evaluate", str(weights), "--data", str(data), "--protocol", protocol, "--out", str(out), "--device", "cpu"]
    return main([*argv, *map(str, options)])


def record(*args):
    assert evaluated(*args) == 0
    return json.loads(args[2].read_text())


def fails(capsys, *args):
    """The one line on stderr of a command that must end with exit code 1 and write nothing."""
    before = args[2].read_text() if args[2].exists() else None
    assert evaluated(*args) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("pretrain: ")
    assert (args[2].read_text() if args[2].exists() else None) == before
    return lines[0]
