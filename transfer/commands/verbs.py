"""The verbs of ``python -m transfer``, each a module of this folder, in the order in which they are used."""

from __future__ import annotations

import re
from collections.abc import Sequence

VERBS = (
    "inspect",
    "convert",
    "verify",
    "data",
    "doctor",
    "finetune",
    "evaluate",
    "predict",
    "export",
    "report",
    "study",
    "show",
    "demo",
)
# What ``python -m`` runs, besides the package itself.
RUN_DIRECTLY = ("transfer", "transfer.demo", "transfer.demo.digits", "transfer.train_net")


def advice(words: Sequence[str]) -> str | None:
    """What to type instead of a module of this package that ``python -m`` cannot run; None when there is no need.

    Args:
        words: Python's own command line (``sys.orig_argv``).
    """
    module = _module(words).removesuffix(".__main__")
    if module.partition(".")[0] != "transfer" or module in RUN_DIRECTLY:
        return None
    verb = module.rpartition(".")[2]
    if verb in VERBS:
        return f"{module} is no command of its own: expected python -m transfer {verb}; add --help for its arguments"
    return f"{module} is no command: expected python -m transfer VERB; python -m transfer --help lists the verbs"


def _module(words: Sequence[str]) -> str:
    """What follows Python's ``-m``, in the same word or as the next one; empty without it."""
    for i, word in enumerate(words):
        if flag := re.fullmatch(r"-[bBdEiIOPqsSuvx]*m(.*)", word):
            return flag[1] or "".join(words[i + 1 : i + 2])
    return ""
