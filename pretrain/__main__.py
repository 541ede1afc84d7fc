"""``python -m pretrain CONFIG --data DIR --work-dir DIR``: images without labels in, ``backbone.safetensors`` out.

``python -m pretrain evaluate WEIGHTS --data DIR ...`` judges such a file on images with classes (`pretrain.evaluate`).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from pretrain import __version__
from pretrain.errors import InputError

# OpenMP threads that spin while they wait slow a busy machine down by an order of magnitude (8 s instead of 0.7 s an
# iteration, measured with two processes on two cores). Read when torch is loaded, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def main(argv: list[str] | None = None) -> int:
    """Run one training or evaluation.

    Returns:
        0 when done, 1 when the input was at fault (argparse exits with 2 on wrong usage).
    """
    argv = sys.argv[1:] if argv is None else argv
    evaluates = argv[:1] == ["evaluate"]
    args = _evaluation_parser().parse_args(argv[1:]) if evaluates else _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    try:
        return _evaluate(args) if evaluates else _run(args)
    except InputError as error:
        print(f"pretrain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        advice = "nothing was written" if evaluates else "go on with --resume from the last checkpoint"
        print(f"pretrain: interrupted; {advice}", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace) -> int:
    from pretrain.config import read_config
    from pretrain.hooks import clock
    from pretrain.plan import make_plan
    from pretrain.settings import load_settings
    from pretrain.sources import open_source
    from pretrain.train import train

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # The losses and the norms would see one process's part of the batch each, and all would write one folder.
        raise InputError(
            f"launcher: expected one process (one GPU, or the CPU), found {os.environ['WORLD_SIZE']}; several are not "
            "supported yet"
        )
    settings = load_settings(read_config(args.config, args.cfg_options))
    plan = make_plan(settings, open_source(args.data, args.annotations), args.work_dir)
    if args.dry_run:
        from pretrain.rehearsal import describe, rehearse

        print(describe(rehearse(settings, plan, args.init), settings, plan))
        return 0
    began = time.perf_counter()
    train(settings, plan, init=args.init, resume=args.resume)
    logging.getLogger("pretrain").info("done in %s", clock(time.perf_counter() - began))
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from pretrain.evaluate import run

    return run(args)


def _evaluation_parser() -> argparse.ArgumentParser:
    from pretrain.evaluate import add_arguments

    parser = argparse.ArgumentParser(
        prog="python -m pretrain evaluate", description="Judge frozen features on images with classes."
    )
    add_arguments(parser)
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pretrain",
        description="Pretrain a backbone on unlabelled images.",
        epilog="To judge a backbone's features on images with classes: python -m pretrain evaluate --help",
    )
    parser.add_argument("config", type=Path, help="a Python config, such as configs/pretrain/metamask_r18_any_100e.py")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help="folders of images, searched recursively; or a .txt list of images; or WebDataset shards (.tar files, a "
        "folder of them, or a pattern such as 'train-{000..146}.tar')",
    )
    parser.add_argument(
        "--annotations", type=Path, help="COCO annotation file: take only the images that it lists (default: all)"
    )
    parser.add_argument("--work-dir", type=Path, required=True, help="folder for checkpoints, logs and weights")
    parser.add_argument(
        "--init",
        type=Path,
        help="weights to start from: backbone.safetensors, or what 'transfer convert --to torchvision' wrote (default: "
        "random weights)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="build everything, train for a few iterations in a folder that goes away, and say memory, images per "
        "second, share of the time waiting for data, and the time of the whole job",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --work-dir")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="change settings of the config, such as data.batch=128 optimizer.lr=0.1 (default: none)",
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser


if __name__ == "__main__":
    sys.exit(main())
