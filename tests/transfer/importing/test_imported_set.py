from pathlib import Path

from transfer.importing.imported_set import ImportedSet, table
from transfer.records.record import Counts


def imported(**changes):
    own = {
        "format": "yolo",
        "images": Path("out/images"),
        "annotations": {"train": Path("out/train.json"), "val": Path("out/val.json")},
        "counts": {"train": Counts(10, 120, 0, 2, None), "val": Counts(3, 7, 1, 1, None)},
        "classes": {"cat": 100, "dog": 27},
        "empty": {"train": 2, "val": 0},
        "masks": 127,
        "left_out": ["1 boxes without area (first: a.txt, line 3)"],
        "put_right": [],
        "notes": ["5 images without an object (first: b.png)"],
    }
    return ImportedSet(**own | changes)


def test_the_table():
    assert table(imported(), Path("yolo")).splitlines() == [
        "yolo: read as yolo",
        "       images  without objects  objects  crowds  classes",
        "train      10                2      120       0        2",
        "val         3                0        7       1        1",
        "classes: cat 100, dog 27; all with masks",
        "left out: 1 boxes without area (first: a.txt, line 3)",
        "note: 5 images without an object (first: b.png)",
        "out/images",
        "out/train.json",
        "out/val.json",
    ]


def test_masks_and_many_classes():
    assert "cat 100, dog 27; boxes only" in table(imported(masks=0), Path("x"))
    assert "cat 100, dog 27; 5 with masks" in table(imported(masks=5), Path("x"))
    many = {f"c{k}": 1 for k in range(20)}
    assert "c11 1 and 8 more; " in table(imported(classes=many), Path("x"))
