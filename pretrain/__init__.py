"""Images without labels in; ``backbone.safetensors`` out.

The public names below are imported when they are first used, so that ``import pretrain`` costs nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pretrain.backbones import load_backbone
    from pretrain.method.bilevel import Problem, hypergradient
    from pretrain.method.trial_step import TrialStep, Weights
    from pretrain.probes.evaluate import evaluate
    from pretrain.training.train import train

_MODULES = {
    "train": "pretrain.training.train",
    "evaluate": "pretrain.probes.evaluate",
    "load_backbone": "pretrain.backbones",
    "hypergradient": "pretrain.method.bilevel",
    "Problem": "pretrain.method.bilevel",
    "Weights": "pretrain.method.trial_step",
    "TrialStep": "pretrain.method.trial_step",
}

__all__ = ["Problem", "TrialStep", "Weights", "__version__", "evaluate", "hypergradient", "load_backbone", "train"]


def __getattr__(name: str) -> Any:
    """Import a public name's module and take the name from it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not, beside what is here already."""
    return sorted({*globals(), *__all__})


if getattr(sys, "argv", [])[:1] == ["-m"]:  # Python's sign that it is looking for the module that `python -m` names
    from pretrain.commands.verbs import advice

    if _advice := advice(sys.orig_argv):
        sys.exit(_advice)
