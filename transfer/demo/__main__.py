"""``python -m transfer.demo``, the same as ``python -m transfer demo``."""

from __future__ import annotations

import sys

from transfer.commands import demo, entry

if __name__ == "__main__":
    sys.exit(entry.main(demo, "transfer.demo", None))
