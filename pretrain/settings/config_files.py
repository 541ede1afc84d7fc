"""Config files: MMEngine's Python configs with ``_base_``, plain values only, and overrides from the command line."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

import pretrain
from pretrain.errors import InputError, one_line

# Where this project's configs are: inside the package when installed, beside it in a checkout.
_PACKAGE = Path(pretrain.__file__).parent
_PLACES = (_PACKAGE / "configs", _PACKAGE.parent / "configs" / "pretrain")


def read_config(config: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The config's values, a file's or those given, with ``key=value`` overrides put in.

    A path that does not exist is looked for by its name, with or without ``.py``, among the configs of this project,
    so that the commands of the README work outside a checkout too.

    Raises:
        InputError: no such file, not a readable config, a file without a method, or an override that is not
            ``key=value``.
    """
    values = copy.deepcopy(dict(config)) if isinstance(config, Mapping) else _from_file(Path(config))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise InputError(f"--cfg-options: expected KEY=VALUE, found {override!r}")
        _put(values, key.split("."), _value(text))
    if not isinstance(config, Mapping) and "method" not in values:
        raise InputError(
            f"config {config}: expected one that names a method, found one that others are built on; name one of "
            "those, or add --cfg-options method=NAME"
        )
    return values


def _from_file(path: Path) -> dict[str, Any]:
    try:
        config = Config.fromfile(_locate(path), import_custom_modules=False, lazy_import=False)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"config {path} cannot be read: {error.strerror}") from None
    except (Exception, SystemExit) as error:  # a config is a program: whatever it raises is a fault in it
        raise InputError(f"config {path} cannot be read: {one_line(error)}; mend the file") from None
    values: dict[str, Any] = config.to_dict()
    return values


def config_text(values: Mapping[str, Any]) -> str:
    """A config file that says every value, defaults included, and needs no base."""
    lines = ["# Every setting of the run in this folder, defaults included; can be trained again as it is."]
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines.append(f"{key} = dict(\n" + "".join(f"    {k}={v!r},\n" for k, v in value.items()) + ")")
        else:
            lines.append(f"{key} = {value!r}")
    return "\n".join(lines) + "\n"


def _locate(path: Path) -> Path:
    name = path.name if path.suffix else f"{path.name}.py"
    for candidate in (path, *(place / name for place in _PLACES)):
        if candidate.is_file():
            return candidate
    raise InputError(f"config: expected a file, found nothing at {path}; the configs are in configs/pretrain")


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise InputError(f"--cfg-options {'.'.join(keys)}: expected a section, found {key} = {values!r}")
    values[keys[-1]] = value


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all of which odd text brings about
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)
