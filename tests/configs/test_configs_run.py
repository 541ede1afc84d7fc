"""Every config trains and evaluates through the command line, on tiny sets that lie where the config looks for them."""

from pathlib import Path

import pytest
import torch

from tests.cases.coco_sets import write_coco
from tests.cases.detector_sets import write_cityscapes_home, write_coco_home, write_lvis_home, write_voc
from transfer import __main__ as transfer
from transfer import train_net
from transfer.comparison import bootstrap
from transfer.records import record_file
from transfer.records.record_file import read_run

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
ROOT = Path(__file__).parents[2] / "configs"
RUNNABLE = [file for file in sorted(ROOT.glob("[ds]e*/*.yaml")) if not file.name.startswith("base_")]
TINY = [
    *("SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "(1,)", "SOLVER.WARMUP_ITERS", "0", "SOLVER.IMS_PER_BATCH", "2"),
    *("SOLVER.BASE_LR", "1e-4", "INPUT.MIN_SIZE_TRAIN", "(64,)", "INPUT.MIN_SIZE_TEST", "64"),
    *("TEST.PRECISE_BN.NUM_ITER", "1", "MODEL.RPN.POST_NMS_TOPK_TRAIN", "20", "MODEL.RPN.POST_NMS_TOPK_TEST", "20"),
    *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", "16", "DATALOADER.NUM_WORKERS", "0"),
]
R18 = ["MODEL.RESNETS.DEPTH", "18", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64"]
# What the record has where the data set's own measure has it.
MEASURES = {"city": "detectron2 cityscapes_instance", "voc0": "pascal"}
PROTOCOLS = {"city": "cityscapes", "voc0": "voc2007", "lvis": "lvis"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder whose ``datasets`` is what DETECTRON2_DATASETS stands for when it is not set."""
    folder = tmp_path_factory.mktemp("home")
    images, ann = write_coco(folder / "set", 2, classes=("person", "car"))
    write_coco(folder / "val", 2, classes=("person", "car"), seed=1)
    root = folder / "datasets"
    write_coco_home(images, ann, root)
    write_lvis_home(images, ann, root)
    write_cityscapes_home(images, ann, root)
    splits = ("trainval", "train", "val", "test")
    for year in (2007, 2012):
        write_voc(images, ann, root / f"VOC{year}", splits, backwards=("trainval", "train"))
    return folder


def run(name, home, folder, monkeypatch, *more):
    monkeypatch.chdir(home)
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    torch.set_num_threads(1)
    words = ["--config-file", name, "--init", "random", "--seed", "0", "OUTPUT_DIR", str(folder), *TINY, *more]
    if name.startswith(("any_", "digits_")):
        train, val = ([str(home / part / "images"), str(home / part / "ann.json")] for part in ("set", "val"))
        words = ["--train", *train, "--val", *val, *words]
    assert train_net.main(words) == 0
    record = record_file.read(folder)
    assert record.engine == MEASURES.get(name[:4], "hotcoco")
    assert (record.metrics["bbox"]["AP"] is None) == name.startswith("city")
    assert (record.metrics["segm"]["AP"] is None) == ("mask" not in name)
    assert record.data.val.n_images == 2
    assert record.protocol == PROTOCOLS.get(name[:4], "coco")
    assert (record.detections is None) == name.startswith("city")
    return record


# Detectron2 reads Cityscapes with a pool of processes that it never closes.
UNCLOSED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@UNCLOSED
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("voc0712_faster_rcnn_R_18_C4_24k", []),
        ("voc12_mask_rcnn_R_50_FPN_24k", R18),
        ("coco_retinanet_R_50_FPN_1x", R18),
        ("lvis_v1_mask_rcnn_R_50_FPN_1x", [*R18, "TEST.DETECTIONS_PER_IMAGE", "5"]),
        ("cityscapes_mask_rcnn_R_50_FPN_24k", R18),
    ],
)
def test_one_config_of_each_kind_trains_and_evaluates(name, more, home, tmp_path, monkeypatch):
    record = run(name, home, tmp_path / "run", monkeypatch, *more)
    expected = 4 if name.startswith("voc0712") else 2
    assert record.data.train.n_images == expected
    if record.detections is not None:
        words = ["show", str(tmp_path / "run"), "--random", "2", "--score", "0", "--out", str(tmp_path / "shown")]
        assert transfer.main(words) == 0
        images = bootstrap.resample([read_run(tmp_path / "run")], 100, 0)
        assert (images.count, images.why) == (2, "")


@pytest.mark.slow
@UNCLOSED
@pytest.mark.parametrize("name", [file.stem for file in RUNNABLE])
def test_every_config_trains_and_evaluates(name, home, tmp_path, monkeypatch):
    run(name, home, tmp_path / "run", monkeypatch)
