"""Plain values from a config file into dataclasses, strictly: every key must exist, every value be of its type."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pretrain.errors import InputError
from pretrain.ranges import brief

T = TypeVar("T")


def decode(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """A dataclass from a dictionary of plain values, nested dataclasses from nested dictionaries.

    Whole numbers become floats where a float is meant, lists become tuples; nothing else is converted.

    Args:
        cls: a dataclass whose fields are annotated with bool, int, float, str, tuples of them, dataclasses, or a
            union with None.
        values: what the file says.
        prefix: of the keys in messages, such as ``optimizer.``.

    Raises:
        InputError: unknown key (with the nearest known one) or a value of another type.
    """
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(known)}"
            name = key if isinstance(key, str) and key.isidentifier() else brief(key)
            raise InputError(f"config: expected a known key, found {prefix}{name}; {hint}")
        kind = hints[key]
        if dataclasses.is_dataclass(kind):
            if not isinstance(value, Mapping):
                raise InputError(f"config {prefix}{key}: expected a section (a dictionary), found {brief(value)}")
            arguments[key] = decode(typing.cast(type, kind), value, f"{prefix}{key}.")
        else:
            arguments[key] = _typed(f"{prefix}{key}", value, kind)
    return cls(**arguments)


def _typed(name: str, value: Any, kind: Any) -> Any:
    options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    if value is None and options == (str,):
        return "none"  # as a command line has it, where the word may be one of the choices
    for option in options:
        if option is types.NoneType and value is None:
            return None
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            return _float(name, value)
        if option in (int, str, bool) and type(value) is option:
            return value
        if typing.get_origin(option) is tuple and isinstance(value, list | tuple):
            inner = typing.get_args(option)[0]
            return tuple(_typed(name, v, inner) for v in value)
    wanted = " or ".join(getattr(o, "__name__", str(o)) for o in options)
    raise InputError(f"config {name}: expected {wanted}, found {brief(value)}")


def _float(name: str, value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # Python's whole numbers know no end
        raise InputError(f"config {name}: expected a number, found one of {int(value).bit_length()} bits") from None
