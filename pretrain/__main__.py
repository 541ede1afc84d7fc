"""``python -m pretrain CONFIG --data DIR --work-dir DIR``: images without labels in, ``backbone.safetensors`` out.

``python -m pretrain evaluate WEIGHTS --data DIR ...`` judges such a file on images with classes.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pretrain import __version__
from pretrain.errors import InputError, Interrupted, RankLost, ReportedElsewhere

if TYPE_CHECKING:  # settings and plan import torch
    from pretrain.settings.schema import Settings
    from pretrain.training.plan import Plan

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
    evaluates = argv[:1] == ["evaluate"]
    args = _evaluation_parser().parse_args(argv[1:]) if evaluates else _parser().parse_args(argv)
    rank = int(os.environ.get("RANK", "0"))
    level = logging.INFO if rank == 0 else logging.ERROR
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    try:
        return _evaluate(args) if evaluates else _run(args)
    except InputError as error:
        print(f"pretrain: {error}", file=sys.stderr)
        return 1
    except ReportedElsewhere:
        return 1
    except RankLost as error:
        if rank < 2:  # rank 0 speaks, and rank 1 in case it is rank 0 that died
            print(f"pretrain: rank {rank}: another rank is gone ({error}); {_ADVICE}", file=sys.stderr)
        return 1
    except Interrupted as error:
        if rank == 0:
            print(
                f"pretrain: interrupted; saved after iteration {error.iteration}, go on with --resume", file=sys.stderr
            )
        return 128 + error.signum
    except KeyboardInterrupt:
        advice = "nothing was written" if evaluates else "go on with --resume from the last checkpoint"
        print(f"pretrain: interrupted; {advice}", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace) -> int:
    from pretrain.data.sources import open_source
    from pretrain.distributed import ranks
    from pretrain.settings.config_files import read_config
    from pretrain.settings.schema import load_settings
    from pretrain.training.hooks import clock
    from pretrain.training.plan import make_plan
    from pretrain.training.train import check_processes, train

    def look() -> tuple[Settings, Plan]:
        settings = load_settings(read_config(args.config, args.cfg_options))
        check_processes(settings)
        return settings, make_plan(settings, open_source(args.data, args.annotations), args.work_dir)

    with ranks.started():
        # After torchrun's own restart the command line is still that of the first start; each agent counts its own.
        restarted = ranks.any_rank(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0)
        resume = args.resume or restarted
        settings, plan = ranks.together(look)
        ranks.check_same(plan.data_record()["fingerprint"], "the images")
        if args.dry_run:
            return _rehearse(settings, plan, args.init)
        began = time.perf_counter()
        train(settings, plan, init=args.init, resume=resume, allow_change=args.allow_change)
        logging.getLogger("pretrain").info("done in %s", clock(time.perf_counter() - began))
    return 0


def _rehearse(settings: Settings, plan: Plan, init: Path | None) -> int:
    from pretrain.distributed import ranks
    from pretrain.training.rehearsal import describe, rehearse

    estimate = rehearse(settings, plan, init)
    if ranks.rank() == 0:
        print(describe(estimate, settings, plan))
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from pretrain.probes.evaluate import run

    return run(args)


def _evaluation_parser() -> argparse.ArgumentParser:
    from pretrain.probes.evaluate import add_arguments

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
        help="build everything, train for a few iterations in a folder that goes away, and say memory (of every rank), "
        "images per second (of all together), share of the time waiting for data, and the time of the whole job",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the newest sound checkpoint in --work-dir; where there is none yet, begin",
    )
    parser.add_argument(
        "--allow-change",
        action="store_true",
        help="resume although settings, images or versions differ from those that the run began with",
    )
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
