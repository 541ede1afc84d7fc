"""A whole comparison from Python: the smallest study that ships, then its answer.

python examples/study.py runs/digits

The same folder goes on where an earlier call was stopped. On 2 CPU cores it takes minutes.
"""

import sys

import transfer


def main(out: str) -> int:
    """Run what is missing of the study in ``out``; 1 when a cell failed."""
    outcome = transfer.study("digits_small", out, jobs=2)
    for line in outcome.failed:
        print(f"failed: {line}")
    print(f"{len(outcome.done)} of {len(outcome.cells)} cells done")
    if outcome.report:
        print(f"the answer: {outcome.report / 'report.html'}")
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or ["runs/digits"]))
