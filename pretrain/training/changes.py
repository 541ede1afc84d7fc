"""What differs between a run as it began and as it is to go on, and whether that changes its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pretrain
from pretrain.distributed import ranks
from pretrain.settings.schema import Settings, as_plain, load_settings
from pretrain.versions import COMPUTING, versions

# These change what a run shows, keeps and costs, not the weights it ends with.
HARMLESS = {
    "data.workers",
    "data.max_unreadable",
    "run.log_every",
    "run.checkpoint_every",
    "run.keep",
    "run.knn_every",
    "run.objects_every",
}
# These are what the checkpoint's tensors are tensors of: nothing else fits them.
FIXED = {
    "method",
    "backbone.arch",
    "backbone.stem",
    "objective.redundancy_widths",
    "objective.contrastive_widths",
    "objective.bootstrap_widths",
    "objective.dense_widths",
    "objective.predictor_width",
    "objective.comp_fusion",
    "optimizer.name",
}


@dataclass(frozen=True)
class Change:
    """One difference; ``matters`` where it can change the result beyond the last digits."""

    what: str
    before: Any
    now: Any
    matters: bool = True

    def __str__(self) -> str:
        """``optimizer.lr (0.01 then, 0.5 now)``."""
        return f"{self.what} ({self.before} then, {self.now} now)"


def run_record(settings: Settings, data: dict[str, Any]) -> dict[str, Any]:
    """Everything that a resumed run is compared by, as plain JSON values; ``data`` has path, images, fingerprint."""
    record = {
        "settings": as_plain(settings),
        "data": data,
        "processes": ranks.world_size(),
        # Python's own version changes no result.
        "versions": {name: version for name, version in versions(COMPUTING).items() if name != "python"},
        "source": source_fingerprint(),
    }
    return json.loads(json.dumps(record))  # tuples become lists, as they will when it is read again


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Every difference between two `run_record`; what an older record does not tell counts as the same."""
    # Through the settings, so that one that is newer than the run counts with its default.
    old = json.loads(json.dumps(as_plain(load_settings(before["settings"]))))
    differences = [Change(key, a, b, key not in HARMLESS) for key, a, b in _leaves(old, now["settings"]) if a != b]
    if before["data"]["fingerprint"] != now["data"]["fingerprint"]:
        differences.append(Change("the images", _images(before), _images(now)))
    past = before.get("versions", {})
    differences += [Change(f"{k}'s version", past[k], v) for k, v in now["versions"].items() if past.get(k, v) != v]
    # The global batch, its order and its views are the same for any number of processes: only sums round differently.
    differences += [
        Change(what, before[key], now[key], matters=False)
        for key, what in (("processes", "the number of processes"), ("source", "the code of pretrain"))
        if before.get(key, now[key]) != now[key]
    ]
    return differences


def source_fingerprint(package: Path = Path(pretrain.__file__).parent) -> str:
    """16 hex digits from the names and contents of all modules below ``package``."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _leaves(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    for key, value in new.items():
        if isinstance(value, dict):
            yield from _leaves(old[key], value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", old[key], value


def _images(record: Mapping[str, Any]) -> str:
    return f"{record['data']['images']} in {record['data']['path']}, {record['data']['fingerprint']}"
