"""Large JSON files: bytes and values, with one clear line for a file that is missing, empty, doubtful or no JSON."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from transfer.errors import InputError

_UTF8_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\0\0\xfe\xff": "UTF-32"}
# What is refused of the file itself, for docs/checks.md: the line begins with the file.
REFUSALS = {
    "is missing": "no file there",
    "cannot be read": "a folder, no permission, a broken disk",
    "is empty": "nothing but white space: was the program that wrote it interrupted?",
    "is no UTF-8": "UTF-16, UTF-32, Latin-1 and the like: save it as UTF-8. A byte order mark of UTF-8 is read over",
    "is no JSON": "cut short, nested too deeply, or something else altogether",
    "has a key twice": "in one object: only one of them would count, and readers differ in which",
}


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
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file} cannot be read: expected {what}, found {reason}") from None
    if not raw.removeprefix(_UTF8_MARK).strip():
        raise InputError(f"{file} is empty: expected {what}, found nothing; was the program that wrote it interrupted?")
    return raw


def parse(raw: bytes, file: Path, what: str, *, exact: bool = False) -> Any:
    """Return what ``raw``, the bytes of ``file``, holds; NaN and Infinity come back as such, to be named by a check.

    Args:
        raw: UTF-8, with or without a byte order mark.
        file: named in errors.
        what: it is expected to be.
        exact: keep every digit of whole numbers beyond 64 bits, which otherwise come back as floats; slower.

    Raises:
        InputError: another encoding, no JSON, or a key twice in one object.
    """
    for mark, name in _OTHER_MARKS.items():
        if raw.startswith(mark):
            raise InputError(f"{file} is no UTF-8: expected {what}, found {name}; save it as UTF-8")
    text = raw.removeprefix(_UTF8_MARK)
    with large_values():
        content = _loads(text, file, what, exact)
        # Keys in the text against keys in the values: a value that begins with a colon, or white space of another kind
        # before one, makes them differ too, and then the slow way decides.
        if text.count(b'":') + text.count(b'" :') != _keys(content):
            _check_keys(text, file, what)
    return content


def _loads(text: bytes, file: Path, what: str, exact: bool) -> Any:
    try:
        return json.loads(text.decode()) if exact else orjson.loads(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no UTF-8: expected {what}, found {error.reason}; save it as UTF-8") from None
    except (ValueError, RecursionError) as error:  # orjson has its own ValueError
        reason = "values nested too deeply" if isinstance(error, RecursionError) else str(error)
    try:
        return json.loads(text.decode())  # Python's own writer makes NaN and Infinity, which no other reader takes
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no UTF-8: expected {what}, found {error.reason}; save it as UTF-8") from None
    except (ValueError, RecursionError):
        raise InputError(f"{file} is no JSON: expected {what}, found {reason}") from None


def _keys(value: Any) -> int:
    """Return the number of keys in all objects of a JSON value; lists that begin with a plain value are passed over."""
    total, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            total += len(one)
            waiting += [v for v in one.values() if type(v) is dict or (type(v) is list and v)]
        elif one and isinstance(one, list) and type(one[0]) in (dict, list):
            waiting += [v for v in one if type(v) is dict or (type(v) is list and v)]
    return total


def _check_keys(text: bytes, file: Path, what: str) -> None:
    def once(pairs: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in pairs}) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            near = next((f" (beside id {value!r})" for key, value in pairs if key == "id"), "")
            raise InputError(
                f"{file} has a key twice: expected {what} with each key of an object once, found {twice!r} "
                f"twice{near}; remove one"
            )

    json.loads(text.decode(), object_pairs_hook=once)


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
