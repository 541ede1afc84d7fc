import math
from dataclasses import dataclass, field
from typing import Any

import pytest

from transfer.errors import InputError
from transfer.files.decode import OPTIONAL, check_keys, decode, shown


@dataclass
class Inner:
    ap: float | None
    names: list[str]


@dataclass
class Outer:
    inner: Inner
    counts: dict[str, int]
    free: Any
    late: int = field(default=3, metadata={OPTIONAL: True})


GOOD = {"inner": {"ap": 3, "names": ["a"]}, "counts": {"x": 1}, "free": [1, {"a": None}]}


def test_nested_objects_and_a_field_that_may_be_missing():
    assert decode(Outer, GOOD, "f.json:") == Outer(Inner(3, ["a"]), {"x": 1}, [1, {"a": None}], 3)
    assert decode(Outer, {**GOOD, "late": 4}, "f.json:").late == 4
    assert decode(Inner, {"ap": None, "names": []}, "f.json:") == Inner(None, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": {"ap": "3", "names": []}}, 'f.json: inner.ap: expected a number, found "3"'),
        (
            {"inner": {"ap": math.nan, "names": []}},
            "f.json: inner.ap: expected a finite number, found nan",
        ),
        ({"inner": {"ap": True, "names": []}}, "f.json: inner.ap: expected a number, found true"),
        ({"inner": {"ap": 3, "names": [1]}}, "f.json: inner.names[0]: expected text, found 1"),
        ({"inner": {"ap": 3, "names": "a"}}, 'f.json: inner.names: expected a list, found "a"'),
        ({"inner": {"names": []}}, "f.json: inner: a field is missing: expected ap, found names"),
        ({"inner": []}, "f.json: inner: expected an object, found []"),
        ({"counts": {"x": 1.0}}, "f.json: counts.x: expected a whole number, found 1.0"),
        ({"counts": [1]}, "f.json: counts: expected an object, found [1]"),
        ({"free": math.inf}, "f.json: free: expected plain JSON values, found Out of range float values"),
        ({"late": None}, "f.json: late: expected a whole number, found null"),
        ({"more": 1}, "f.json: a field is unknown: expected inner, counts, free, late, found more"),
    ],
)
def test_nothing_is_coerced_and_the_place_is_named(change, message):
    with pytest.raises(InputError) as error:
        decode(Outer, {**GOOD, **change}, "f.json:")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_keys_alone():
    check_keys({"a": 1}, ["a"], ["a", "b"], "f")
    with pytest.raises(InputError, match="f: a field is missing: expected a, found none"):
        check_keys({}, ["a"], ["a"], "f")


def test_a_value_in_a_message_is_short():
    assert shown({"a": [1]}) == '{"a": [1]}'
    assert shown("x" * 100) == '"' + "x" * 56 + "..."
    assert shown("a\nb") == r'"a\nb"'
