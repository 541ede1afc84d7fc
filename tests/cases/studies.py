"""A study in memory, with inputs that were not looked up."""

from pathlib import Path

from transfer.studies.data_sets import DataSet
from transfer.studies.inputs import Inputs
from transfer.studies.schema import Data, Detector, Start, Study
from transfer.studies.steps import Steps

# A study file that can be read; one line of it is changed at a time.
GOOD = """
data:
  train: [images, train.json]
  val: [images, val.json]
  unlabelled: [images]
starts:
  random: random
  simclr: {pretrain: simclr_r18_any_100e, options: {schedule.epochs: 2}}
  moco: {file: moco.pth.tar}
seeds: [0, 1]
labels: [10%, 100%]
detector:
  config: digits_mask_rcnn_R_18_FPN_demo
  options:
    SOLVER.STEPS: (1,)
    SOLVER.MAX_ITER: 2
"""

PARTS = (("images", "train.json"), ("images", "val.json"))
SETTINGS = {
    "backbone": {"arch": "resnet18"},
    "schedule": {"epochs": 10, "iterations": None},
    "data": {"batch": 8},
    "run": {"keep": 2},
}


def make_steps(out=Path("out"), starts=None, data_key="d", **changes):
    """Steps of a study of random weights, SimCLR and a file, two seeds and two shares of the labels."""
    starts = starts or {
        "random": Start(),
        "simclr": Start(pretrain="simclr_r18_any_100e", options={"schedule.epochs": 10}),
        "moco": Start(file="moco.pth"),
    }
    fields = {
        "data": Data(train=PARTS[0], val=PARTS[1], unlabelled=("images",)),
        "starts": starts,
        "detector": Detector("digits_mask_rcnn_R_18_FPN_demo"),
        "seeds": (0, 1),
        "labels": ("10%", "100%"),
    }
    study = Study(**(fields | changes))
    pretrained = {name: {**SETTINGS, "options": start.options} for name, start in starts.items() if start.pretrain}
    inputs = Inputs(
        data=DataSet(("--train", *PARTS[0], "--val", *PARTS[1]), data_key, 100, PARTS),
        unlabelled=("images",),
        unlabelled_key="u",
        settings=pretrained,
        keys={name: "f" for name, start in starts.items() if start.file or start.detector or start.init},
        arch=dict.fromkeys(starts, "resnet18"),
        detector_key="c",
    )
    return Steps(study, inputs, out)
