"""``python -m transfer.train_net``, the same as ``python -m transfer finetune``, named as Detectron2's script is."""

from __future__ import annotations

import sys

from transfer.commands import entry, finetune


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0 when done, 1 when the input was at fault (argparse exits with 2 on usage)."""
    return entry.main(finetune, "transfer.train_net", argv)


if __name__ == "__main__":
    sys.exit(main())
