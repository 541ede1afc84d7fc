"""A run as TorchScript: the same detections elsewhere, in a process that knows neither this package nor Detectron2."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cases.coco_sets import write_coco
from tests.cases.finetuning import TINY, run
from transfer import __main__ as transfer
from transfer.errors import InputError
from transfer.finetuning import export, predict

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
ELSEWHERE = """
import json, sys, torch, torchvision
detector = torch.jit.load(sys.argv[1])
outputs = detector(torch.load(sys.argv[2], weights_only=True))
torch.save(outputs, sys.argv[3])
print([name for name in ("transfer", "detectron2") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp("data") / "set", 3)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    both = ["--train", *write_coco(folder.parent / "train", 3, seed=1), "--val", *data]
    run("--init", "random", "--seed", 0, *both, "OUTPUT_DIR", folder, *TINY, "SOLVER.BASE_LR", "0.0001")
    return folder


def test_it_finds_elsewhere_what_the_run_finds_here(finished, data, tmp_path, capsys):
    out = tmp_path / "detector.ts"
    assert transfer.main(["export", str(finished), "--out", str(out), "--images", data[0]]) == 0
    assert "the same on 3 images" in capsys.readouterr().out
    described = json.loads((tmp_path / "detector.ts.json").read_text())
    assert described["outputs"] == ["boxes", "scores", "classes", "masks"]
    assert described["short_side"] == 64
    with torch.no_grad():
        model, ready, _ = predict.load_detector(finished)
        for file in predict.find_images(Path(data[0]))[1]:
            inputs = ready(file)
            torch.save(inputs["image"].float(), tmp_path / "image.pt")
            command = [
                sys.executable,
                "-c",
                ELSEWHERE,
                str(out),
                str(tmp_path / "image.pt"),
                str(tmp_path / "found.pt"),
            ]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
            assert done.stdout.strip() == "[]"
            boxes, scores, classes, masks = torch.load(tmp_path / "found.pt", weights_only=True)
            here = model([inputs])[0]["instances"]  # the images are 64 px, as the detector sees them: nothing is scaled
            assert len(here) == len(boxes) > 0
            torch.testing.assert_close(boxes, here.pred_boxes.tensor)
            torch.testing.assert_close(scores, here.scores)
            assert torch.equal(classes, here.pred_classes)
            assert masks.shape == (len(boxes), 28, 28)


def test_a_traced_detector_that_differs_is_not_written(finished, tmp_path, monkeypatch):
    """As if tracing had fixed what depends on the image."""
    monkeypatch.setattr(export, "_traced", lambda *_: (lambda image: (image * 1.001,), lambda image: (image,)))
    with pytest.raises(InputError, match="the traced detector is another one: expected the same numbers"):
        export.export(finished, tmp_path / "x.ts")
    monkeypatch.setattr(export, "_traced", lambda *_: (lambda image: (image[:1],), lambda image: (image,)))
    with pytest.raises(InputError, match=r"expected \(3, 96, 160\) on an image of \(96, 160\), found \(1, 96, 160\)"):
        export.export(finished, tmp_path / "x.ts")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_one_line(finished, tmp_path):
    (tmp_path / "x.ts").write_text("mine")
    with pytest.raises(InputError, match=r"x\.ts is taken"):
        export.export(finished, tmp_path / "x.ts")
    with pytest.raises(InputError, match=r"record\.json is missing"):
        export.export(tmp_path, tmp_path / "y.ts")
    assert (tmp_path / "x.ts").read_text() == "mine"


def test_an_image_that_cannot_be_read_is_named(finished, tmp_path):
    (tmp_path / "a.png").write_bytes(np.zeros(9, np.uint8).tobytes())
    with pytest.raises(InputError, match=r"a\.png: expected an image"):
        export.export(finished, tmp_path / "x.ts", images=tmp_path)
