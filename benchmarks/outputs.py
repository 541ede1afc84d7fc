"""What the benchmarks' command lines share: how they fail, a line of progress, and files that take the figures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pretrain.errors import InputError as PretrainInputError
from transfer.errors import InputError as TransferInputError


class Failed(Exception):
    """What ends a benchmark, in one line."""


def status(program: str, work: Callable[[], object], interrupted: str) -> int:
    """Do ``work``; what the command exits with: 0, or after one line on stderr 1 (it failed) or 130 (Ctrl-C).

    Args:
        program: name the line begins with.
        work: the command, which raises where it cannot go on.
        interrupted: what an interrupt leaves behind, or how to go on.
    """
    try:
        work()
    except (Failed, PretrainInputError, TransferInputError, OSError) as error:
        message, code = str(error), 1
    except KeyboardInterrupt:
        message, code = f"interrupted; {interrupted}", 130
    else:
        return 0
    progress("")
    print(f"{program}: {message}", file=sys.stderr)
    return code


def progress(text: str) -> None:
    """Replace the terminal's last line; nothing where stderr is no terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def add_arguments(parser: argparse.ArgumentParser, *, markdown: bool = False) -> None:
    """Add --json and, for tables worth keeping as they are, --markdown."""
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here too")
    if markdown:
        parser.add_argument("--markdown", type=Path, metavar="OUT", help="write the tables here too")


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with the parser's error where a file could not be written: said now, not after an hour."""
    for path in filter(None, (args.json, getattr(args, "markdown", None))):
        if not path.parent.is_dir():
            parser.error(f"{path}: expected an existing folder, found none at {path.parent}; make it first")


def finish(args: argparse.Namespace, figures: dict[str, Any], text: str) -> None:
    """Print ``text`` where the line of progress was, and write what was asked for."""
    progress("")
    print(text, end="")
    write(args, figures, text)


def write(args: argparse.Namespace, figures: dict[str, Any], text: str = "") -> None:
    """Write what was asked for: ``figures`` as JSON, ``text`` as Markdown."""
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if getattr(args, "markdown", None):
        args.markdown.write_text(text, encoding="utf-8")
