import json

import pytest

from transfer.data import labels
from transfer.data.labels import Labels
from transfer.errors import InputError


def test_parts_of_one_seed_are_nested_and_of_the_size_asked_for():
    one, ten, hundred = (set(Labels(text).choose(1000)) for text in ("1%", "10%", "300"))
    assert (len(one), len(ten), len(hundred)) == (10, 100, 300)
    assert one < ten < hundred
    assert Labels("10%").choose(1000) == sorted(ten)
    assert Labels("10%", seed=1).choose(1000) != sorted(ten)
    assert Labels("100%").choose(7) == list(range(7))
    assert len(Labels("1%").choose(20)) == 1  # never none


def test_more_labels_than_images():
    with pytest.raises(InputError, match="--labels: expected at most 5, the training images, found 6; ask for less"):
        Labels("6").choose(5)


@pytest.mark.parametrize("text", ["0", "-3", "0%", "101%", "ten", "1.5", "%", "nan%"])
def test_what_is_no_part(text):
    with pytest.raises(InputError, match="expected a share such as 10% or a number of images"):
        Labels(text)


@pytest.mark.parametrize("text", ["1%", "0.5%", "100%", "12"])
def test_what_is_a_part(text):
    assert Labels(text).text == text


def test_the_ids_are_saved_and_a_resumed_run_has_to_use_the_same(tmp_path):
    records = [{"image_id": 10 + i, "file_name": f"{i}.jpg"} for i in range(20)]
    labels.save(tmp_path, Labels("25%", 3), records)
    content = json.loads((tmp_path / labels.FILE_NAME).read_text())
    chosen = Labels("25%", 3).choose(20)
    assert content["image_ids"] == [10 + i for i in chosen]
    assert (content["images"], content["of"]) == (5, 20)
    labels.check_same(tmp_path, Labels("25%", 3))
    with pytest.raises(InputError, match=r"as the run was started, 25% \(seed 3\), found all images"):
        labels.check_same(tmp_path, None)
    with pytest.raises(InputError, match="as the run was started, all images, found 1%"):
        labels.check_same(tmp_path / "new", Labels("1%"))
