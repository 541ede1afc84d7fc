"""``python -m pretrain VERB ...``: train or evaluate; ``python -m pretrain CONFIG ...`` is short for the former."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from types import ModuleType

from pretrain import __version__
from pretrain.commands.verbs import VERBS
from pretrain.errors import InputError, Interrupted, RankLost, ReportedElsewhere, one_line, outside_fault

# OpenMP threads that spin while they wait slow a busy machine down by an order of magnitude (8 s instead of 0.7 s an
# iteration, measured with two processes on two cores). Read when torch is loaded, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_ADVICE = "what it said before, or torchrun says below, is the cause; go on with --resume from the last checkpoint"


def main(argv: list[str] | None = None) -> int:
    """Run one training or evaluation.

    Returns:
        0 when done, 1 when the input was at fault (argparse exits with 2 on wrong usage), 128 + n after signal n.
    """
    argv = sys.argv[1:] if argv is None else argv
    verb, args = _parsed(argv)
    rank = int(os.environ.get("RANK", "0"))
    level = logging.INFO if rank == 0 else logging.ERROR
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    try:
        code: int = _command(verb).run(args)
        return code
    except InputError as error:
        return _ended(one_line(error))
    except ReportedElsewhere:
        return 1
    except RankLost as error:
        if rank < 2:  # rank 0 speaks, and rank 1 in case it is rank 0 that died
            _ended(f"rank {rank}: another rank is gone ({error}); {_ADVICE}")
        return 1
    except Interrupted as error:
        line = f"interrupted; saved after iteration {error.iteration}, go on with --resume"
        return _ended(line, 128 + error.signum) if rank == 0 else 128 + error.signum
    except KeyboardInterrupt:
        return _ended(f"interrupted; {_left_behind(verb, args)}", 130)
    except Exception as error:
        fault = outside_fault(error)
        if fault is None:
            raise
        return _ended(fault)


def _left_behind(verb: str, args: argparse.Namespace) -> str:
    """What an interrupt between two checkpoints leaves to go on from."""
    from pretrain.training.checkpoint_files import find_checkpoints

    if verb == "evaluate" or args.dry_run:
        return "nothing was written"
    saved = find_checkpoints(args.work_dir / "checkpoints")
    return f"go on with --resume from {saved[-1]}" if saved else "there is no checkpoint yet: start again"


def _ended(line: str, code: int = 1) -> int:
    print(f"pretrain: {line}", file=sys.stderr)
    return code


def _parsed(argv: list[str]) -> tuple[str, argparse.Namespace]:
    """The verb and its flags; what begins with neither a verb nor a flag is the short form of ``train``."""
    if not argv or argv[0] in ("-h", "--help", "--version"):
        _overview().parse_args(argv)  # ends the program
    verb, rest = (argv[0], argv[1:]) if argv[0] in VERBS else ("train", argv)
    parser = argparse.ArgumentParser(prog=f"python -m pretrain {verb}", description=f"{VERBS[verb].capitalize()}.")
    _command(verb).add_arguments(parser)
    return verb, parser.parse_args(rest)


def _overview() -> argparse.ArgumentParser:
    """What ``python -m pretrain --help`` shows."""
    parser = argparse.ArgumentParser(
        prog="python -m pretrain",
        description="Images without labels in; backbone.safetensors out.",
        epilog="'python -m pretrain CONFIG ...' is short for 'python -m pretrain train CONFIG ...'. A verb's flags: "
        "python -m pretrain VERB --help",
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb, summary in VERBS.items():
        verbs.add_parser(verb, help=summary)
    return parser


def _command(verb: str) -> ModuleType:
    return importlib.import_module(f"pretrain.commands.{verb}")


if __name__ == "__main__":
    sys.exit(main())
