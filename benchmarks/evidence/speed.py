"""Seconds per iteration of a pretraining on this machine: ...evidence.speed CONFIG DATA OUT.json KEY=VALUE ..."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from pretrain.data.sources import open_source
from pretrain.errors import InputError
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import load_settings
from pretrain.training.plan import make_plan
from pretrain.training.rehearsal import rehearse


def main(argv: list[str]) -> int:
    """Measure a few iterations, waiting for data included, and write their mean to the third argument."""
    config, data, out, *options = argv
    try:
        settings = load_settings(read_config(Path(config), options))
        with tempfile.TemporaryDirectory() as folder:
            plan = make_plan(settings, open_source([Path(data)], None), Path(folder) / "none")
            estimate = rehearse(settings, plan)
    except InputError as error:
        print(f"benchmarks.evidence.speed: {error}", file=sys.stderr)
        return 1
    found = {"seconds": estimate.seconds, "iterations": estimate.iterations, "memory": max(estimate.memory)}
    Path(out).write_text(json.dumps(found) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
