"""Detectron2's config: find it, resolve it strictly, apply overrides, fit it to the machine."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml  # type: ignore[import-untyped]
from detectron2.config import CfgNode, get_cfg

import transfer
from transfer.errors import InputError

# Of SOLVER, beside Detectron2's BIAS_LR_FACTOR: the one key that Detectron2 lacks. It stands only in configs in which
# it is not 1, so that Detectron2 itself reads all the others.
BACKBONE_LR_FACTOR = "BACKBONE_LR_FACTOR"


def backbone_lr_factor(cfg: CfgNode) -> float:
    """The learning rate of the backbone relative to that of the rest."""
    return float(cfg.SOLVER.get(BACKBONE_LR_FACTOR, 1.0))


def set_backbone_lr_factor(cfg: CfgNode, factor: float) -> None:
    """Set the factor, or remove it where it is 1."""
    cfg.SOLVER[BACKBONE_LR_FACTOR] = float(factor)
    if factor == 1:
        del cfg.SOLVER[BACKBONE_LR_FACTOR]


def read_config(path: Path) -> CfgNode:
    """Return Detectron2's defaults with the file ``path`` and its ``_BASE_`` files merged in.

    Raises:
        InputError: no YAML, an unknown key, a key given twice in one file, or a value of the wrong type.
    """
    _check_yaml(path)
    cfg = get_cfg()
    cfg.SOLVER[BACKBONE_LR_FACTOR] = 1.0
    try:
        # Detectron2's default allows YAML tags that run Python code; a config file is data here.
        cfg.merge_from_file(str(path), allow_unsafe=False)
        set_backbone_lr_factor(cfg, cfg.SOLVER[BACKBONE_LR_FACTOR])
    except KeyError as error:  # yacs: "Non-existent config key: A.B"
        raise InputError(f"{path}: {_unknown_key(cfg, str(error.args[0]).rpartition(' ')[2])}") from None
    except (ValueError, AssertionError) as error:
        raise InputError(f"{path}: expected a Detectron2 config, found {_one_line(error)}") from None
    return cfg


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, which would keep the last of two equal keys, with an error instead."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in mapping:
            raise InputError(f"line {key_node.start_mark.line + 1}: expected each key once, found {key} twice")
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _check_yaml(path: Path) -> None:
    """Raise InputError unless ``path`` and every ``_BASE_`` below it are readable YAML objects without double keys."""
    try:
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, _StrictLoader)
    except FileNotFoundError:
        raise InputError(f"{path}: expected a config file, found nothing; a _BASE_ names it") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: of a date that is none, too
        raise InputError(f"{path}: expected a YAML file, found {_one_line(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected config keys, found {type(content).__name__}")
    bases = content.get("_BASE_", [])
    for base in [bases] if isinstance(bases, str) else bases:
        if "://" not in base:
            _check_yaml(path.parent / Path(base).expanduser())


def override(cfg: CfgNode, pairs: Sequence[Any]) -> None:
    """Apply ``KEY VALUE KEY VALUE ...`` to ``cfg``.

    Raises:
        InputError: an odd number of words, an unknown key, or a value of the wrong type.
    """
    if len(pairs) % 2:
        raise InputError(f"overrides: expected KEY VALUE pairs, found {len(pairs)} words: {' '.join(map(str, pairs))}")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if lookup(cfg, key) is None:
            raise InputError(_unknown_key(cfg, key))
        try:
            cfg.merge_from_list([key, value])
        except (ValueError, AssertionError, AttributeError) as error:
            raise InputError(
                f"override {key}: expected a value like {lookup(cfg, key)!r}, found {_one_line(error)}"
            ) from None


def changed(cfg: CfgNode, settings: dict[str, Any]) -> list[str]:
    """Set every key of ``settings`` in ``cfg``; return ``KEY: old -> new`` for those that changed."""
    lines = []
    for key, value in settings.items():
        old = lookup(cfg, key)
        if not same(old, value):
            lines.append(f"{key}: {old} -> {value}")
        cfg.merge_from_list([key, value])
    return lines


def same(a: Any, b: Any) -> bool:
    """Whether two config values are equal, lists and tuples alike (a config that was saved has lists only)."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def lookup(cfg: CfgNode, key: str) -> Any:
    """Return the value of ``A.B.C`` in ``cfg``, or None when there is no such key."""
    node: Any = cfg
    for part in key.split("."):
        if not isinstance(node, CfgNode) or part not in node:
            return None
        node = node[part]
    return node


def leaves(node: CfgNode, prefix: str = "") -> list[str]:
    """Return the full names of all keys below ``node``."""
    keys: list[str] = []
    for key, value in node.items():
        keys += leaves(value, f"{prefix}{key}.") if isinstance(value, CfgNode) else [prefix + key]
    return keys


def _unknown_key(cfg: CfgNode, key: str) -> str:
    close = difflib.get_close_matches(key, leaves(cfg), n=1, cutoff=0.6)
    return f"unknown config key: expected a Detectron2 key, found {key}" + (
        f"; did you mean {close[0]}?" if close else ""
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def differences(old: CfgNode, new: CfgNode) -> list[str]:
    """Return ``KEY: old -> new`` for every key whose values differ."""
    keys = dict.fromkeys([*leaves(old), *leaves(new)])
    pairs = ((key, lookup(old, key), lookup(new, key)) for key in keys)
    return [f"{key}: {before} -> {after}" for key, before, after in pairs if not same(before, after)]


def fit_machine(cfg: CfgNode, processes: int) -> list[str]:
    """Change what the config asks for and this machine lacks; return one line for each change, to be logged.

    SyncBN needs CUDA and a process group (Detectron2 issues 4843, 2994): with one process or on the CPU plain BN does
    the same, each process with its own batch.
    """
    lines = []
    if cfg.MODEL.DEVICE.startswith("cuda") and not torch.cuda.is_available():
        lines += changed(cfg, {"MODEL.DEVICE": "cpu"})
    if processes == 1 or not cfg.MODEL.DEVICE.startswith("cuda"):
        synchronised = [key for key in leaves(cfg) if key.endswith(".NORM") and lookup(cfg, key) == "SyncBN"]
        lines += changed(cfg, dict.fromkeys(synchronised, "BN"))
    if cfg.SOLVER.AMP.ENABLED and not cfg.MODEL.DEVICE.startswith("cuda"):  # Detectron2's AMP trainer asks for CUDA
        lines += changed(cfg, {"SOLVER.AMP.ENABLED": False})
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < cfg.DATALOADER.NUM_WORKERS:  # more only wait for each other; torch warns of it
        lines += changed(cfg, {"DATALOADER.NUM_WORKERS": cores})
    return lines


def find_config(name: str) -> Path:
    """Return the config file ``name``: a path, or else one of the packaged configs.

    Packaged configs are found under the name they have in a checkout (``configs/segmentation/x.yaml``) and under
    their bare file name, from any folder and also when the package is installed without the checkout.

    Raises:
        InputError: no such file; close names are given.
    """
    if Path(name).is_file():
        return Path(name)
    packaged = [file for folder in _packaged_folders() for file in sorted(folder.glob("*.yaml"))]
    for file in packaged:
        if name in (f"configs/{file.parent.name}/{file.name}", f"{file.parent.name}/{file.name}", file.name, file.stem):
            return file
    close = difflib.get_close_matches(Path(name).name, [f.name for f in packaged], n=3, cutoff=0.4)
    hint = f"; packaged configs with a similar name: {', '.join(close)}" if close else ""
    raise InputError(f"{name}: expected a config file, found nothing here or among the packaged configs{hint}")


def _packaged_folders() -> list[Path]:
    package = Path(transfer.__file__).parent
    root = next((r for r in (package / "configs", package.parent / "configs") if (r / "segmentation").is_dir()), None)
    return [] if root is None else [root / "detection", root / "segmentation"]


def check_complete(path: Path) -> None:
    """Refuse the packaged configs that are only parts of others: they say nothing of data, schedule or head.

    Raises:
        InputError: it is one of them.
    """
    if path.name.startswith("base_") and path.resolve().parent in [folder.resolve() for folder in _packaged_folders()]:
        raise InputError(
            f"{path}: expected a config that can be run, found one that others are built on; name one of those"
        )
