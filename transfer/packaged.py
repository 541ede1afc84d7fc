"""Where this project's detector configs are: beside the package in a checkout, inside it when installed."""

from __future__ import annotations

import difflib
from pathlib import Path

from transfer.errors import InputError


def find_config(name: str) -> Path:
    """Return the config file ``name``: a path, or else one of the packaged configs.

    Packaged configs are found under the name they have in a checkout (``configs/segmentation/x.yaml``) and under
    their bare file name, from any folder and also when the package is installed without the checkout.

    Raises:
        InputError: no such file; close names are given.
    """
    if Path(name).is_file():
        return Path(name)
    package = Path(__file__).parent
    root = next((r for r in (package / "configs", package.parent / "configs") if (r / "segmentation").is_dir()), None)
    packaged = (
        [f for folder in ("detection", "segmentation") for f in sorted((root / folder).glob("*.yaml"))] if root else []
    )
    for file in packaged:
        if name in (f"configs/{file.parent.name}/{file.name}", f"{file.parent.name}/{file.name}", file.name, file.stem):
            return file
    close = difflib.get_close_matches(Path(name).name, [f.name for f in packaged], n=3, cutoff=0.4)
    hint = f"; packaged configs with a similar name: {', '.join(close)}" if close else ""
    raise InputError(f"{name}: expected a config file, found nothing here or among the packaged configs{hint}")
