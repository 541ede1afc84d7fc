"""Which of two pretrained backbones makes the better detector? Convert, fine-tune with three seeds each, report.

    python examples/compare_two_backbones.py --backbones a.safetensors b.pth --names ours theirs \\
        --train train/ train.json --val val/ val.json --out comparison

The data are COCO-format sets of any kind (``python -m transfer.demo.digits --out digits`` makes a small one), the
backbones any checkpoint that ``python -m transfer inspect`` recognises. One run with the packaged small config takes
minutes on a CPU; a GPU and a larger config (``--config``) change nothing else. An interrupted comparison goes on where
it was when the same command is given again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import transfer


def compare(
    backbones: dict[str, Path],
    train: tuple[str, str],
    val: tuple[str, str],
    out: Path,
    config: str = "any_mask_rcnn_R_18_FPN_small",
    seeds: int = 3,
    settings: dict[str, Any] | None = None,
) -> Path:
    """Fine-tune one detector from each backbone with each seed, and write the report; return its page.

    Args:
        backbones: what the report calls a backbone -> its checkpoint. The first is what the others are compared with.
        train: (image folder, COCO-format file) to train on.
        val: the same, to measure on.
        out: folder for weights, runs and report.
        config: the detector's config.
        seeds: runs of each backbone; three are the fewest from which seeds give an interval.
        settings: config key -> value, the same for every run.
    """
    runs = []
    for name, checkpoint in backbones.items():
        weights = out / "weights" / f"{name}.pth"
        if not weights.exists():
            weights.parent.mkdir(parents=True, exist_ok=True)
            transfer.convert(checkpoint, "detectron2", weights)  # proves that nothing was lost, or raises
        for seed in range(seeds):
            # The same seed gives both detectors the same heads, image order and augmentation: the runs are paired.
            folder = out / "runs" / f"{name}-seed{seed}"
            if not (folder / "record.json").exists():
                transfer.finetune(
                    config, weights, train, val, folder, seed=seed, settings=settings, resume=folder.exists()
                )
            # A report groups runs by what they start from: here by the name that the backbone goes by. The record lies
            # in the run's folder, where the report looks for its training curves.
            record = folder / "named.json"
            transfer.evaluate(out=record, run=folder, init=name, name=f"{name}-seed{seed}", force=True)
            runs.append(record)
    report = transfer.report(runs, out / "report", baseline=next(iter(backbones)))
    return report.paths[0]


def main() -> None:
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backbones", type=Path, nargs=2, required=True, metavar="FILE", help="the two checkpoints")
    parser.add_argument("--names", nargs=2, default=["first", "second"], metavar="NAME", help="what to call them")
    parser.add_argument("--train", nargs=2, required=True, metavar=("IMAGES", "ANN"), help="COCO-format training set")
    parser.add_argument("--val", nargs=2, required=True, metavar=("IMAGES", "ANN"), help="COCO-format val set")
    parser.add_argument(
        "--config", default="any_mask_rcnn_R_18_FPN_small", help="detector config (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each backbone (default 3)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for everything")
    args = parser.parse_args()
    backbones = dict(zip(args.names, args.backbones, strict=True))
    page = compare(backbones, tuple(args.train), tuple(args.val), args.out, args.config, args.seeds)
    print(f"the report: {page}")


if __name__ == "__main__":
    try:
        main()
    except transfer.InputError as error:
        raise SystemExit(f"compare_two_backbones: {error}") from None
