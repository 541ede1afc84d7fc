"""The made-up set on which evaluations are timed."""

import pytest

from benchmarks.sets.detections import build
from transfer.evaluation import detections, ground_truth


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return build(tmp_path_factory.mktemp("set"), images=3, per_image=20)


def test_what_it_builds_is_a_set_with_right_and_wrong_detections(files):
    truth = ground_truth.read(files[0])
    results = detections.read(files[1], truth)
    assert (len(truth.sizes), len(truth.classes), len(results)) == (3, 80, 60)
    assert results.tasks == ("bbox", "segm")
    assert build(files[0].parent, images=3, per_image=20) == files  # and the same again
    assert ground_truth.read(files[0]).sha256 == truth.sha256
