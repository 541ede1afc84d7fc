"""Every field of every section has a range, and what no run can mean ends in one line before anything is built."""

import dataclasses
import math
import typing

import pytest

from pretrain.errors import InputError
from pretrain.ranges import OneOf, Range, ranges
from pretrain.settings.schema import Settings, load_settings

SECTIONS = {
    name: kind for name, kind in typing.get_type_hints(Settings).items() if dataclasses.is_dataclass(kind)
}  # fmt: skip
FIELDS = [("", "method"), *((s, f.name) for s, kind in SECTIONS.items() for f in dataclasses.fields(kind))]
# However large, they mean something: a rate that is too high makes the training diverge, which it says itself, and a
# share of nothing or a weight that outweighs all others is a choice.
ANY_SIZE = {
    "objective": "redundancy contrastive bootstrap dense temperature dense_temperature off_diagonal_weight "
    "standardise_eps mcr_weight comp_weight coding_distortion coding_limit",
    "meta": "clip trial_lr mask_lr fusion_lr weight_decay warmup_scale",
    "optimizer": "lr weight_decay clip",
    "schedule": "warmup_epochs",
    "views": "ratio blur_max",
}
ZERO = {
    "objective": "redundancy contrastive bootstrap dense off_diagonal_weight standardise_eps mcr_weight comp_weight "
    "comp_mix",
    "meta": "mask_lr fusion_lr start betas momentum weight_decay warmup_share",
    "optimizer": "momentum weight_decay",
    "schedule": "warmup_share warmup_epochs",
    "data": "workers max_unreadable mean",
    "views": "flip jitter brightness contrast saturation hue grey blur second_blur blur_min solarise second_solarise",
    "run": "seed target_momentum knn_every objects_every",
}
BELOW_ZERO = {"data": "mean"}
NEVER = (math.nan, math.inf, -math.inf, 10**400, -(10**400))


def field_of(section, name):
    owner = SECTIONS[section] if section else Settings
    (field,) = [f for f in dataclasses.fields(owner) if f.name == name]
    return field, typing.get_type_hints(owner)[name]


def config(section, name, number):
    """A config with a number there, of the field's own type, or as every entry of its tuple."""
    field, kind = field_of(section, name)
    whole = float not in (*typing.get_args(kind), kind)
    if whole and isinstance(number, float) and math.isfinite(number):
        number = int(number) if number.is_integer() else math.floor(number)
    value = [number] * max(1, len(field.default)) if isinstance(field.default, tuple) else number
    return {section: {name: value}} if section else {name: value}


def is_number(section, name):
    _, kind = field_of(section, name)
    inner = {k for outer in (kind, *typing.get_args(kind)) for k in (outer, *typing.get_args(outer))}
    return bool(inner & {int, float})


NUMBERS = [key for key in FIELDS if is_number(*key)]
WORDS = [key for key in FIELDS if field_of(*key)[1] in (str, str | None)]


def refused(values, name):
    with pytest.raises(InputError, match=rf"\b{name}\b") as error:
        load_settings(values)
    assert "\n" not in str(error.value)


def test_the_fields_are_all_there():
    assert len(FIELDS) > 75
    switches = [key for key in FIELDS if field_of(*key)[1] is bool]
    assert sorted([*NUMBERS, *WORDS, *switches]) == sorted(FIELDS)


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_every_field_has_a_range_that_its_default_lies_in(section, name):
    owner = SECTIONS[section] if section else Settings
    (allowed, optional), (field, kind) = ranges(owner)[name], field_of(section, name)
    assert allowed or kind is bool
    assert (field.default is None and optional) or all(field.default in one for one in allowed)
    whole = float not in {k for outer in (kind, *typing.get_args(kind)) for k in (outer, *typing.get_args(outer))}
    assert all(one.whole == whole for one in allowed if isinstance(one, Range))


@pytest.mark.parametrize(("section", "name"), NUMBERS)
@pytest.mark.parametrize("number", NEVER, ids=["nan", "inf", "-inf", "huge", "-huge"])
def test_what_is_no_finite_number_is_one_line(section, name, number):
    refused(config(section, name, number), name)


@pytest.mark.parametrize(("section", "name"), NUMBERS)
@pytest.mark.parametrize(("number", "exempt"), [(1e12, ANY_SIZE), (0.0, ZERO), (-1.0, BELOW_ZERO)])
def test_an_absurd_number_is_one_line_or_stands_in_the_list_of_what_means_something(section, name, number, exempt):
    values = config(section, name, number)
    if name in exempt.get(section, "").split():
        allowed, _ = ranges(SECTIONS[section])[name]
        value = values[section][name]
        assert all((tuple(value) if isinstance(value, list) else value) in one for one in allowed)
    else:
        refused(values, name)


@pytest.mark.parametrize(("section", "name"), WORDS)
def test_a_word_that_is_no_choice_is_one_line_that_names_the_choices(section, name):
    owner = SECTIONS[section] if section else Settings
    (choices,), _ = ranges(owner)[name]
    assert isinstance(choices, OneOf)
    for word in choices.words:
        assert word in choices
    values = {section: {name: "nonsense"}} if section else {name: "nonsense"}
    with pytest.raises(InputError, match=rf"{name}: expected one of {', '.join(choices.words)}.* found 'nonsense'$"):
        load_settings(values)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("meta", {"betas": []}),
        ("meta", {"betas": [0.5, 0.9, 0.9]}),
        ("objective", {"redundancy_widths": []}),
        ("objective", {"contrastive_widths": [16] * 17}),
        ("data", {"mean": [0.5, 0.5]}),
        ("data", {"std": [0.5] * 4}),
        ("data", {"std": [1, 1, 0]}),
        ("objective", {"coding_order": 3}),
        ("views", {"crop_min": 0.9, "crop_max": 0.5}),
        ("views", {"blur_min": 3.0}),
    ],
)
def test_lists_of_another_length_and_ends_before_beginnings(section, values):
    refused({section: values}, next(iter(values)))
