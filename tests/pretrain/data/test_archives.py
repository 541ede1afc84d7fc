"""Published archives as images without labels: everything but the test split, to the pixel."""

import cv2
import numpy as np
import pytest
from torchvision.datasets import CIFAR10, STL10

from pretrain.data.archives import read_split
from pretrain.data.sources import open_source
from pretrain.errors import InputError
from tests.cases.labelled_sets import cifar10, stl10


def decoded(source, k):
    code = np.frombuffer(source.read(k), np.uint8)
    return cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("inside", [False, True])
def test_cifars_training_images_are_a_source(tmp_path, monkeypatch, inside):
    files = cifar10(tmp_path, monkeypatch)
    source = open_source([tmp_path / CIFAR10.base_folder if inside else tmp_path])
    assert len(source) == 8
    assert source.shards is None
    assert np.array_equal(decoded(source, 5)[:, :, 0], files["data_batch_2"][0][1, :1024].reshape(32, 32))
    assert source.name(5).endswith("cifar-10-batches-py train image 5")
    assert source.fingerprint == read_split("cifar10", tmp_path, "train").fingerprint


def test_stl10_gives_its_unlabelled_images_too(tmp_path, monkeypatch):
    splits = stl10(tmp_path, monkeypatch)
    source = open_source([tmp_path])
    assert len(source) == 3 + 4
    assert np.array_equal(decoded(source, 1), splits["train"][0][1])
    assert np.array_equal(decoded(source, 4), splits["unlabeled"][0][1])


def test_stl10_without_its_unlabelled_images_is_refused(tmp_path, monkeypatch):
    stl10(tmp_path, monkeypatch)
    (tmp_path / STL10.base_folder / "unlabeled_X.bin").unlink()
    with pytest.raises(InputError, match="stl10_binary as it was published, found files missing"):
        open_source([tmp_path])


def test_two_archives_have_two_fingerprints(tmp_path, monkeypatch):
    digests = []
    for seed in (0, 1):
        cifar10(tmp_path / str(seed), monkeypatch, seed)
        digests.append(open_source([tmp_path / str(seed)]).fingerprint)
    assert digests[0] != digests[1]
