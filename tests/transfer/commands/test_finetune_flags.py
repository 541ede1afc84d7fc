"""The flags of train_net that change data, schedule or machine, through the command line."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision

from tests.cases.detector_sets import write_voc
from tests.cases.finetuning import SMALL, TINY, converted, refused, run
from transfer.checkpoints import names
from transfer.finetuning import lr_range_test
from transfer.records import record_file
from transfer.records.record import Schedule

ROOT = Path(__file__).parents[3]
BOXES = ["MODEL.MASK_ON", "False"]


@pytest.fixture(scope="module")
def voc(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("voc")
    write_voc(*data[1:3], folder / "VOC2007")
    trainval = folder / "VOC2007/ImageSets/Main/trainval.txt"  # of six; the same for both would be refused
    for file in (trainval, folder / "VOC2007/ImageSets/Segmentation/trainval.txt"):
        file.write_text("\n".join(trainval.read_text().splitlines()[:5]))
    return ["--train-voc", f"{folder}/VOC2007:trainval", "--val-voc", f"{folder}/VOC2007:test"]


def test_a_voc_folder_with_boxes_is_measured_by_pascals_ap(voc, tmp_path):
    run("--init", "random", "--seed", 0, *voc, "OUTPUT_DIR", tmp_path / "run", *TINY, *BOXES)
    record = record_file.read(tmp_path / "run")
    assert record.engine == "pascal"
    assert record.data.val.classes == ["cross", "square"]
    assert set(record.per_class["bbox"]) == {"cross", "square"}
    pascal = json.loads((tmp_path / "run/inference/pascal.json").read_text())
    assert pascal["used"] == "11-point"
    assert pascal["11-point"]["AP"] == record.metrics["bbox"]["AP"]
    # Measuring again finds the data and the weights by itself.
    run("--eval-only", *voc[2:], "OUTPUT_DIR", tmp_path / "run", *TINY, *BOXES)
    again = record_file.read(tmp_path / "run/evaluation")
    assert again.metrics == record.metrics
    assert again.detections_sha256 == record.detections_sha256
    assert Path(again.data.val.annotations) == tmp_path / "run/evaluation/voc_val.json"


def test_a_voc_folder_with_masks_is_measured_as_coco_is(voc, tmp_path):
    run("--init", "random", "--seed", 0, *voc, "OUTPUT_DIR", tmp_path / "run", *TINY)
    record = record_file.read(tmp_path / "run")
    assert record.engine == "hotcoco"
    assert record.metrics["segm"]["AP"] is not None
    content = json.loads(Path(record.data.val.annotations).read_text())
    assert len(content["annotations"]) == record.data.val.n_instances == 6
    assert "MASK_FORMAT: bitmask" in (tmp_path / "run/config.yaml").read_text()


def test_labels_schedule_and_memory_format(data, tmp_path, capsys):
    words = ["--init", "random", "--seed", 0, *data, "OUTPUT_DIR", tmp_path / "run", *TINY]
    run(*words, "--labels", "50%", "--channels-last", "--amp", "--no-precise-bn")
    record = record_file.read(tmp_path / "run")
    assert record.label_fraction == 0.5
    chosen = json.loads((tmp_path / "run/labels.json").read_text())
    assert (chosen["images"], chosen["of"], len(chosen["file_names"])) == (3, 6, 3)
    text = (tmp_path / "run/config.yaml").read_text()
    assert "PRECISE_BN:\n    ENABLED: false" in text
    assert "AMP:\n    ENABLED: false" in text  # no GPU here: the log says so
    (tmp_path / "run/record.json").unlink()
    line = refused(capsys, *words, "--no-precise-bn", "--resume")
    assert "--resume: expected --labels as the run was started, 50% (seed 0), found all images" in line


def test_a_learning_rate_that_is_found_and_kept_when_resumed(data, tmp_path, monkeypatch):
    monkeypatch.setattr(lr_range_test, "ITERATIONS", 12)
    monkeypatch.setattr(lr_range_test.run, "__defaults__", (12,))
    words = ["--init", "random", "--seed", 0, "--lr", "auto", *data, "OUTPUT_DIR", tmp_path / "run", *TINY]
    run(*words)
    content = json.loads((tmp_path / "run/lr_test.json").read_text())
    assert record_file.read(tmp_path / "run").schedule.base_lr == content["lr"] != 0.02
    assert content["lrs"][0] == pytest.approx(0.02 / 50)
    assert content["lrs"] == sorted(content["lrs"])
    (tmp_path / "run/record.json").unlink()
    run(*words, "--resume")
    assert record_file.read(tmp_path / "run").schedule.base_lr == content["lr"]


def test_the_schedule_follows_the_batch(data, tmp_path):
    words = ["--init", "random", "--seed", 0, *data, "OUTPUT_DIR", tmp_path / "run"]
    sizes = TINY[8:]  # without a schedule of their own
    assert sizes[0] == "INPUT.MIN_SIZE_TRAIN"
    run(*words, *sizes, "--lr-scale", "batch", "--schedule-scale", 0.005, "SOLVER.IMS_PER_BATCH", 2)
    record = record_file.read(tmp_path / "run")  # 600 iterations of 4 images at 0.02
    assert record.schedule == Schedule(6, 2, 0.01, [4, 5], 100)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lr", "auto", "SOLVER.BASE_LR", "1.0"], "expected either --lr or SOLVER.BASE_LR, found both"),
        (["--lr", "0.1", "--lr-scale", "batch"], "--lr-scale batch: expected it to set the learning rate"),
        (["--lr-scale", "batch"], "--lr-scale batch: expected it to set SOLVER.MAX_ITER, SOLVER.STEPS"),
        (["--init-detector", "d.pth"], "expected either --init or --init-detector, found both; leave one out"),
        (["--convention", "msra"], "--convention: expected --init-detector beside it, found none"),
        (["--backbone-lr-factor", "0"], "--backbone-lr-factor: expected a number above 0, found 0"),
        (["--backbone-lr-factor", "0.1", "--freeze-backbone"], "expected a backbone that is trained"),
        (["--labels", "7"], "--labels: expected at most 6, the training images, found 7"),
        (["--amp", "SOLVER.AMP.ENABLED", "False"], "expected either --amp or SOLVER.AMP.ENABLED, found both"),
        (["--train-voc", "x:y"], "--train-voc: expected --val-voc as well"),
        (["--val-voc", "x:y"], "--val-voc: expected --train-voc as well"),
        (["--train-voc", "x:y", "--val-voc", "x:y"], "expected either --train and --val or --train-voc and --val-voc"),
    ],
)
def test_flags_that_contradict_each_other(data, tmp_path, capsys, words, message):
    assert message in refused(capsys, "--init", "random", *data, "OUTPUT_DIR", tmp_path / "run", *TINY, *words)
    assert not (tmp_path / "run").exists()


# Everything that is drawn or averaged by process is switched off: all anchors and all proposals are trained on, an
# image has as many as the next, and BatchNorm has no statistics of its own.
DETERMINED = [
    *("MODEL.RESNETS.NORM", "FrozenBN", "MODEL.FPN.NORM", "", "TEST.PRECISE_BN.ENABLED", "False", *BOXES),
    *("MODEL.RPN.BATCH_SIZE_PER_IMAGE", "100000", "MODEL.RPN.POSITIVE_FRACTION", "1.0", "MODEL.RPN.NMS_THRESH", "1.0"),
    *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", "21", "MODEL.ROI_HEADS.POSITIVE_FRACTION", "1.0"),
    *("SOLVER.MAX_ITER", "4", "SOLVER.STEPS", "(3,)", "SOLVER.IMS_PER_BATCH", "4", "SOLVER.BASE_LR", "0.01"),
    *("MODEL.BACKBONE.FREEZE_AT", "0", "INPUT.RANDOM_FLIP", "none"),
]


@pytest.mark.slow
def test_two_machines_train_what_one_trains_on_the_same_batch(data, tmp_path):
    """Two processes of this machine, over gloo, each told to be a machine of its own."""
    content = converted("resnet18")
    with torch.random.fork_rng():
        torch.manual_seed(0)  # torchvision's own initial weights: those of the helper explode without BatchNorm
        state = torchvision.models.resnet18().state_dict()
    content["model"] = {names.to_detectron2(k): v for k, v in state.items() if names.to_detectron2(k)}
    torch.save(content, tmp_path / "weights.pth")
    words = [*data, "--init", str(tmp_path / "weights.pth"), "--seed", "3", *TINY, *DETERMINED]
    run(*words, "OUTPUT_DIR", tmp_path / "one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    start = [sys.executable, "-m", "transfer.train_net", "--config-file", SMALL, *words, "--num-machines", "2"]
    start += ["--dist-url", url, "OUTPUT_DIR", str(tmp_path / "two")]
    machines = [
        subprocess.Popen([*start, "--machine-rank", str(rank)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    for machine in machines:
        _, err = machine.communicate(timeout=900)
        assert machine.returncode == 0, err
    one, two = (torch.load(tmp_path / name / "model_final.pth", weights_only=True)["model"] for name in ("one", "two"))
    assert one.keys() == two.keys()
    moved = one["backbone.bottom_up.res4.0.conv1.weight"] - content["model"]["res4.0.conv1.weight"]
    assert moved.abs().max() > 1e-5  # far more than the tolerance below
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")
    first, second = record_file.read(tmp_path / "one"), record_file.read(tmp_path / "two")
    for metric, value in first.metrics["bbox"].items():
        assert second.metrics["bbox"][metric] == (value if value is None else pytest.approx(value, abs=0.5))
