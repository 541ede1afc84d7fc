import pytest

from pretrain.data.packed_strings import PackedStrings

STRINGS = ["a/b.jpg", "", "größe/画像.png", "not utf-8 \udcff.jpg", "a/b.jpg"]


def test_every_string_comes_back_in_its_place():
    packed = PackedStrings(iter(STRINGS))
    assert len(packed) == len(STRINGS)
    assert list(packed) == STRINGS
    assert packed[2] == STRINGS[2]


@pytest.mark.parametrize("k", [-1, len(STRINGS)])
def test_places_that_do_not_exist_are_refused(k):
    with pytest.raises(IndexError):
        PackedStrings(STRINGS)[k]


def test_none_at_all_are_a_sequence_too():
    assert list(PackedStrings([])) == []
