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
    flag = next((i for i, word in enumerate(words) if re.match("-[a-zA-Z]*m", word)), len(words))
    module = "".join(words[flag : flag + 2]).partition("m")[2]  # `-m NAME`, `-mNAME` and `-Im NAME`
    package, _, verb = module.rpartition(".")
    if package.partition(".")[0] != "transfer" or verb not in VERBS or module == "transfer.demo":  # which can be run
        return None
    return f"{module} is no command of its own: expected python -m transfer {verb}; add --help for its arguments"
