"""YAML into dataclasses: strict about keys, types and doubles, and an error names the place."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from transfer.errors import InputError
from transfer.studies.yaml_fields import decode, read_yaml


@dataclass(frozen=True)
class Inner:
    """Of a test."""

    size: int
    name: str = "a"


@dataclass(frozen=True)
class Outer:
    """Of a test."""

    inner: Inner
    rate: float = 1.0
    names: tuple[str, ...] = ()
    scale: float | dict[str, float] | None = None
    words: tuple[str, ...] | str = ()
    options: dict[str, Any] = field(default_factory=dict)
    loud: bool = False


def read(tmp_path, text):
    file = tmp_path / "file.yaml"
    file.write_text(text)
    return read_yaml(file)


def test_values_become_what_the_fields_mean(tmp_path):
    text = "inner: {size: 3, name: 5}\nrate: 2\nnames: [a, 1, 2.5]\nscale: {x: 1}\n"
    text += "words: train\noptions: {a.b: [1, x]}\nloud: true\n"
    made = decode(Outer, read(tmp_path, text), "f")
    assert made == Outer(Inner(3, "5"), 2.0, ("a", "1", "2.5"), {"x": 1.0}, "train", {"a.b": [1, "x"]}, True)
    assert decode(Outer, read(tmp_path, "inner: {size: 3}\nscale: null\n"), "f") == Outer(Inner(3))
    assert decode(Outer, read(tmp_path, "inner: {size: 3}\nscale: 2\n"), "f").scale == 2.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inner: {size: 3}\nrat: 2", r"^f: expected a known key, found rat; did you mean rate\?"),
        ("inner: {size: 3}\nzzz: 2", r"^f: expected a known key, found zzz; known: inner, rate"),
        ("inner: {name: x}", r"^f\.inner: expected size, found name; add it"),
        ("rate: 2", r"^f: expected inner, found rate; add it"),
        ("inner: {size: 3.5}", r"^f\.inner\.size: expected a whole number, found 3\.5"),
        ("inner: {size: true}", r"^f\.inner\.size: expected a whole number, found True"),
        ("inner: 3", r"^f\.inner: expected keys and values, found 3"),
        ("inner:", r"^f\.inner: expected keys and values, found nothing"),
        ("inner: {size: 3}\nrate: fast", r"^f\.rate: expected a number, found 'fast'"),
        ("inner: {size: 3}\nnames: a", r"^f\.names: expected a list, found 'a'"),
        ("inner: {size: 3}\nnames: [[a]]", r"^f\.names\[0\]: expected text, found \['a'\]"),
        ("inner: {size: 3}\nloud: 1", r"^f\.loud: expected true or false, found 1"),
        ("inner: {size: 3}\nscale: {x: y}", r"^f\.scale\.x: expected a number, found 'y'"),
        ("inner: {size: 3}\nwords: {}", r"^f\.words: expected a list or text, found \{\}"),
    ],
)
def test_what_is_not_meant_is_one_line_that_names_the_place(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        decode(Outer, read(tmp_path, text), "f")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected keys and values, found nothing"),
        ("- a\n", "expected keys and values, found \\['a'\\]"),
        ("a: [\n", "expected a YAML file, found"),
        ("a: 1\nb: 2\na: 3\n", "line 3: expected each name once, found a twice; rename or remove one"),
        ("a: !!python/object/apply:os.getcwd []\n", "expected a YAML file, found could not determine a constructor"),
    ],
)
def test_what_is_no_such_file_is_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_no_file_and_no_text_are_one_line(tmp_path):
    with pytest.raises(InputError, match="expected a YAML file, found"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="expected a YAML file, found"):
        read_yaml(tmp_path / "binary.yaml")


def test_one_mapping_may_take_over_another_and_change_some_of_it(tmp_path):
    text = "one: &one {a: 1, b: 2}\ntwo: {<<: *one, b: 3}\nthree: *one\n"
    assert read(tmp_path, text) == {"one": {"a": 1, "b": 2}, "two": {"a": 1, "b": 3}, "three": {"a": 1, "b": 2}}
    with pytest.raises(InputError, match="found b twice"):
        read(tmp_path, "one: &one {a: 1}\ntwo: {<<: *one, b: 3, b: 4}\n")
