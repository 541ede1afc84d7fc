"""What a user of Detectron2 would write with its own parts: the side that `benchmarks.finetune` compares with.

python -m benchmarks.stock_detectron2 train CONFIG TRAIN_IMAGES TRAIN_JSON VAL_IMAGES VAL_JSON OUT
python -m benchmarks.stock_detectron2 predict RUN IMAGES OUT

CONFIG is the ``config.yaml`` that `transfer finetune` leaves: the same settings to the last key.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.data.datasets import register_coco_instances
from detectron2.engine import DefaultPredictor, DefaultTrainer, default_setup
from detectron2.evaluation import COCOEvaluator
from detectron2.evaluation.coco_evaluation import instances_to_coco_json


class Trainer(DefaultTrainer):
    """Detectron2's trainer with the one method that it leaves to its users."""

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> COCOEvaluator:
        """COCO's, as Detectron2's own training script has it."""
        return COCOEvaluator(dataset_name, output_dir=str(Path(cfg.OUTPUT_DIR) / "inference"))


def train(config: Path, train_set: tuple[str, str], val_set: tuple[str, str], out: Path) -> None:
    """Train and evaluate; each set is (image folder, COCO file)."""
    cfg = _config(config)
    for names, (images, truth) in ((cfg.DATASETS.TRAIN, train_set), (cfg.DATASETS.TEST, val_set)):
        register_coco_instances(names[0], {}, truth, images)
    cfg.OUTPUT_DIR = str(out)
    cfg.freeze()
    default_setup(cfg, _Arguments())
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()


def predict(run: Path, images: Path, out: Path) -> None:
    """Detections of all images as a COCO results file, through `DefaultPredictor` in a loop."""
    cfg = _config(run / "config.yaml")
    cfg.MODEL.WEIGHTS = str(run / (run / "last_checkpoint").read_text(encoding="utf-8").strip())
    cfg.DATASETS.TEST = ()
    predictor = DefaultPredictor(cfg)
    detections: list[dict[str, Any]] = []
    for number, file in enumerate(sorted(images.iterdir()), 1):
        output = predictor(cv2.imread(str(file)))
        detections += instances_to_coco_json(output["instances"].to("cpu"), number)
    out.write_text(json.dumps(detections), encoding="utf-8")


class _Arguments:
    """What `default_setup` reads of a command line."""

    config_file = ""
    eval_only = False

    def __str__(self) -> str:
        return "benchmarks.stock_detectron2"


def _config(file: Path) -> CfgNode:
    cfg = get_cfg()
    cfg.merge_from_file(str(file))
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    return cfg


def main(argv: list[str]) -> int:
    """Do what the words say."""
    if argv[:1] == ["train"] and len(argv) == 7:
        train(Path(argv[1]), (argv[2], argv[3]), (argv[4], argv[5]), Path(argv[6]))
    elif argv[:1] == ["predict"] and len(argv) == 4:
        predict(*map(Path, argv[1:]))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
