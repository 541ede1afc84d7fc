"""What a file says about its network: contract 1's keys, as text, as values and as a convention."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transfer.checkpoints.layouts import CONVENTIONS, Convention, Layout
from transfer.errors import CheckpointError

FORMAT = "pretrain.backbone/1"

# Which header values are JSON text; all others are plain words (docs/design.md, contract 1).
_JSON_KEYS = ("mean", "std", "settings", "epoch", "iteration", "seed", "data", "versions", "stride_in_1x1", "source")


def decode_metadata(header: dict[str, str], path: Path) -> dict[str, object]:
    """Header strings to values: lists, numbers and objects from their JSON text, words as they stand.

    Raises:
        CheckpointError: a value that should be JSON is not.
    """
    decoded: dict[str, object] = dict(header)
    for key in _JSON_KEYS:
        if key not in header:
            continue
        try:
            decoded[key] = json.loads(header[key])
        except json.JSONDecodeError as error:
            raise CheckpointError(
                f"the metadata of {path} are damaged: expected JSON under {key!r}, found {header[key][:60]!r}; "
                "write the file again with the tool that made it"
            ) from error
    return decoded


def encode_metadata(metadata: dict[str, object]) -> dict[str, str]:
    """The inverse of ``decode_metadata``: every value as text."""
    return {key: json.dumps(value) if key in _JSON_KEYS else str(value) for key, value in metadata.items()}


def metadata_of(fed: Convention) -> dict[str, Any]:
    """A convention under contract 1's keys, and ``stride_in_1x1``."""
    normalisation = {"mean": list(fed.mean), "std": list(fed.std), "channel_order": fed.channel_order}
    return {**normalisation, "stride_in_1x1": fed.stride_in_1x1}


def converted_metadata(tree: Any) -> dict[str, Any]:
    """The metadata inside a file that ``transfer convert`` wrote, or {} for any other tree."""
    if not isinstance(tree, dict):
        return {}
    holder = tree.get("meta") if "state_dict" in tree else tree
    metadata = holder.get("metadata") if isinstance(holder, dict) else None
    return dict(metadata) if isinstance(metadata, dict) and metadata.get("format") == FORMAT else {}


def convention_of(layout: Layout, metadata: dict[str, Any], said: str | None) -> tuple[Convention | None, str]:
    """How a network was fed, and who says so: ``user`` before ``file`` before ``layout``, else ``unknown``.

    Args:
        layout: the row it was recognised by.
        metadata: the decoded header, or {}.
        said: the user's word, a key of ``layouts.CONVENTIONS``, or None.

    Raises:
        CheckpointError: no such convention, or metadata that are none.
    """
    if said is not None:
        if said not in CONVENTIONS:
            raise CheckpointError(
                f"no such convention: expected one of {', '.join(CONVENTIONS)}, found {said}; correct --convention"
            )
        return CONVENTIONS[said], "user"
    if {"mean", "std", "channel_order"} <= metadata.keys():
        mean, std = (_triple(metadata[key], key) for key in ("mean", "std"))
        return Convention(mean, std, metadata["channel_order"], bool(metadata.get("stride_in_1x1", False))), "file"
    return layout.convention, "layout" if layout.convention else "unknown"


def _triple(values: Any, key: str) -> tuple[float, float, float]:
    sound = isinstance(values, list | tuple) and len(values) == 3 and all(isinstance(v, int | float) for v in values)
    if not sound or (key == "std" and min(values) <= 0):
        raise CheckpointError(
            f"the metadata are wrong: expected three numbers under {key!r}, found {values!r}; write the file again"
        )
    return float(values[0]), float(values[1]), float(values[2])
