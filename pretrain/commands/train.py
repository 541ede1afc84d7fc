"""``python -m pretrain train CONFIG --data DIR --work-dir DIR``: the flags of a training and of its dry run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
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
    parser.add_argument(
        "--objects",
        type=Path,
        nargs=2,
        metavar=("IMAGES", "ANN.json"),
        help="folder of images and COCO annotation file to look at every run.objects_every epochs; its labels are not "
        "trained on (default: none)",
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
        "--track",
        action="append",
        default=[],
        metavar="wandb|mlflow",
        help="send every logged number there too; may be given twice (default: nowhere; TensorBoard's files are always "
        "written)",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="change settings of the config, such as data.batch=128 optimizer.lr=0.1 (default: none)",
    )


def run(args: argparse.Namespace) -> int:
    """Train, or say what training would cost."""
    from pretrain.training.train import dry_run, train

    given = {"annotations": args.annotations, "init": args.init, "overrides": args.cfg_options}
    if not args.dry_run:
        how = {"resume": args.resume, "allow_change": args.allow_change, "track": args.track}
        objects = None if args.objects is None else tuple(args.objects)
        train(args.config, args.data, args.work_dir, objects=objects, **how, **given)
        return 0
    from pretrain.training.rehearsal import describe

    estimate = dry_run(args.config, args.data, **given)
    if os.environ.get("RANK", "0") == "0":  # the estimate is the same on every rank
        print(describe(estimate))
    return 0
