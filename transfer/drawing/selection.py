"""Which of an image's detections are drawn: those that reach a limit, or the best few, dimmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transfer.evaluation.instances import Instance

FEW = 3  # drawn dimmed where nothing reaches the limit


@dataclass(frozen=True)
class Selection:
    """What of an image's objects or detections is drawn.

    Attributes:
        drawn: those that reach the limit; where none does, the best FEW.
        below: how many lie below the limit, the dimmed ones among them.
        dimmed: none reaches the limit, so ``drawn`` is dimmed.
        note: what the picture says of it; "" where it speaks for itself.
    """

    drawn: list[Instance]
    below: int = 0
    dimmed: bool = False
    note: str = ""


def choose(detections: Sequence[Instance], limit: float) -> Selection:
    """Choose what to draw of one image's detections; ``limit`` is the least score, 0-1."""
    reaching = [one for one in detections if (one.score or 0) >= limit]
    if reaching:
        return Selection(reaching, len(detections) - len(reaching))
    best = sorted(detections, key=lambda one: -(one.score or 0))[:FEW]
    if not best:
        return Selection([], note="nothing detected")
    return Selection(best, len(detections), True, f"nothing reaches {limit:g}: dimmed, the best {len(best)}")
