"""The settings that training scripts leave in their checkpoints, as flat rows: which part, which key, which value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transfer.checkpoints.stand_ins import Inert

# Where settings lie: timm, PixPro, DINO, Lightning, solo-learn, MMEngine, our own and hand-written scripts.
_HOLDERS = ("args", "opt", "opts", "cfg", "config", "configs", "hparams", "hyper_parameters", "params", "options",
            "meta", "settings", "metadata", "model_args", "model_kwargs", "configuration")  # fmt: skip
# The parts of settings that are about the backbone; a neck's strides or a head's norm say nothing here.
_BACKBONE_PARTS = ("backbone", "encoder", "model", "network", "net", "trunk", "resnet", "kwargs", "backbone_kwargs",
                   "model_args", "model_kwargs", "backbone_args", "encoder_args", "resnets", "norm_cfg",
                   "act_cfg")  # fmt: skip
_MOST_VALUES = 5_000
_DEEPEST = 12
_LONGEST_TEXT = 1 << 20
# Every repetition is bounded: the text is a stranger's.
_BLOCK = re.compile(
    r"""\b(backbone|data_preprocessor|img_norm_cfg|preprocess_cfg)['"]?\s{0,20}[=:]\s{0,20}(?:dict)?\s{0,20}([({])"""
)
_PAIR = re.compile(
    r"""['"]?(\w{1,40})['"]?\s{0,20}[=:]\s{0,20}('[^'\n]{0,200}'|"[^"\n]{0,200}"|[\[(][\d\s,.]{0,200}[\])]"""
    r"""|\d{0,20}\.?\d{1,20}(?:e[-+]?\d{1,4})?\b|\w{1,40})"""
)


@dataclass(frozen=True)
class Setting:
    """One value.

    Attributes:
        part: the dictionary that holds it, in lower case: ``backbone``, ``args``, ... ; "" for the file's top level.
        key: in lower case.
        value: a plain value, or a list of such.
        of_backbone: whether the dictionary is about the network and not about data, neck or optimizer.
    """

    part: str
    key: str
    value: Any
    of_backbone: bool


def settings_of(tree: Any, header: Mapping[str, str]) -> list[Setting]:
    """All settings in a checkpoint, in the order of the file; the first 5,000 values.

    Args:
        tree: what ``opened.open_tree`` returned.
        header: the metadata of a safetensors file.
    """
    rows: list[Setting] = []
    for setting in _all(tree, header):
        rows.append(setting)
        if len(rows) >= _MOST_VALUES:
            break
    return rows


def _all(tree: Any, header: Mapping[str, str]) -> Iterator[Setting]:
    yield from _walk(dict(header), "", 0, True, set())
    if not isinstance(tree, Mapping):
        return
    for key, value in tree.items():
        name = str(key).lower() if isinstance(key, str) else ""
        if name in _HOLDERS:
            yield from _walk(value, name, 0, True, set())
        elif name and _is_value(value):
            yield Setting("", name, value, True)


def _walk(node: Any, part: str, depth: int, of_backbone: bool, visited: set[int]) -> Iterator[Setting]:
    node = _unwrapped(node)
    if isinstance(node, str) and id(node) not in visited:  # one text may stand in a thousand places
        visited.add(id(node))
        yield from _text(node, depth)
    if not isinstance(node, Mapping) or depth > _DEEPEST or id(node) in visited or len(visited) > _MOST_VALUES:
        return
    visited.add(id(node))
    for key, value in node.items():
        if not isinstance(key, str):
            continue
        name, value = key.lower(), _unwrapped(value)
        if isinstance(value, Mapping) or (isinstance(value, str) and (len(value) > 200 or name in _HOLDERS)):
            inner = of_backbone and (name in _BACKBONE_PARTS or name in _HOLDERS)
            yield from _walk(value, name, depth + 1, inner, visited)
        elif _is_value(value):
            yield Setting(part, name, value, of_backbone)


def _unwrapped(value: Any) -> Any:
    """OmegaConf's containers and nodes without their shells."""
    for _ in range(3):
        if not isinstance(value, Inert):
            break
        for inside in ("_content", "_val"):
            if inside in value:
                value = value[inside]
                break
    return value


def _is_value(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= 8 and all(isinstance(part, bool | int | float | str) for part in value)
    return value is None or isinstance(value, bool | int | float | str)


def _text(text: str, depth: int) -> Iterator[Setting]:
    """What a config kept as text says of backbone and input: JSON, or Python as mmcv and MMEngine print it."""
    if len(text) > _LONGEST_TEXT:
        return
    if text.lstrip().startswith("{") and depth < _DEEPEST:
        try:
            yield from _walk(json.loads(text), "", _DEEPEST - 6, True, set())
            return
        except (ValueError, RecursionError):
            pass  # no JSON after all: Python's dictionaries look alike
    known: set[str] = set()
    for block in _BLOCK.finditer(text):
        if block[1] not in known:  # a pipeline may repeat its norm
            known.add(block[1])
            for key, value in _PAIR.findall(text[block.end() : _closing(text, block.end())]):
                yield Setting(block[1], key.lower(), _literal(value), block[1] == "backbone")


def _closing(text: str, start: int) -> int:
    """Where the bracket opened before ``start`` closes; inner brackets are passed over."""
    depth = 1
    for at in range(start, len(text)):
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth == 0:
            return at
    return len(text)


def _literal(text: str) -> Any:
    if text[0] in "'\"":
        return text[1:-1]
    if text[0] in "([":
        numbers = [part.strip() for part in text[1:-1].split(",") if part.strip()]
        return [_number(part) for part in numbers]
    if text in ("True", "False", "None", "true", "false", "null"):
        return {"T": True, "t": True, "F": False, "f": False}.get(text[0])
    return _number(text)


def _number(text: str) -> int | float | str:
    if text.isdecimal() and len(text) < 10:
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text
