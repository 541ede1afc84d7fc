import math
from dataclasses import dataclass
from typing import Annotated

import pytest

from pretrain.errors import InputError
from pretrain.ranges import ABOVE_ZERO, BELOW_ONE, COUNT, NOT_NEGATIVE, SHARE, Items, OneOf, Range, brief, check, ranges


@dataclass
class Example:
    rate: Annotated[float | None, ABOVE_ZERO] = None
    share: Annotated[float, SHARE] = 0.5
    betas: Annotated[tuple[float, ...], Items(2, 2), BELOW_ONE] = (0.0, 0.5)
    name: Annotated[str, OneOf(("a", "b"))] = "a"
    free: float = -1.0


@pytest.mark.parametrize(
    ("allowed", "inside", "outside"),
    [
        (ABOVE_ZERO, (1e-300, 1, 1e300), (0, -1e-300, math.inf, math.nan, True, "1", None, [1])),
        (NOT_NEGATIVE, (0, -0.0, 10**400), (-1e-300, math.inf, math.nan)),
        (SHARE, (0, 1, 0.5, (0, 1)), (-1e-9, 1 + 1e-9, (0, 2), (0, math.nan))),
        (BELOW_ONE, (0, math.nextafter(1, 0)), (1, 1.5)),
        (COUNT, (1, 2**31 - 1), (0, 2**31, 1.0, True)),
        (Range(-1, 1, whole=True), (-1, 0, 1), (2, 0.5)),
        (Items(1, 2), ((1,), (1, 2)), ((), (1, 2, 3), 1)),
        (OneOf(("a", "b")), ("a",), ("c", "", None, 1)),
    ],
)
def test_what_lies_inside(allowed, inside, outside):
    assert all(value in allowed for value in inside)
    assert not any(value in allowed for value in outside)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 0.0}, "part.rate: expected a number above 0 or None, found 0.0"),
        ({"share": math.nan}, "part.share: expected a number from 0 to 1, found nan"),
        ({"share": None}, "part.share: expected a number from 0 to 1, found None"),
        ({"betas": (0.5, 1.0)}, "part.betas: expected 2 numbers, each a number from 0 to below 1, found (0.5, 1.0)"),
        ({"betas": (0.5,)}, "part.betas: expected 2 numbers, each a number from 0 to below 1, found (0.5,)"),
        ({"name": "c"}, "part.name: expected one of a, b, found 'c'"),
    ],
)
def test_the_first_field_out_of_range_is_named(values, message):
    with pytest.raises(InputError) as error:
        check(Example(**values), "part")
    assert str(error.value) == message


def test_fields_of_a_command_are_named_as_its_flags():
    @dataclass
    class Flags:
        weight_decays: Annotated[tuple[float, ...], NOT_NEGATIVE] = ()

    with pytest.raises(InputError, match=r"^--weight-decays: expected a number >= 0, found "):
        check(Flags((-1.0,)), flags=True)


def test_what_is_in_range_passes_and_no_range_is_no_check():
    check(Example())
    check(Example(rate=1e9, free=math.nan))
    assert ranges(Example)["free"] == ([], False)


def test_words_of_ranges():
    assert str(COUNT) == "a whole number from 1 to 2147483647"
    assert str(Range(1)) == "a number >= 1"
    assert str(Range(0, 1, above=True)) == "a number above 0 to 1"
    assert str(Items(1, 16)) == "1 to 16 numbers"


def test_a_value_in_a_message_is_one_bearable_line():
    assert brief("a\nb") == r"'a\nb'"
    assert brief(10**5000) == "a whole number of more digits than Python writes"
    assert len(brief(list(range(1000)))) == 80
