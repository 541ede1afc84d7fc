import pytest

from tests.cases.coco_sets import write_coco
from transfer.data import splits
from transfer.errors import InputError


def test_built_in_names():
    with pytest.raises(InputError, match="data set nobody: expected a name that Detectron2 knows"):
        splits.registered(("nobody",), masks=True)
    with pytest.raises(InputError, match=r"data set coco_2017_val: .* set DETECTRON2_DATASETS") as error:
        splits.registered(("coco_2017_val",), masks=True)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"data set voc_2007_test: .* set DETECTRON2_DATASETS"):
        splits.registered(("voc_2007_test",), masks=False)


def test_a_registered_set_is_described_like_its_file(tmp_path):
    split, rle = splits.from_files(*write_coco(tmp_path / "a"), masks=True)
    assert not rle
    again = splits.registered((splits.register(split, "train"),), masks=True)
    assert again == split
