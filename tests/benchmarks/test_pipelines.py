import numpy as np

from benchmarks.pictures import jpegs
from benchmarks.pipelines import ours, torchvision


def test_the_pipelines_give_two_different_views():
    (encoded,) = jpegs("160 px", 1)
    for build, shape in ((ours, (2, 32, 32, 3)), (torchvision, (3, 32, 32))):
        first = build(32)(encoded)
        assert np.shape(first) == shape if build is ours else tuple(first[0].shape) == shape
        assert not np.array_equal(np.asarray(first[0]), np.asarray(first[1]))
