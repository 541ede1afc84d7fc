"""What a run ran on and with: saved beside its weights, one entry for every start and resume."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from pretrain.atomic import write_text
from pretrain.versions import PACKAGES, versions


def environment() -> dict[str, Any]:
    """Command, versions and devices of this process, as plain values."""
    gpu, known = torch.cuda.is_available(), versions()
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": known["python"],
        "platform": platform.platform(),
        "pretrain": known["pretrain"],
        "packages": {name: known[name] for name in PACKAGES},
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())] if gpu else [],
        "cuda": torch.version.cuda if gpu else None,
    }


def save_environment(path: Path) -> None:
    """Add this start's `environment` to a JSON list in a file."""
    starts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    write_text(path, json.dumps([*starts, environment()], indent=1) + "\n")
