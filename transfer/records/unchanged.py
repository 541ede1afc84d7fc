"""Whether a record's val set is still what the run was measured on."""

from __future__ import annotations

from pathlib import Path

from transfer.files.atomic import sha256
from transfer.records.record import Split


def why_changed(val: Split) -> str:
    """Return why the ground truth of a record can no longer be used, "" when its file is there and the same."""
    file = Path(val.annotations)
    if not file.is_file():
        return f"the val annotations are not at `{file}` any more"
    if sha256(file) != val.fingerprint:
        return f"`{file}` is not the file that the runs were measured on any more"
    return ""
