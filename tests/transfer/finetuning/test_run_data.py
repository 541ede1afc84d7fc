"""The data sets of fine-tuning, through the command line: catalog names, VOC, run lengths, and what is refused."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from detectron2.data import MetadataCatalog
from detectron2.data.datasets import register_coco_instances, register_pascal_voc

from tests.cases.coco_sets import edit, write_coco
from tests.cases.detector_sets import write_voc
from tests.cases.finetuning import TINY, refused, run
from transfer import __main__ as transfer
from transfer.comparison import bootstrap
from transfer.records import record_file
from transfer.records.record import Counts, Leaks
from transfer.records.record_file import read_run

pytestmark = pytest.mark.usefixtures("one_thread")


def test_sets_that_detectron2_knows_by_name(data, tmp_path, capsys):
    for name, (images, ann) in (("tiny_train", data[1:3]), ("tiny_val", data[4:6])):
        register_coco_instances(name, {}, ann, images)
    words = ["--init", "random", "OUTPUT_DIR", tmp_path / "run", *TINY]
    words += ["DATASETS.TRAIN", "('tiny_train',)", "DATASETS.TEST", "('tiny_val',)"]
    assert "MODEL.ROI_HEADS.NUM_CLASSES: expected 2, the data's number of classes, found 80" in refused(capsys, *words)
    run(*words, "MODEL.ROI_HEADS.NUM_CLASSES", 2)
    record = record_file.read(tmp_path / "run")
    assert record.data.train.n_images == 6
    assert record.data.val.classes == ["square", "cross"]


def test_a_voc_set_is_measured_as_voc_is(data, tmp_path):
    """A PASCAL record has three numbers for boxes and the AP of each class; what was found stays, to be looked at."""
    write_voc(Path(data[1]), Path(data[2]), tmp_path / "voc")
    trainval = tmp_path / "voc/ImageSets/Main/trainval.txt"  # of six; the same for both would be refused
    trainval.write_text("\n".join(trainval.read_text().splitlines()[:5]))
    for split in ("trainval", "test"):
        register_pascal_voc(f"tiny_voc_{split}", str(tmp_path / "voc"), split, 2007, ["square", "cross"])
        MetadataCatalog.get(f"tiny_voc_{split}").evaluator_type = "pascal_voc"
    words = ["--init", "random", "OUTPUT_DIR", tmp_path / "run", *TINY, "MODEL.MASK_ON", "False"]
    words += ["MODEL.ROI_HEADS.NUM_CLASSES", 2]
    run(*words, "DATASETS.TRAIN", "('tiny_voc_trainval',)", "DATASETS.TEST", "('tiny_voc_test',)")
    record = record_file.read(tmp_path / "run")
    assert (record.engine, record.protocol) == ("pascal", "voc2007")
    assert set(record.per_class["bbox"]) == {"square", "cross"}
    assert record.metrics["bbox"]["AP"] == pytest.approx(sum(record.per_class["bbox"].values()) / 2)
    kept = (tmp_path / "run" / record.detections).read_bytes()
    assert record.detections_sha256 == hashlib.sha256(kept).hexdigest()
    assert record.counts == Counts(6, 6, None, 2, len(json.loads(kept)))
    assert Path(record.data.val.annotations) == tmp_path / "run/voc_val.json"
    assert record.cost.flops > 0
    assert {name for name, value in record.metrics["bbox"].items() if value is not None} == {"AP", "AP50", "AP75"}
    assert record.data.train.n_images == 5
    (tmp_path / "run").rename(tmp_path / "moved")  # the ground truth that was made for the run moves with it
    looked_at(tmp_path / "moved", tmp_path)
    # Resampled by the run's own metric, which is not COCO's.
    images = bootstrap.resample([read_run(tmp_path / "moved")], 100, 0)
    assert (images.count, images.why) == (6, "")


def looked_at(folder, tmp_path):
    """Show images of a run, and report on it with pictures."""
    assert transfer.main(["show", str(folder), "--random", "2", "--score", "0", "--out", str(tmp_path / "shown")]) == 0
    assert len([p for p in (tmp_path / "shown").rglob("*") if p.is_file()]) == 2
    assert transfer.main(["report", str(folder), "--resamples", "100", "--out", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report/detections.png").is_file()


def test_run_length_masks_and_a_detector_without_masks(data, tmp_path):
    rle, other = write_coco(tmp_path / "rle", 2, rle=True), write_coco(tmp_path / "val", 2, rle=True, seed=1)
    both = ["--train", *rle, "--val", *other]
    run("--init", "random", "--freeze-backbone", *both, "OUTPUT_DIR", tmp_path / "rle_run", *TINY)
    assert "FREEZE_AT: 5" in (tmp_path / "rle_run/config.yaml").read_text()
    for one in (rle, other):
        edit(one[1], lambda c: [a.pop("segmentation") for a in c["annotations"]])
    run("--init", "random", *both, "OUTPUT_DIR", tmp_path / "boxes", *TINY, "MODEL.MASK_ON", "False")
    record = record_file.read(tmp_path / "boxes")
    assert record.weights is None
    assert record.metrics["bbox"]["AP"] is not None
    assert set(record.metrics["segm"].values()) == {None}


def test_data_that_cannot_be_used(data, tmp_path, capsys):
    coco = write_coco(tmp_path / "set")
    (Path(coco[0]) / "2.png").unlink()
    words = ["--init", "random", "OUTPUT_DIR", tmp_path / "run", *TINY]
    assert "1 missing images (first: 2.png)" in refused(capsys, *words, "--train", *coco, *data[3:])
    other = write_coco(tmp_path / "other", classes=("square", "circle"))
    line = refused(capsys, *words, *data[:3], "--val", *other)
    assert "only in train: cross; only in val: circle" in line
    assert "expected --val as well" in refused(capsys, *words, *data[:3])
    both = ["DATASETS.TEST", "('coco_2017_val',)", "DATASETS.TRAIN", "('coco_2017_train',)"]
    assert "data set coco_2017_train: " in refused(capsys, *words, *both)
    assert "found none; give --train and --val" in refused(capsys, *words, *both[:2])
    assert not (tmp_path / "run").exists()


def test_a_val_set_with_nothing_to_find_is_refused_before_anything_is_written(data, tmp_path, capsys):
    images, ann = write_coco(tmp_path / "val")
    edit(ann, lambda content: content.update(annotations=[]))
    line = refused(capsys, "--init", "random", *data[:3], "--val", images, ann, "OUTPUT_DIR", tmp_path / "run", *TINY)
    assert "expected at least one object to find, found none" in line
    assert not (tmp_path / "run").exists()


def hashed(content):
    """Ids as hashes are, beyond any machine's numbers, and the placeholder that Roboflow puts first."""
    for image in content["images"]:
        image["id"] = 10**25 + 7919 * image["id"]
    for annotation in content["annotations"]:
        annotation["image_id"] = 10**25 + 7919 * annotation["image_id"]
        annotation["category_id"] += 2**63
    for category in content["categories"]:
        category |= {"id": category["id"] + 2**63, "supercategory": "things"}
    content["categories"].insert(0, {"id": 0, "name": "things", "supercategory": "none"})


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # pycocotools'
def test_any_ids_a_byte_order_mark_a_placeholder_and_leaks(tmp_path):
    """What Detectron2's reader stops at or gets wrong, from the files to the record; results keep the files' ids."""
    train, val = write_coco(tmp_path / "train", 4), write_coco(tmp_path / "val", 3, seed=1)
    for _, ann in (train, val):
        edit(ann, hashed)
        Path(ann).write_bytes(b"\xef\xbb\xbf" + Path(ann).read_bytes())
    shutil.copy(Path(train[0]) / "0.png", Path(val[0]) / "2.png")
    folder = tmp_path / "run"
    run("--init", "random", "--train", *train, "--val", *val, "OUTPUT_DIR", folder, *TINY, "SOLVER.BASE_LR", "1e-4")
    record = read_run(folder)
    assert record.data.val.classes == record.data.train.classes == ["square", "cross"]
    assert record.data.leaks == Leaks(same_file=0, same_bytes=1, same_name=2, pretraining=0)
    found = json.loads(Path(record.detections).read_text())
    assert len(found) > 0
    assert {entry["category_id"] for entry in found} <= {2**63 + 1, 2**63 + 2}
    assert {entry["image_id"] for entry in found} <= {10**25 + 7919 * i for i in (1, 2, 3)}
    looked_at(folder, tmp_path)
    again = ["evaluate", "--run", str(folder), "--out", str(tmp_path / "again.json")]
    assert transfer.main(again) == 0
    assert record_file.read(tmp_path / "again.json").metrics == record.metrics


def test_the_same_annotations_to_train_and_to_measure_on_are_refused(data, tmp_path, capsys):
    words = ["--init", "random", "OUTPUT_DIR", tmp_path / "run", *TINY]
    line = refused(capsys, *words, *data[:3], "--val", *data[1:3])
    assert "expected another file to measure on than the one trained on" in line
    assert not (tmp_path / "run").exists()


def test_a_catalog_set_that_detectron2_would_read_otherwise_is_refused(data, tmp_path, capsys):
    images, ann = write_coco(tmp_path / "set")
    edit(ann, hashed)
    register_coco_instances("placeholder_train", {}, ann, images)
    words = ["--init", "random", "OUTPUT_DIR", tmp_path / "run", *TINY, "DATASETS.TRAIN", "('placeholder_train',)"]
    line = refused(capsys, *words, *data[3:])
    assert "expected a file that Detectron2 itself reads rightly, found 1 categories without an annotation" in line
