"""What a file says about its network: contract 1's keys, as text, as checked values and as a convention."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transfer.checkpoints.layouts import CONVENTIONS, Convention, Layout
from transfer.checkpoints.printable import is_plain, printable
from transfer.errors import CheckpointError

FORMAT = "pretrain.backbone/1"

# Which header values are JSON text; all others are plain words (docs/design.md, contract 1).
_JSON_KEYS = ("mean", "std", "settings", "epoch", "iteration", "seed", "data", "versions", "stride_in_1x1", "source")
_LONGEST = 1 << 20  # characters of all values together; a run's settings take some thousands
_MOST_VALUES = 20_000
_DEEPEST = 32


def decode_metadata(header: dict[str, str], path: Path) -> dict[str, Any]:
    """Header strings to values: lists, numbers and objects from their JSON text, words as they stand.

    Raises:
        CheckpointError: a value that should be JSON is not, or not of its key's kind.
    """
    if sum(map(len, header.values())) > _LONGEST:
        raise _damaged(path, f"at most {_LONGEST} characters", "more")
    decoded: dict[str, Any] = dict(header)
    for key in _JSON_KEYS:
        if key not in header:
            continue
        try:
            decoded[key] = json.loads(header[key])
        except (ValueError, RecursionError) as error:  # no JSON, a number of thousands of digits, or nested too deep
            raise _damaged(path, f"JSON under {key!r}", printable(header[key][:60])) from error
    return _checked(decoded, path)


def encode_metadata(metadata: dict[str, Any]) -> dict[str, str]:
    """The inverse of ``decode_metadata``: every value as text."""
    return {key: json.dumps(value) if key in _JSON_KEYS else str(value) for key, value in metadata.items()}


def metadata_of(fed: Convention) -> dict[str, Any]:
    """A convention under contract 1's keys, and ``stride_in_1x1``."""
    normalisation = {"mean": list(fed.mean), "std": list(fed.std), "channel_order": fed.channel_order}
    return {**normalisation, "stride_in_1x1": fed.stride_in_1x1}


def converted_metadata(tree: Any, path: str | Path = "the file") -> dict[str, Any]:
    """The metadata inside a file that ``transfer convert`` wrote, checked, or {} for any other tree.

    Raises:
        CheckpointError: they are damaged.
    """
    if not isinstance(tree, dict):
        return {}
    holder = tree.get("meta") if "state_dict" in tree else tree
    metadata = holder.get("metadata") if isinstance(holder, dict) else None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        return {}
    return _checked(metadata, path)


def _checked(metadata: dict[Any, Any], path: str | Path) -> dict[str, Any]:
    """A copy that is plain JSON of bounded size, every known key of its kind."""
    left = [_MOST_VALUES, _LONGEST]
    try:
        plain: dict[str, Any] = _copied(metadata, left, 0)
    except ValueError as error:
        raise _damaged(path, "plain values", str(error)) from error
    for key, (kind, sound) in _KINDS.items():
        if key in plain and not sound(plain[key]):
            raise _damaged(path, f"{kind} under {key!r}", printable(plain[key]))
    return plain


def _copied(value: Any, left: list[int], depth: int) -> Any:
    # A pickle's containers may share their parts, or hold themselves: without a count a copy would never end.
    left[0] -= 1
    if left[0] < 0 or depth > _DEEPEST:
        raise ValueError("more of them than any run writes")
    if isinstance(value, dict):
        return {_copied_key(key, left): _copied(part, left, depth + 1) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(part, left, depth + 1) for part in value]
    if isinstance(value, str):
        return _copied_key(value, left)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(printable(value) if isinstance(value, float) else f"a {type(value).__name__}")


def _copied_key(text: Any, left: list[int]) -> str:
    if not isinstance(text, str):
        raise ValueError(f"a {type(text).__name__} as a key")
    left[1] -= len(text)
    if left[1] < 0:
        raise ValueError(f"more than {_LONGEST} characters")
    return text


def _is_triple(value: Any) -> bool:
    # Pixels are in 0-1: a thousand is beyond every convention and far below what overflows.
    numbers = isinstance(value, list) and len(value) == 3 and all(type(part) in (int, float) for part in value)
    return numbers and all(abs(part) < 1000 for part in value)


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and abs(value) < 1 << 64)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and is_plain(value)  # these end up in messages and in YAML comments


def _is_source(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_word(value.get(key)) for key in ("file", "sha256", "layout"))


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "format": ("a word", _is_word),
    "arch": ("a word", _is_word),
    "stem": ("a word", _is_word),
    "method": ("a word", _is_word),
    "channel_order": ("RGB or BGR", lambda value: value in ("RGB", "BGR")),
    "mean": ("three numbers", _is_triple),
    "std": ("three numbers above zero", lambda value: _is_triple(value) and min(value) > 0),
    "stride_in_1x1": ("true or false", lambda value: isinstance(value, bool)),
    **dict.fromkeys(("epoch", "iteration", "seed"), ("a whole number", _is_count)),
    **dict.fromkeys(("settings", "data", "versions"), ("an object", lambda value: isinstance(value, dict))),
    "source": ("an object with file, sha256 and layout", _is_source),
}


def _damaged(path: str | Path, expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        f"the metadata of {path} are damaged: expected {expected}, found {found}; "
        "write the file again with the tool that made it"
    )


def convention_of(layout: Layout, metadata: dict[str, Any], chosen: str | None) -> tuple[Convention | None, str]:
    """How a network was fed, and who says so: ``user`` before ``file`` before ``layout``, else ``unknown``.

    Args:
        layout: the row it was recognised by.
        metadata: the checked metadata, or {}.
        chosen: the user's word, a key of ``layouts.CONVENTIONS``, or None.

    Raises:
        CheckpointError: no such convention.
    """
    if chosen is not None:
        if chosen not in CONVENTIONS:
            raise CheckpointError(
                f"no such convention: expected one of {', '.join(CONVENTIONS)}, found {chosen}; correct --convention"
            )
        return CONVENTIONS[chosen], "user"
    if {"mean", "std", "channel_order"} <= metadata.keys():
        mean, std = ((float(r), float(g), float(b)) for r, g, b in (metadata["mean"], metadata["std"]))
        return Convention(mean, std, metadata["channel_order"], metadata.get("stride_in_1x1", False)), "file"
    return layout.convention, "layout" if layout.convention else "unknown"
