"""``python -m transfer VERB ...``: one verb, one module of ``transfer/commands``."""

from __future__ import annotations

import argparse
import importlib
import sys
from types import ModuleType

from transfer import __version__
from transfer.commands import entry
from transfer.commands.verbs import VERBS


def main(argv: list[str] | None = None) -> int:
    """Run one verb; return 0 when done, 1 when the input was at fault (argparse exits with 2 on wrong usage)."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in VERBS:  # a module is imported only when its verb is asked for
        return entry.main(_module(argv[0]), f"transfer {argv[0]}", argv[1:])
    parser = argparse.ArgumentParser(prog="python -m transfer", description="one verb at a time:")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for verb in VERBS:
        verbs.add_parser(verb, help=_module(verb).SUMMARY)
    parser.parse_args(argv)
    raise AssertionError("argparse ends without a verb")


def _module(verb: str) -> ModuleType:
    return importlib.import_module(f"transfer.commands.{verb}")


if __name__ == "__main__":
    sys.exit(main())
