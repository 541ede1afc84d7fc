"""YAML into dataclasses, strictly: each key once and known, every value of its type, errors that name the place."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml  # type: ignore[import-untyped]

from transfer.errors import InputError

T = TypeVar("T")


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, which would keep the last of two equal keys, with an error instead."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[str, Any]:
    names = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        name = str(loader.construct_object(key_node, deep=True))
        if name in names:
            raise InputError(f"line {key_node.start_mark.line + 1}: expected each name once, found {name} twice")
        names.add(name)
    loader.flatten_mapping(node)  # `<<: *other`: what the other has and this one does not say itself
    return {
        str(loader.construct_object(key_node, deep=True)): loader.construct_object(value_node, deep=True)
        for key_node, value_node in node.value
    }


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """The file's keys and values; every key is text.

    Raises:
        InputError: no such file, no YAML, no mapping, or a key given twice.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)
    except InputError as error:
        raise InputError(f"{path}: {error}; rename or remove one") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: of a date that is none, too
        raise InputError(f"{path}: expected a YAML file, found {' '.join(str(error).split())[:200]}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values, found {_shown(content)}")
    return content


def decode(cls: type[T], values: Any, at: str) -> T:
    """A dataclass from parsed YAML; a field without a default must be there.

    Args:
        cls: a dataclass whose fields are bool, int, float, str, Any, tuples and dictionaries of these, dataclasses, or
            a union with None. Whole numbers become floats where a float is meant, and text where text is meant.
        values: a mapping.
        at: names the place in errors, such as ``study.yaml: data``.

    Raises:
        InputError: an unknown key (with the nearest known one), a missing one, or a value of another type.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{at.rstrip(':')}: expected keys and values, found {_shown(values)}")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(fields)}"
            raise InputError(f"{at.rstrip(':')}: expected a known key, found {key}; {hint}")
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{at.rstrip(':')}: expected {name}, found {', '.join(values) or 'nothing'}; add it")
    hints = typing.get_type_hints(cls)
    return cls(**{key: _typed(hints[key], value, _below(at, key)) for key, value in values.items()})


def _below(at: str, key: str) -> str:
    """Name of a place: ``study.yaml: data.train``; a file's own name ends with a colon."""
    return f"{at} {key}" if at.endswith(":") else f"{at}.{key}"


_LARGEST = 1e300
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list",
    dict: "a mapping",
}


def _typed(kind: Any, value: Any, at: str) -> Any:
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    for option in options:
        inner = typing.get_args(option)
        if option is Any or (option in (bool, str, int) and type(value) is option):
            return value
        if option is float and type(value) in (int, float) and abs(value) < _LARGEST:  # also no NaN
            return float(value)
        if option is str and type(value) in (int, float):
            return f"{value:g}" if isinstance(value, float) else str(value)
        if dataclasses.is_dataclass(option) and (isinstance(value, Mapping) or len(options) == 1):
            return decode(typing.cast(type, option), value, at)
        if typing.get_origin(option) is tuple and isinstance(value, list):
            return tuple(_typed(inner[0], item, f"{at}[{i}]") for i, item in enumerate(value))
        if typing.get_origin(option) is dict and isinstance(value, Mapping):
            return {key: _typed(inner[1], item, f"{at}.{key}") for key, item in value.items()}
    wanted = " or ".join(_WORDS.get(typing.get_origin(option) or option, "keys and values") for option in options)
    raise InputError(f"{at}: expected {wanted}, found {_shown(value)}")


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
