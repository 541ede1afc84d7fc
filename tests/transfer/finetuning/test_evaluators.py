"""An LVIS set is measured by hotcoco as Detectron2 measures it by the LVIS API."""

import json

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.data.datasets import register_lvis_instances
from detectron2.evaluation import LVISEvaluator
from detectron2.structures import Boxes, Instances

from tests.cases.coco_sets import edit, write_coco
from tests.cases.detector_sets import write_lvis_home
from transfer.evaluation import detections, ground_truth
from transfer.finetuning.evaluators import LVIS_FILE_NAME, LvisEvaluator

# pycocotools 2.0.11 and lvis 0.5.3 meet newer Pythons and numpys; nothing here can change that.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning"),
]
CLASSES = 4


@pytest.fixture
def lvis(tmp_path):
    """40 images, each with two objects, and a class known to be absent; the name in Detectron2's catalog."""
    images, ann = write_coco(tmp_path / "set", 40)
    edit(ann, lambda c: [a.update(category_id=1 + a["id"] % CLASSES) for a in c["annotations"]])
    edit(ann, lambda c: c["annotations"].extend([{**a, "id": a["id"] + 100} for a in c["annotations"][::2]]))
    write_lvis_home(images, ann, tmp_path)
    file = tmp_path / "lvis/lvis_v1_val.json"
    edit(file, lambda c: [i.update(neg_category_ids=[1, 3], not_exhaustive_category_ids=[2]) for i in c["images"]])
    name = f"lvis_v1_{tmp_path.name}"
    register_lvis_instances(name, {"thing_classes": [str(i) for i in range(1203)]}, str(file), str(tmp_path / "coco/"))
    return name


def outputs(file):
    """Detections near the objects and elsewhere, of the right and of wrong classes: (input, output) of each image."""
    generator = torch.Generator().manual_seed(0)
    content = json.loads(file.read_text())
    for image in content["images"]:
        boxes = [a["bbox"] for a in content["annotations"] if a["image_id"] == image["id"]] * 3
        boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes]).clip(0, 60).float()
        boxes = (boxes + torch.randn(boxes.shape, generator=generator) * 2).clip(0, 64)
        instances = Instances((64, 64), pred_boxes=Boxes(boxes), scores=torch.rand(len(boxes), generator=generator))
        instances.pred_classes = torch.randint(0, CLASSES, (len(boxes),), generator=generator)
        grid = torch.arange(64)
        x, y = (((grid >= boxes[:, i, None]) & (grid < boxes[:, i + 2, None])) for i in (0, 1))
        instances.pred_masks = y[:, :, None] & x[:, None, :]
        yield {"image_id": image["id"]}, {"instances": instances}


def test_the_lvis_api_gives_the_same_numbers(lvis, tmp_path, monkeypatch):
    monkeypatch.setattr(np, "float", float, raising=False)  # its newest version asks for it
    tasks, file = ("bbox", "segm"), tmp_path / "lvis/lvis_v1_val.json"
    theirs = LVISEvaluator(lvis, tasks, output_dir=None, max_dets_per_image=300)
    ours = LvisEvaluator(lvis, tasks, tmp_path / "out")
    for evaluator in (theirs, ours):
        evaluator.reset()
        for one in outputs(file):
            evaluator.process(*([part] for part in one))
    expected, got = theirs.evaluate(), ours.evaluate()
    for task in tasks:
        assert 5 < expected[task]["AP"] < 95
        for metric, value in expected[task].items():
            assert got[task][metric] == pytest.approx(value if value >= 0 else np.nan, abs=1e-9, nan_ok=True), metric
    truth = ground_truth.read(file)
    kept = detections.read(tmp_path / "out" / LVIS_FILE_NAME, truth, tasks)
    assert len(kept) == sum(len(output["instances"]) for _, output in outputs(file))
    assert set(kept.category_ids.tolist()) == set(range(1, CLASSES + 1))
    assert MetadataCatalog.get(lvis).evaluator_type == "lvis"
