"""Parsed JSON into dataclasses, strictly: nothing is coerced, nothing is left out, and errors name the place."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterable
from typing import Any

from transfer.errors import InputError

# Key of a field's metadata: a file written before there was such a field may lack it, and gets its default.
OPTIONAL = "may be missing"


def check_keys(content: dict[str, Any], required: Iterable[str], known: Iterable[str], at: str) -> None:
    """Raise InputError, naming ``at``, when ``content`` lacks a required key or has one that is not known."""
    missing, unknown = sorted(set(required) - set(content)), sorted(set(content) - set(known))
    if missing:
        raise InputError(
            f"{at}: a field is missing: expected {', '.join(missing)}, found {', '.join(content) or 'none'}"
        )
    if unknown:
        raise InputError(f"{at}: a field is unknown: expected {', '.join(known)}, found {', '.join(unknown)}")


def decode(kind: Any, value: Any, where: str) -> Any:
    """Return ``value`` as ``kind``.

    Args:
        kind: a dataclass, str, int, float, list[X], dict[str, X], X | None or Any; X any of these.
        value: parsed JSON.
        where: names the value in errors; ends with ":" when it is a file.

    Raises:
        InputError: a value of another type, a field missing or unknown, NaN or infinity.
    """
    if kind is Any:
        return _plain(value, where)
    if dataclasses.is_dataclass(kind):
        return _decode_object(kind, value, where)
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType):  # only "X or null" is used here
        return None if value is None else decode(arguments[0], value, where)
    container = typing.get_origin(kind)
    if container is list and isinstance(value, list):
        return [decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if container is dict and isinstance(value, dict):
        return {key: decode(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    accepted = (int, float) if kind is float else (container or kind)
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise InputError(f"{where}: expected {_KINDS[container or kind]}, found {shown(value)}")
    if isinstance(value, float) and not math.isfinite(value):  # Python's JSON reader takes NaN and Infinity
        raise InputError(f"{where}: expected a finite number, found {value}; not measured is null")
    return value


_KINDS = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "an object"}


def _decode_object(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, found {shown(value)}")
    hints = typing.get_type_hints(kind)
    given = {f.name for f in dataclasses.fields(kind) if f.name in value or not f.metadata.get(OPTIONAL)}
    check_keys(value, given, hints, where.rstrip(":"))
    prefix = f"{where} " if where.endswith(":") else f"{where}."
    return kind(**{name: decode(hints[name], value[name], prefix + name) for name in hints if name in given})


def _plain(value: Any, where: str) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:  # no JSON type, or NaN
        raise InputError(f"{where}: expected plain JSON values, found {error}") from None
    return value


def shown(value: Any) -> str:
    """Return a short form of any JSON value."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
