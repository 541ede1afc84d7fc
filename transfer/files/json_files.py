"""Large JSON files: bytes and values, with one clear line for a file that is missing, empty or no JSON."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from transfer.errors import InputError


@contextmanager
def large_values() -> Iterator[None]:
    """Let Python look for no cycles of references meanwhile: JSON has none, and each look goes through all of it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def read_bytes(file: Path, what: str) -> bytes:
    """Return the bytes of ``file``, which is expected to be ``what``.

    Raises:
        InputError: it is missing, empty or cannot be read.
    """
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{file} is missing: expected {what}, found nothing") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: expected {what}, found {error}") from None
    if not raw.strip():
        raise InputError(f"{file} is empty: expected {what}, found nothing; was the program that wrote it interrupted?")
    return raw


def parse(raw: bytes, file: Path, what: str) -> Any:
    """Return what ``raw``, the bytes of ``file``, holds; NaN and Infinity come back as such, to be named by a check.

    Raises:
        InputError: no JSON.
    """
    try:
        with large_values():
            return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(raw)  # Python's own writer makes NaN and Infinity, which no other reader takes
        except (ValueError, RecursionError):
            raise InputError(f"{file} is no JSON: expected {what}, found {error}") from None


def encode(content: Any, what: str) -> bytes:
    """Return values in memory as the bytes of a JSON file, so that one reader checks both.

    Args:
        content: what JSON has, and numpy's arrays and numbers, and bytes (pycocotools' run-length codes).
        what: names it in errors.

    Raises:
        InputError: a value that JSON has no form for.
    """
    try:
        return orjson.dumps(content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise InputError(f"{what}: expected values as a JSON file has them, found {error}; correct it") from None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    if hasattr(value, "tolist"):  # numpy's numbers that orjson does not know
        return value.tolist()
    raise TypeError(type(value).__name__)
