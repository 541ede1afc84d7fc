import tarfile

import cv2
import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from pretrain.data.sources import find_images
from pretrain.errors import InputError
from pretrain.probes.labelled import class_folders, class_names, labelled_splits
from tests.cases.labelled_sets import COLOURS, cifar10, class_folder, stl10


def test_class_folders_become_labels_in_the_order_of_their_names(tmp_path):
    split = class_folders(class_folder(tmp_path))
    assert split.classes == ("blue", "green", "red")
    assert split.labels.bincount().tolist() == [6, 6, 6]
    for k in range(len(split)):
        expected = COLOURS[split.classes[split.labels[k]]]
        assert np.allclose(split.read(k).mean(axis=(0, 1)), expected, atol=20)
        assert split.classes[split.labels[k]] in split.name(k)


@pytest.mark.parametrize("name", ["val", "test"])
def test_train_and_its_neighbour_are_the_splits(tmp_path, name):
    class_folder(tmp_path / "train")
    class_folder(tmp_path / name, per_class=2, seed=1, classes=("red", "blue"))
    train, test = labelled_splits(tmp_path)
    assert (len(train), len(test)) == (18, 4)
    assert train.classes == test.classes
    assert [test.classes[k] for k in test.labels] == ["blue", "blue", "red", "red"]
    assert train.fingerprint != test.fingerprint


def test_two_folders_can_be_named(tmp_path):
    bank, query = class_folder(tmp_path / "a"), class_folder(tmp_path / "b", per_class=1)
    train, test = labelled_splits(bank, query)
    assert (train.source, test.source, len(test)) == (str(bank), str(query), 3)


def test_faulty_folders_are_refused_with_what_to_do(tmp_path):
    root = class_folder(tmp_path / "train")
    with pytest.raises(InputError, match="found neither; name the two folders"):
        labelled_splits(tmp_path)
    class_folder(tmp_path / "val", seed=1)
    class_folder(tmp_path / "test", seed=2)
    with pytest.raises(InputError, match="found both; name the two folders"):
        labelled_splits(tmp_path)
    with pytest.raises(InputError, match="found 18 in both"):
        labelled_splits(root, root)
    class_folder(tmp_path / "other", classes=("red",))
    with pytest.raises(InputError, match="at least two class folders, found only red"):
        labelled_splits(tmp_path / "other", root)
    with pytest.raises(InputError, match="found blue, green; use the same folder names"):
        class_folders(root, classes=("red", "violet"))
    cv2.imwrite(str(root / "stray.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"found 1 directly in it \(stray.png"):
        class_names(root, find_images(root))
    with pytest.raises(InputError, match=r"cifar-10-batches-py.*found neither"):
        labelled_splits(tmp_path / "nothing")


@pytest.mark.parametrize("inside", [False, True])
def test_cifar_is_read_as_published(tmp_path, monkeypatch, inside):
    files = cifar10(tmp_path, monkeypatch)
    train, test = labelled_splits(tmp_path / CIFAR10.base_folder if inside else tmp_path)
    assert (len(train), len(test)) == (8, 4)
    assert train.classes[3] == "class 3"
    assert test.labels.tolist() == files["test_batch"][1]
    red = files["data_batch_2"][0][1, :1024].reshape(32, 32)  # rows of the red plane come first
    assert np.array_equal(train.read(5)[:, :, 0], red)


def test_a_changed_archive_is_never_unpickled(tmp_path, monkeypatch):
    cifar10(tmp_path, monkeypatch)
    batch = tmp_path / CIFAR10.base_folder / "data_batch_1"
    batch.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "owned").encode() + b"'\ntR.")
    with pytest.raises(InputError, match="missing or changed"):
        labelled_splits(tmp_path)
    assert not (tmp_path / "owned").exists()


def test_a_packed_archive_says_how_to_unpack_it(tmp_path):
    with tarfile.open(tmp_path / CIFAR10.filename, "w:gz"):
        pass
    with pytest.raises(InputError, match=r"tar -xzf .*cifar-10-python\.tar\.gz"):
        labelled_splits(tmp_path)


def test_stl10_is_read_upright_with_labels_from_zero(tmp_path, monkeypatch):
    splits = stl10(tmp_path, monkeypatch)
    train, test = labelled_splits(tmp_path)
    for split, (images, labels) in zip((train, test), (splits["train"], splits["test"]), strict=True):
        assert split.labels.tolist() == (labels.astype(int) - 1).tolist()
        assert np.array_equal(split.read(1), images[1])
