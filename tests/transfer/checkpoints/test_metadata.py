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
    metadata = metadata_of(MSRA)
    assert convention_of(BARE, metadata, "imagenet") == (IMAGENET, "user")
    assert convention_of(BARE, metadata, None) == (MSRA, "file")
    assert convention_of(BARE, {}, None) == (IMAGENET, "layout")
    assert convention_of(SILENT, {}, None) == (None, "unknown")


def test_only_converted_files_have_metadata_inside():
    inside = {"format": FORMAT, "arch": "resnet18"}
    assert converted_metadata({"model": {}, "metadata": inside}) == inside
    assert converted_metadata({"state_dict": {}, "meta": {"metadata": inside}}) == inside
    for tree in ({}, [], {"metadata": {"format": "other"}}, {"metadata": 3}, {"state_dict": {}, "meta": None}):
        assert converted_metadata(tree) == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", "[NaN, 0, 0]"),
        ("mean", "[1e999, 0, 0]"),
        ("mean", "[true, 0, 0]"),
        ("mean", "{}"),
        ("std", "[0, 1, 1]"),
        ("std", "[1, 1]"),
        ("channel_order", "RBG"),
        ("channel_order", "RGB\n"),
        ("stride_in_1x1", '"no"'),
        ("settings", "[1]"),
        ("settings", "[" * 100_000),
        ("settings", '{"a": NaN}'),
        ("data", "3"),
        ("epoch", "9" * 5000),
        ("epoch", "1.5"),
        ("source", "[]"),
        ("source", '{"file": "a\\nb", "sha256": "", "layout": ""}'),
        ("method", "a\nconvertible    yes"),
        ("settings", '{"a": "' + "x" * 2_000_000 + '"}'),
    ],
)
def test_each_damaged_value_is_one_line(key, value):
    with pytest.raises(CheckpointError, match="metadata") as caught:
        decode_metadata(header(**{key: value}), PATH)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_values_of_a_pickle_are_no_metadata_unless_they_are_plain():
    shared = [1]
    for _ in range(60):
        shared = [shared, shared]
    cycle = {}
    cycle["a"] = cycle
    for value in (shared, cycle, {1: 2}, object(), float("nan")):
        with pytest.raises(CheckpointError, match="metadata"):
            converted_metadata({"model": {}, "metadata": {"format": FORMAT, "settings": {"x": value}}})
