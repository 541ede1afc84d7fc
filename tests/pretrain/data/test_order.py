import numpy as np
import pytest

from pretrain.data.order import SHUFFLED_SHARDS, BatchOrder, epoch_order
from pretrain.errors import InputError


def test_the_batch_order_is_a_permutation_each_epoch_and_can_start_anywhere():
    whole = list(BatchOrder(10, 3, 7, seed=4))
    assert [b[0][0] for b in whole] == [0, 0, 0, 1, 1, 1, 2]
    first = [k for batch in whole[:3] for _, k in batch]
    assert len(set(first)) == 9
    assert [k for b in whole[:3] for _, k in b] != [k for b in whole[3:6] for _, k in b]
    for start in range(7):
        order = BatchOrder(10, 3, 7, seed=4)
        order.start = start
        assert list(order) == whole[start:]
        assert len(order) == 7 - start


def test_shards_are_shuffled_a_few_at_a_time():
    shards = [3, 5, 4] * SHUFFLED_SHARDS
    order = epoch_order(sum(shards), 0, 0, shards)
    assert sorted(order) == list(range(sum(shards)))
    file_of = np.repeat(np.arange(len(shards)), shards)
    groups, at = [], 0
    while at < len(order):  # the images come in runs, each from SHUFFLED_SHARDS files and all of those
        files = set()
        while at < len(order) and (file_of[order[at]] in files or len(files) < SHUFFLED_SHARDS):
            files.add(file_of[order[at]])
            at += 1
        groups.append(files)
    assert len(groups) == 3
    assert sum(map(len, groups)) == len(set().union(*groups)) == len(shards)
    assert not np.array_equal(order, epoch_order(sum(shards), 0, 1, shards))
    files = [file_of[k] for k in order[:40]]
    assert files != sorted(files)  # mixed within a group, not file after file


def test_the_order_over_shards_can_start_anywhere():
    whole = list(BatchOrder(40, 6, 14, seed=1, shards=[7, 13, 20]))
    later = BatchOrder(40, 6, 14, seed=1, shards=[7, 13, 20])
    later.start = 9
    assert list(later) == whole[9:]


def test_too_few_images_for_a_batch_are_named():
    with pytest.raises(InputError, match=r"data.batch = 8, found 5"):
        BatchOrder(5, 8, 1, 0)
