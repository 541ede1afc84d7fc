"""A restricted unpickler: tensors, arrays and plain containers come back, every other global is refused by name.

Two roads lead here. ``.pth`` files go through ``torch.load(weights_only=True)``, to which ``inert_globals`` adds
stand-ins for the harmless extras old training scripts pickled beside their weights. ``.pkl`` files (Detectron's)
are plain pickles and go through ``load``. Neither ever imports or calls what a file asks for.
"""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import torch


class Inert(dict[Any, Any]):
    """What stands in for an object whose class is known to be harmless and of no use here."""

    def __new__(cls, *args: object, **kwargs: object) -> Inert:
        """Accept whatever the original's constructor was given."""
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Keep nothing of the arguments."""
        super().__init__()

    def __setstate__(self, state: object) -> None:
        """Keep the attributes as entries, so that they can be looked at."""
        if isinstance(state, dict):
            self.update(state)

    def append(self, item: object) -> None:
        """Lists in disguise are filled by ``append``."""
        self[len(self)] = item

    def extend(self, items: list[object]) -> None:
        """Lists in disguise are filled by ``extend``."""
        for item in items:
            self.append(item)


# Extras found in published checkpoints: argument namespaces (PixPro, PyContrast, SoCo), MMEngine's message hub,
# OmegaConf settings (solo-learn, VISSL), Lightning's attribute dictionaries. `builtins.getattr` is how pickle
# writes a method of HistoryBuffer; the stand-in looks nothing up.
INERT = (
    "argparse.Namespace",
    "builtins.getattr",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.ConfigDict",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "omegaconf.nodes.BooleanNode",
    "omegaconf.nodes.FloatNode",
    "omegaconf.nodes.IntegerNode",
    "omegaconf.nodes.StringNode",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "typing.Any",
    "yacs.config.CfgNode",
    "easydict.EasyDict",
)


def _numpy_globals() -> dict[str, Any]:
    # NumPy 2 moved its rebuilding functions; old files name the old place.
    core = np._core.multiarray  # type: ignore[attr-defined]
    found: dict[str, Any] = {"numpy.ndarray": np.ndarray, "numpy.dtype": np.dtype}
    for home in ("numpy.core", "numpy._core"):
        found[f"{home}.multiarray._reconstruct"] = core._reconstruct
        found[f"{home}.multiarray.scalar"] = core.scalar
        found[f"{home}.numeric._frombuffer"] = np._core.numeric._frombuffer  # type: ignore[attr-defined]
    return found


def inert_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What ``torch.serialization.safe_globals`` needs for the extras of old checkpoints."""
    # One class per name: torch keeps a table by name, and looks calls up by value.
    stand_ins = [(type("Inert", (Inert,), {}), name) for name in INERT]
    dtypes = [
        (dtype, f"numpy.dtypes.{dtype.__name__}") for dtype in {type(np.dtype(code)) for code in "?bhilqBHILQefd"}
    ]
    return [*stand_ins, *((value, name) for name, value in _numpy_globals().items()), *dtypes, *_text_dtypes()]


def _text_dtypes() -> list[tuple[Callable[..., Any], str]]:
    return [(type(np.dtype(code)), f"numpy.dtypes.{type(np.dtype(code)).__name__}") for code in "US"]


_STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")


def _storage_from_bytes(data: bytes) -> object:
    # How a tensor pickled without torch.save carries its numbers: a torch.save file inside the pickle.
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    # Python 2 compatible pickles write bytes as text and its encoding.
    return text.encode("latin1" if encoding not in ("latin1", "utf-8", "ascii") else encoding)


def _allowed() -> dict[str, Any]:
    rebuild = {
        f"torch._utils.{name}": getattr(torch._utils, name)
        for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
    }
    storages = {f"torch.{kind}Storage": getattr(torch, f"{kind}Storage") for kind in _STORAGES}
    return {
        **_numpy_globals(),
        **rebuild,
        **storages,
        **{str(dtype): dtype for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)},
        **dict.fromkeys(INERT, Inert),
        "torch.storage._load_from_bytes": _storage_from_bytes,
        "torch.Size": torch.Size,
        "collections.OrderedDict": collections.OrderedDict,
        "_codecs.encode": _encode,
        "builtins.set": set,
        "builtins.frozenset": frozenset,
        "builtins.bytearray": bytearray,
        "builtins.complex": complex,
        "builtins.slice": slice,
    }


class _Restricted(pickle.Unpickler):
    allowed = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        """Look a global up in our own table; nothing is imported for a file."""
        home = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        try:
            return self.allowed[f"{home}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"the global {module}.{name} is not allowed") from None

    def persistent_load(self, pid: object) -> Any:
        """Refuse references out of the file: a plain pickle has none."""
        raise pickle.UnpicklingError("a reference to data outside the pickle")


def load(file: BinaryIO) -> Any:
    """Rebuild one plain pickle.

    Raises:
        pickle.UnpicklingError: a global that is not on the list, which the message names.
    """
    return _Restricted(file, encoding="latin1").load()
