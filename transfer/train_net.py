"""``python -m transfer.train_net``: fine-tune a Detectron2 detector from given weights, evaluate it, record the run."""

from __future__ import annotations

import argparse
import os
import sys

from transfer.errors import InputError

EPILOG = """KEY VALUE pairs override the config, e.g. OUTPUT_DIR runs/a SOLVER.MAX_ITER 1000.
example: python -m transfer.train_net --config-file configs/segmentation/any_mask_rcnn_R_18_FPN_small.yaml
--init backbone_d2.pth --train train_images train.json --val val_images val.json OUTPUT_DIR runs/a"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    p = argparse.ArgumentParser(prog="python -m transfer.train_net", description=__doc__.split(": ")[1], epilog=EPILOG)
    p.add_argument("--config-file", required=True, metavar="FILE", help="a path, or the name of a packaged config")
    data = p.add_argument_group("data (default: the config's DATASETS, through DETECTRON2_DATASETS)")
    data.add_argument(
        "--train", nargs=2, metavar=("IMAGES", "ANN"), help="image folder and COCO-format file to train on"
    )
    data.add_argument(
        "--val", nargs=2, metavar=("IMAGES", "ANN"), help="image folder and COCO-format file to measure on"
    )
    data.add_argument(
        "--train-voc",
        action="append",
        metavar="ROOT:SPLIT",
        help="VOC folder and image list to train on, e.g. VOC2007:trainval; may be given again",
    )
    data.add_argument("--val-voc", metavar="ROOT:SPLIT", help="VOC folder and image list to measure on")
    data.add_argument(
        "--labels",
        type=_labels,
        metavar="SHARE",
        help="train on a fixed part of the images: 1%%, 10%%, or a number; small parts inside large ones",
    )
    data.add_argument("--labels-seed", type=_seed, default=0, metavar="S", help="decides which part (default 0)")
    weights = p.add_argument_group("weights")
    weights.add_argument(
        "--init", metavar="random|FILE", help="random, or a file from `transfer convert` (default: MODEL.WEIGHTS)"
    )
    weights.add_argument(
        "--allow-partial", action="store_true", help="go on when the file lacks tensors of the backbone"
    )
    weights.add_argument("--freeze-backbone", action="store_true", help="do not train the backbone (FREEZE_AT 5)")
    course = p.add_argument_group("schedule")
    course.add_argument(
        "--lr", type=_lr, metavar="auto|LR", help="learning rate; auto finds one for these weights in 100 iterations"
    )
    course.add_argument(
        "--lr-scale",
        choices=["batch"],
        help="scale LR, warm-up and length from the config's batch to SOLVER.IMS_PER_BATCH",
    )
    course.add_argument(
        "--schedule-scale", type=_factor, metavar="F", help="multiply length and steps, e.g. 0.25 for few labels"
    )
    course.add_argument("--amp", action="store_true", help="mixed precision (SOLVER.AMP.ENABLED; GPUs only)")
    course.add_argument("--channels-last", action="store_true", help="that memory format (faster on some GPUs)")
    course.add_argument(
        "--precise-bn",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="true BatchNorm statistics before each evaluation (default: the config's, on)",
    )
    run = p.add_argument_group("run")
    run.add_argument("--name", help="what reports call the run (default: the output folder's name)")
    run.add_argument("--seed", type=_seed, help="whole number from 0; fixes heads, image order and augmentation")
    run.add_argument("--resume", action="store_true", help="continue the run in OUTPUT_DIR, with the same arguments")
    run.add_argument(
        "--eval-only", action="store_true", help="only measure; results go to OUTPUT_DIR/evaluation (replaced if there)"
    )
    machines = p.add_argument_group("machines")
    machines.add_argument("--num-gpus", type=_positive, default=1, metavar="N", help="GPUs per machine (default 1)")
    machines.add_argument("--num-machines", type=_positive, default=1, metavar="M", help="machines (default 1)")
    machines.add_argument("--machine-rank", type=int, default=0, metavar="R", help="this machine, from 0 (default 0)")
    machines.add_argument(
        "--dist-url", default="auto", metavar="URL", help="the first machine, e.g. tcp://host:port (default: this one)"
    )
    p.add_argument("opts", nargs="*", metavar="KEY VALUE", help="config overrides")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0 when done, 1 when the input was at fault (argparse exits with 2 on usage)."""
    args = parser().parse_intermixed_args(argv)
    # Threads that spin while they wait are fast on an idle machine and ruinous on a busy one: with one more process on
    # 2 cores an iteration took over 10 s, and 0.7 s with threads that sleep. OpenMP reads it when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # After parsing: importing Detectron2 takes seconds, which --help and a mistyped flag need not.
    from transfer.finetuning import logs

    try:
        with logs.quiet():
            from transfer.finetuning import plan
            from transfer.finetuning import run as finetuning_run

            _check_devices(args)
            with logs.logging_to(None, rank=args.machine_rank):
                prepared = plan.prepare(args)
            return _launch(args, prepared, finetuning_run.start)
    except InputError as error:
        print(f"transfer.train_net: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("transfer.train_net: interrupted; continue with --resume", file=sys.stderr)
        return 130


def _launch(args: argparse.Namespace, prepared: object, work: object) -> int:
    from detectron2.engine import launch
    from torch.multiprocessing.spawn import ProcessExitedException

    try:
        launch(work, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=(prepared,))
    except ProcessExitedException as error:
        if error.exit_code == 1:
            return 1  # the process has said why
        raise InputError(f"a process of the run ended early ({error}); see log.txt in OUTPUT_DIR") from error
    return 0


def _check_devices(args: argparse.Namespace) -> None:
    import torch

    found = torch.cuda.device_count()
    if args.num_gpus > max(found, 1):
        raise InputError(f"--num-gpus: expected at most {found} on this machine, found {args.num_gpus}; ask for fewer")
    if not 0 <= args.machine_rank < args.num_machines:
        last = args.num_machines - 1
        raise InputError(
            f"--machine-rank: expected 0 to {last} (--num-machines), found {args.machine_rank}; correct it"
        )
    if args.num_machines > 1 and args.dist_url == "auto":
        raise InputError("--dist-url: expected the first machine's tcp://host:port with --num-machines, found none")


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"expected 0 to {2**31 - 1}, found {value}")
    return value


def _labels(text: str) -> str:
    from transfer.data import labels

    return labels.argument(text)


def _lr(text: str) -> float | str:
    return text if text == "auto" else _factor(text)


def _factor(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
