"""Checkpoints on the Hugging Face hub: ``hf:ORG/NAME[@REVISION][/FILE]``, fetched into the hub's own cache.

Which file is taken, where none is named: of the repository's safetensors files ``model.safetensors``, or the only one;
only where there is none of them, of its other checkpoints ``pytorch_model.bin``, or the only one. So a pickle is never
taken while the same repository has a safetensors file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from transfer.checkpoints.printable import printable
from transfer.errors import CheckpointError, InputError
from transfer.files import json_files

PREFIX = "hf:"
_ADDRESS = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([^/@]+))?(?:/(.+))?")
# Kinds of checkpoints, the safest first; the name that a kind's usual file has.
_KINDS = (
    ((".safetensors",), "model.safetensors"),
    ((".bin", ".pth", ".pt", ".ckpt", ".pkl", ".tar"), "pytorch_model.bin"),
)
_CONFIGS = ("config.json", "preprocessor_config.json")
_LARGEST_CONFIG = 1 << 20  # bytes
_SHOWN = 6


@dataclass(frozen=True)
class Address:
    """What ``hf:ORG/NAME[@REVISION][/FILE]`` says.

    Attributes:
        repository: ``ORG/NAME``.
        revision: a branch, a tag or a commit.
        file: the file's path in the repository; None leaves the choice to the rule above.
    """

    repository: str
    revision: str = "main"
    file: str | None = None


@dataclass(frozen=True)
class Fetched:
    """A checkpoint on this machine, and what its repository says of it.

    Attributes:
        path: the file, in the hub's cache.
        name: ``hf:ORG/NAME@COMMIT/FILE``, which names these very bytes.
        config: the repository's ``config.json``, or {}.
        fed: ``mean``, ``std`` and ``channel_order`` where the repository states them, else {}.
    """

    path: Path
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    fed: dict[str, Any] = field(default_factory=dict)


def is_address(path: str | Path) -> bool:
    """Whether this names a repository of the hub and no file of this machine."""
    return str(path).startswith(PREFIX)


def parse(text: str) -> Address:
    """The parts of an address.

    Raises:
        InputError: it is none.
    """
    if (match := _ADDRESS.fullmatch(text)) is None:
        raise InputError(
            f"{printable(text)} names no repository: expected hf:ORG/NAME, hf:ORG/NAME@REVISION or either with /FILE; "
            "correct it"
        )
    return Address(match[1], match[2] or "main", match[3])


def fetch(text: str) -> Fetched:
    """Fetch a checkpoint and what stands beside it; without a network the hub's cache serves.

    Args:
        text: ``hf:ORG/NAME[@REVISION][/FILE]``.

    Raises:
        InputError: no such repository, revision or file, several to choose from, no access, or neither network nor
            cache; or the package huggingface_hub is missing.
    """
    address = parse(text)
    try:
        import huggingface_hub
        import huggingface_hub.constants  # its modules are loaded when they are first asked for
        import huggingface_hub.errors
    except ModuleNotFoundError:
        raise InputError(
            f"{text}: expected the package huggingface_hub, found none; pip install huggingface_hub, or download the "
            "file and name it"
        ) from None
    names = _listing(address, huggingface_hub)
    chosen = _chosen(address, names)
    path = _downloaded(address.repository, address.revision, chosen, huggingface_hub)
    commit = path.parts[-1 - len(Path(chosen).parts)]  # .../snapshots/COMMIT/FILE
    stated = {
        name: _read(_downloaded(address.repository, commit, name, huggingface_hub))
        for name in _CONFIGS
        if name in names
    }
    config = stated.get("config.json", {})
    fed = _fed(config, stated.get("preprocessor_config.json", {}))
    return Fetched(path, f"{PREFIX}{address.repository}@{commit}/{chosen}", config, fed)


def _listing(address: Address, hub: Any) -> list[str]:
    """The names of all files of a repository, from the hub or else from the cache."""
    errors = hub.errors
    try:
        info = hub.HfApi().model_info(address.repository, revision=address.revision)
        return sorted(part.rfilename for part in info.siblings or ())
    except errors.GatedRepoError:
        raise InputError(
            f"{PREFIX}{address.repository}: expected a repository that you may read, found a gated one; accept its "
            "terms on the hub and log in with `hf auth login`"
        ) from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError):
        raise InputError(
            f"{PREFIX}{address.repository}@{address.revision}: expected a model on the hub, found none of this name "
            "and revision (or a private one); correct it, or log in with `hf auth login`"
        ) from None
    except (errors.HTTPError, OSError) as error:  # no network, or the offline mode
        if (cached := _cached(address, hub)) is None:
            why = printable(str(error).partition("\n")[0][:120])
            raise InputError(
                f"{PREFIX}{address.repository}@{address.revision}: expected the hub or a copy in its cache, found "
                f"neither ({type(error).__name__}: {why}); try again with a network"
            ) from None
        return cached


def _cached(address: Address, hub: Any) -> list[str] | None:
    """The same from the hub's cache alone; None when the revision is not in it."""
    try:
        repositories = hub.scan_cache_dir(hub.constants.HF_HUB_CACHE).repos
    except hub.errors.CacheNotFound:
        return None
    for repository in repositories:
        if repository.repo_type != "model" or repository.repo_id != address.repository:
            continue
        for revision in repository.revisions:
            if address.revision in revision.refs or revision.commit_hash == address.revision:
                return sorted(f.file_path.relative_to(revision.snapshot_path).as_posix() for f in revision.files)
    return None


def _chosen(address: Address, names: list[str]) -> str:
    where = f"{PREFIX}{address.repository}@{address.revision}"
    if address.file is not None:
        if address.file not in names:
            raise InputError(
                f"{where}: expected the file {printable(address.file)}, found {_listed(names)}; correct it"
            )
        return address.file
    for suffixes, usual in _KINDS:
        candidates = [name for name in names if name.endswith(suffixes)]
        if usual in candidates:
            return usual
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise InputError(
                f"{where}: expected {usual} or one checkpoint, found {_listed(candidates)}; name one: "
                f"{where}/{printable(candidates[0])}"
            )
    raise InputError(f"{where}: expected a checkpoint, found {_listed(names)}; name another repository")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(map(printable, names[:_SHOWN])) + more) or "no file"


def _downloaded(repository: str, revision: str, name: str, hub: Any) -> Path:
    try:
        return Path(hub.hf_hub_download(repository, name, revision=revision))
    except (hub.errors.EntryNotFoundError, hub.errors.HTTPError, OSError) as error:
        why = printable(str(error).partition("\n")[0][:120])
        raise InputError(
            f"{PREFIX}{repository}@{revision}: expected to fetch {printable(name)}, found {type(error).__name__} "
            f"({why}); try again"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    """A small JSON object of a stranger's; what is none says nothing."""
    if path.stat().st_size > _LARGEST_CONFIG:
        raise CheckpointError(f"{path.name} beside the checkpoint: expected at most 1 MiB, found more; name the file")
    content = json_files.parse(json_files.read_bytes(path, "the repository's config"), path, "the repository's config")
    return content if isinstance(content, dict) else {}


def _fed(config: Mapping[str, Any], preprocessor: Mapping[str, Any]) -> dict[str, Any]:
    """How the network was fed: timm states it in ``pretrained_cfg``, transformers in ``preprocessor_config.json``."""
    inner = config.get("pretrained_cfg")
    timm = inner if isinstance(inner, Mapping) else config
    for mean, std in (
        (timm.get("mean"), timm.get("std")),
        (preprocessor.get("image_mean"), preprocessor.get("image_std")),
    ):
        if _is_triple(mean) and _is_triple(std) and min(std) > 0:
            return {"mean": list(mean), "std": list(std), "channel_order": "RGB"}
    return {}


def _is_triple(value: Any) -> TypeGuard[list[float]]:
    return isinstance(value, list) and len(value) == 3 and all(type(part) in (int, float) for part in value)
