from pathlib import Path

import pytest

from tests.cases.checkpoints import header
from transfer.checkpoints.layouts import IMAGENET, LAYOUTS, MSRA
from transfer.checkpoints.metadata import (
    FORMAT,
    convention_of,
    converted_metadata,
    decode_metadata,
    encode_metadata,
    metadata_of,
)
from transfer.errors import CheckpointError

PATH = Path("x.safetensors")
SILENT = next(row for row in LAYOUTS if row.convention is None)
BARE = LAYOUTS[-1]


def test_there_and_back():
    decoded = decode_metadata(header(), PATH)
    assert decoded["mean"] == [0.485, 0.456, 0.406]
    assert decoded["seed"] == 7
    assert decoded["method"] == "metamask"
    assert decode_metadata(encode_metadata(decoded), PATH) == decoded


def test_words_that_look_like_numbers_stay_words():
    assert decode_metadata(header(method="1e5"), PATH)["method"] == "1e5"


@pytest.mark.parametrize("key", ["mean", "settings", "epoch"])
def test_damaged_json_names_its_key(key):
    with pytest.raises(CheckpointError, match=f"JSON under '{key}'"):
        decode_metadata(header(**{key: "[1, 2"}), PATH)


def test_who_says_how_it_was_fed():
    said = metadata_of(MSRA)
    assert convention_of(BARE, said, "imagenet") == (IMAGENET, "user")
    assert convention_of(BARE, said, None) == (MSRA, "file")
    assert convention_of(BARE, {}, None) == (IMAGENET, "layout")
    assert convention_of(SILENT, {}, None) == (None, "unknown")


def test_only_converted_files_have_metadata_inside():
    inside = {"format": FORMAT, "arch": "resnet18"}
    assert converted_metadata({"model": {}, "metadata": inside}) == inside
    assert converted_metadata({"state_dict": {}, "meta": {"metadata": inside}}) == inside
    for tree in ({}, [], {"metadata": {"format": "other"}}, {"metadata": 3}, {"state_dict": {}, "meta": None}):
        assert converted_metadata(tree) == {}
