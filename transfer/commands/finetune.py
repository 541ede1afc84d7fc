"""The arguments of ``python -m transfer finetune``, and of ``python -m transfer.train_net``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transfer.finetuning.request import Request

SUMMARY = "fine-tune a Detectron2 detector from given weights, evaluate it, record the run"
EPILOG = """KEY VALUE pairs override the config, e.g. OUTPUT_DIR runs/a SOLVER.MAX_ITER 1000.
example: python -m transfer finetune --config-file configs/segmentation/any_mask_rcnn_R_18_FPN_small.yaml
--init backbone_d2.pth --train train_images train.json --val val_images val.json OUTPUT_DIR runs/a"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("--config-file", required=True, metavar="FILE", help="a path, or the name of a packaged config")
    data = parser.add_argument_group("data (default: the config's DATASETS, through DETECTRON2_DATASETS)")
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
        metavar="SHARE",
        help="train on a fixed part of the images: 1%%, 10%%, or a number; small parts inside large ones",
    )
    data.add_argument("--labels-seed", type=int, default=0, metavar="S", help="decides which part (default 0)")
    weights = parser.add_argument_group("weights")
    weights.add_argument(
        "--init", metavar="random|FILE", help="random, or a file from `transfer convert` (default: MODEL.WEIGHTS)"
    )
    weights.add_argument(
        "--init-detector",
        metavar="FILE",
        help="a whole detector of Detectron2 or torchvision instead; heads of other classes are drawn anew",
    )
    weights.add_argument(
        "--convention",
        metavar="NAME",
        help="how it was fed: imagenet, imagenet228, msra (default: the config.yaml beside it; torchvision's own)",
    )
    weights.add_argument(
        "--allow-partial",
        action="store_true",
        help="go on when the file lacks tensors of the backbone or detector, or has others",
    )
    weights.add_argument("--freeze-backbone", action="store_true", help="do not train the backbone (FREEZE_AT 5)")
    course = parser.add_argument_group("schedule")
    course.add_argument(
        "--lr", type=_lr, metavar="auto|LR", help="learning rate; auto finds one for these weights in 100 iterations"
    )
    course.add_argument(
        "--lr-scale",
        choices=["batch"],
        help="scale LR, warm-up and length from the config's batch to SOLVER.IMS_PER_BATCH",
    )
    course.add_argument(
        "--backbone-lr-factor",
        type=float,
        metavar="F",
        help="learning rate of the backbone relative to the rest (default 1)",
    )
    course.add_argument(
        "--schedule-scale", type=float, metavar="F", help="multiply length and steps, e.g. 0.25 for few labels"
    )
    course.add_argument("--amp", action="store_true", help="mixed precision (SOLVER.AMP.ENABLED; GPUs only)")
    course.add_argument("--channels-last", action="store_true", help="that memory format (faster on some GPUs)")
    course.add_argument(
        "--precise-bn",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="true BatchNorm statistics before each evaluation (default: the config's, on)",
    )
    run = parser.add_argument_group("run")
    run.add_argument("--name", help="what reports call the run (default: the output folder's name)")
    run.add_argument("--seed", type=int, help="whole number from 0; fixes heads, image order and augmentation")
    run.add_argument("--resume", action="store_true", help="continue the run in OUTPUT_DIR, with the same arguments")
    run.add_argument(
        "--track",
        action="append",
        metavar="wandb|mlflow",
        help="send every logged number there too; may be given twice (default: nowhere; TensorBoard's files are always "
        "written)",
    )
    run.add_argument(
        "--eval-only", action="store_true", help="only measure; results go to OUTPUT_DIR/evaluation (replaced if there)"
    )
    run.add_argument("--dry-run", action="store_true", help="check everything that can be checked, and write nothing")
    machines = parser.add_argument_group("machines")
    machines.add_argument("--num-gpus", type=int, default=1, metavar="N", help="GPUs per machine (default 1)")
    machines.add_argument("--num-machines", type=int, default=1, metavar="M", help="machines (default 1)")
    machines.add_argument("--machine-rank", type=int, default=0, metavar="R", help="this machine, from 0 (default 0)")
    machines.add_argument(
        "--dist-url", default="auto", metavar="URL", help="the first machine, e.g. tcp://host:port (default: this one)"
    )
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="config overrides")


def run(args: argparse.Namespace) -> int:
    """Train and measure; the run itself prints its AP and where its record lies."""
    from transfer.finetuning import logs, waiting

    waiting.choose()

    with logs.quiet():  # what Detectron2 says when it is imported
        from transfer.finetuning import finetune

    finetune.carry_out(request(args))
    return 0


def request(args: argparse.Namespace) -> Request:
    """Return what the flags ask for: a field is named as its flag is."""
    from transfer.finetuning.request import Request

    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in vars(args).items()
    }
    return Request(**(fields | {"train_voc": tuple(args.train_voc or ()), "track": tuple(args.track or ())}))


def _lr(text: str) -> float | str:
    return text if text == "auto" else float(text)
