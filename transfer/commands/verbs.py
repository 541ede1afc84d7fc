"""The verbs of ``python -m transfer``, each a module of this folder, in the order in which they are used."""

from __future__ import annotations

import re
from collections.abc import Sequence

VERBS = ("inspect", "convert", "verify", "doctor", "finetune", "evaluate", "predict", "report", "study", "show", "demo")


def advice(words: Sequence[str]) -> str | None:
    """What to type instead of ``python -m transfer.report`` and the like; None when nothing is to be said.

    Args:
        words: Python's own command line (``sys.orig_argv``).
    """
    flags = ((i, re.fullmatch(r"-[bBdEiIOPqsSuvx]*m(.*)", word)) for i, word in enumerate(words))
    place, flag = next(((i, match) for i, match in flags if match), (0, None))
    module = "" if flag is None else flag[1] or "".join(words[place + 1 : place + 2])
    package, _, verb = module.rpartition(".")
    if package.partition(".")[0] != "transfer" or verb not in VERBS or module == "transfer.demo":  # which can be run
        return None
    return f"{module} is no command of its own: expected python -m transfer {verb}; add --help for its arguments"
