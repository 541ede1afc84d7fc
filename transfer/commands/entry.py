"""One command from its words to its exit code."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from transfer.exit_codes import exit_code


def main(module: ModuleType, prog: str, argv: list[str] | None) -> int:
    """Run the command of ``module`` with the words ``argv`` (None: the process's).

    Returns:
        0 when done, 1 when the input or the machine was at fault, 128 + N when signal N ended it; argparse exits with 2
        on wrong usage.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=module.SUMMARY)
    module.add_arguments(parser)
    args = parser.parse_intermixed_args(argv)
    return exit_code(prog, lambda: int(module.run(args)))


@contextmanager
def notes() -> Iterator[None]:
    """Show the warnings that the library logs on stderr, as they stand."""
    logger, handler = logging.getLogger("transfer"), logging.StreamHandler(sys.stderr)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)
