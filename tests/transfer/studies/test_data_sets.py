"""The images of a study: what the commands are given for them, and that missing ones are one line."""

import pytest

from tests.cases.coco_sets import write_coco
from tests.cases.detector_sets import write_voc
from transfer.errors import InputError
from transfer.studies import data_sets, inputs
from transfer.studies.schema import Data, Detector, Digits, Start, Study

CONFIG = "digits_mask_rcnn_R_18_FPN_demo"
STARTS = {"simclr": Start(pretrain="simclr_r18_any_100e")}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(images, annotations) of train and of val; nothing may change them."""
    folder = tmp_path_factory.mktemp("sets")
    return [tuple(map(str, write_coco(folder / name, n, seed=n))) for name, n in (("train", 6), ("val", 2))]


def study(data, **changes):
    return Study(data, STARTS, Detector(CONFIG), **changes)


def both(one, out):
    labelled = data_sets.labelled(one, inputs.detector_config_of(one), out)
    data_sets.check_labels(one, labelled)
    return labelled, data_sets.unlabelled(one, labelled, out)


def test_coco_files_are_given_as_they_are_and_their_images_may_be_pretrained_on(files, tmp_path):
    train, val = files
    labelled, (words, key) = both(study(Data(train, val, unlabelled="train")), tmp_path)
    assert labelled.arguments == ("--train", *train, "--val", *val)
    assert (labelled.train_images, labelled.coco) == (6, (train, val))
    assert (words, key) == ((train[0], "--annotations", train[1]), labelled.key)
    assert not list(tmp_path.iterdir())


def test_voc_folders_are_given_as_they_are_and_their_images_listed(files, tmp_path):
    voc = write_voc(*files[0], tmp_path / "voc", splits=("trainval",))
    write_voc(*files[1], tmp_path / "val", splits=("test",))
    data = Data(train_voc=(f"{voc}:trainval",), val_voc=f"{tmp_path / 'val'}:test", unlabelled="train")
    labelled, (words, _) = both(study(data), tmp_path / "out")
    assert labelled.arguments == ("--train-voc", f"{voc}:trainval", "--val-voc", f"{tmp_path / 'val'}:test")
    assert labelled.train_images == 6
    (listed,) = words
    assert len((tmp_path / "out/data").joinpath(listed.rpartition("/")[2]).read_text().splitlines()) == 6


def test_the_own_digits_lie_below_out_and_change_their_place_with_their_settings(tmp_path):
    first, (words, _) = both(study(Data(digits=Digits(train=8))), tmp_path)
    other, _ = both(study(Data(digits=Digits(train=8, size=64))), tmp_path)
    assert first.train_images == 8
    assert words[0] == str(tmp_path / f"data/digits_{first.key}/unlabeled")
    assert first.key != other.key


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Data(digits=Digits(size=3)), r"--size: expected 48-512 pixels, found 3"),
        (Data(digits=Digits(train=0)), r"--train, --val, --unlabeled: expected 1 or more, .* found 0"),
        (Data(train=("nowhere", "a.json"), val=("nowhere", "a.json")), r"nowhere: expected a folder of images"),
        (Data(train_voc=("nowhere:train",), val_voc="nowhere:val"), r"nowhere"),
    ],
)
def test_data_that_cannot_be_used_are_one_line(data, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        both(study(data), tmp_path)
    assert "\n" not in str(error.value)


def test_unlabelled_images_that_are_not_there_are_one_line(files, tmp_path):
    (tmp_path / "empty/below").mkdir(parents=True)
    for path, found in (("nowhere", "found nothing"), (str(tmp_path / "empty"), "found an empty folder")):
        with pytest.raises(InputError, match=rf"data\.unlabelled: expected images .*{found}"):
            both(study(Data(*files, unlabelled=(path,))), tmp_path)


def test_shares_of_the_labels_are_different_numbers_of_images(files, tmp_path):
    with pytest.raises(InputError, match=r"labels: expected different numbers of images, found 50% and 3, both 3 of 6"):
        both(study(Data(*files, unlabelled="train"), labels=("50%", "3")), tmp_path)
    with pytest.raises(InputError, match="expected at most 6, the training images, found 7"):
        both(study(Data(*files, unlabelled="train"), labels=("7",)), tmp_path)


def test_a_study_without_a_pretraining_needs_no_unlabelled_images(files, tmp_path):
    one = Study(Data(*files), {"random": Start()}, Detector(CONFIG))
    assert both(one, tmp_path)[1] == ((), "")
