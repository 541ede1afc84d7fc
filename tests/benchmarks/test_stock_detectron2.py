"""The other side of `benchmarks.finetune`: Detectron2's own trainer and predictor on what a run of ours leaves."""

import json

import pytest

from benchmarks import stock_detectron2
from tests.cases.coco_sets import write_coco
from tests.cases.finetuning import TINY, run
from transfer.finetuning.predict import predict


# Detectron2's own conversion of masks to run lengths, with NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_its_predictor_gives_the_detections_of_ours(tmp_path):
    train, val = write_coco(tmp_path / "train", 3, seed=1), write_coco(tmp_path / "val", 2)
    few = ("SOLVER.BASE_LR", "0.0001", "TEST.DETECTIONS_PER_IMAGE", "5")
    folder = tmp_path / "run"
    run("--init", "random", "--seed", 0, "--train", *train, "--val", *val, "OUTPUT_DIR", folder, *TINY, *few)
    out = tmp_path / "theirs.json"
    assert stock_detectron2.main(["predict", str(folder), val[0], str(out)]) == 0
    theirs = sorted((d["image_id"], round(d["score"], 4)) for d in json.loads(out.read_text()))
    ours = sorted((d["image_id"], round(d["score"], 4)) for d in predict(folder, val[0], score=0.05).detections)
    assert theirs == ours


def test_wrong_words_exit_with_2(capsys):
    assert stock_detectron2.main(["train"]) == 2
    assert "stock_detectron2 train CONFIG" in capsys.readouterr().err
