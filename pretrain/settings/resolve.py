"""Every setting of pretraining configs, defaults and overrides applied, as JSON: what another program needs to know.

    echo '[["configs/pretrain/simclr_r18_any_100e.py", ["data.batch=32"]]]' | python -m pretrain.settings.resolve

Reads a list of [config, [KEY=VALUE, ...]] from stdin; prints a list of settings in the same order.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pretrain.errors import InputError
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import as_plain, load_settings


def main() -> int:
    """Return 0, or 1 when a config or an override cannot be used, which one line on stderr says."""
    resolved = []
    for config, overrides in json.load(sys.stdin):
        try:
            resolved.append(as_plain(load_settings(read_config(Path(config), overrides))))
        except InputError as error:
            print(f"{config}: {error}", file=sys.stderr)
            return 1
    print(json.dumps(resolved))
    return 0


if __name__ == "__main__":
    sys.exit(main())
