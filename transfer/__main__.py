"""``python -m transfer VERB ...``: one verb, one module with ``add_arguments(parser)`` and ``run(args) -> int``."""

from __future__ import annotations

import argparse
import importlib
import sys

from transfer import __version__
from transfer.errors import InputError

# verb -> (module, what it does). Modules are imported only when their verb is asked for: Detectron2 takes seconds.
VERBS = {
    "inspect": ("transfer.commands.inspect", "say what a checkpoint is"),
    "convert": ("transfer.conversion.convert", "rewrite a backbone for another framework, completely or not at all"),
    "verify": ("transfer.conversion.proof", "prove that two files hold the same backbone"),
    "doctor": ("transfer.doctor.examine", "find what would spoil a run before it costs GPU hours"),
    "evaluate": (
        "transfer.evaluation.evaluate",
        "measure detections on a ground truth: AP, AR, what each kind of error costs",
    ),
    "predict": ("transfer.finetuning.predict", "run a finished run's detector over a folder of images"),
    "report": ("transfer.reporting.report", "compare finished runs"),
    "study": ("transfer.commands.study", "run a whole comparison from a file, and go on with it"),
    "show": ("transfer.commands.show", "draw what a run found in images of its val set"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb; return 0 when done, 1 when the input was at fault (argparse exits with 2 on wrong usage)."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m transfer", description=__doc__.split(":")[0].strip("`"))
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    asked = argv[0] if argv else None
    for verb, (module, summary) in VERBS.items():
        sub = verbs.add_parser(verb, help=summary, description=summary)
        if verb == asked:
            importlib.import_module(module).add_arguments(sub)
    args = parser.parse_args(argv)
    try:
        return importlib.import_module(VERBS[args.verb][0]).run(args)
    except InputError as error:
        print(f"transfer {args.verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"transfer {args.verb}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
