"""The gallery as the page takes it: every image once, and objects that script and style sheet can tell apart."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from transfer.drawing import layout, selection
from transfer.drawing.svg_overlay import Picture, overlay, picture
from transfer.evaluation.instance_errors import MISSED, NAMES, RIGHT, Detected
from transfer.evaluation.instances import Instance
from transfer.reporting.gallery import Gallery, Shown
from transfer.reporting.wording import DASH, minus

KINDS = (RIGHT, *NAMES.values(), MISSED)  # their places are the page's numbers for them
MOST_CLASSES = 20  # in a legend


def gallery_data(shown: Gallery, score: float) -> dict[str, Any]:
    """Return the strips; each image's pixels stand in the page once, however often it is shown.

    Args:
        shown: what to show.
        score: least score that is drawn when the page opens, 0-1.
    """
    colours = layout.colours(shown.classes)
    numbers = {name: i for i, name in enumerate(shown.classes)}
    pictures: dict[str, dict[str, Any]] = {}
    strips = []
    for strip in shown.strips:
        images = []
        for image in strip.images:
            if image.name not in pictures:
                pictures[image.name] = {"id": f"image-{len(pictures)}", "picture": picture(image.pixels)}
            one = pictures[image.name]
            change = None if image.change is None else minus(f"{image.change:+z.2f}")
            cells = _cells(shown, image, one["picture"], colours, numbers, score)
            images.append(
                {"name": image.name, "id": one["id"], "change": change, "cells": cells, "size": one["picture"]}
            )
        strips.append({"title": strip.title, "caption": strip.caption, "images": images})
    return {
        "why": shown.why,
        "strips": strips,
        "columns": len(shown.titles) + 1,
        "titles": ["ground truth", *shown.titles],
        "pair": [1 + i for i in shown.pair],
        "pictures": list(pictures.values()),
        "score": f"{score:g}",
        "percent": round(100 * score),
        "classes": [(name, f"c{colour}") for name, colour in colours.items()],
        "legend": len(colours) <= MOST_CLASSES,
        "kinds": list(enumerate(KINDS)),
    }


def _cells(
    shown: Gallery, image: Shown, made: Picture, colours: dict[str, int], numbers: dict[str, int], score: float
) -> list[dict[str, Any]]:
    """Return the ground truth and each run's detections of one image."""
    truth = [
        f' data-c="{numbers[one.label]}" data-f="{",".join(_percent(run.matched[i]) for run in image.runs)}"'
        for i, one in enumerate(image.truth)
    ]
    cells = [
        {
            "title": "ground truth",
            "truth": True,
            "says": _objects(image.truth),
            "overlay": Markup(overlay(image.truth, colours, made, truth)),
        }
    ]
    for i, (title, run, f1) in enumerate(zip(shown.titles, image.runs, image.f1, strict=True)):
        drawn = selection.choose(run.instances, score)
        cells.append(
            {
                "title": title,
                "truth": False,
                "pair": i in shown.pair,
                "f1": DASH if f1 is None else f"{f1:.2f}",
                "says": _objects(drawn.drawn),
                "none": "" if drawn.drawn and not drawn.dimmed else "nothing reaches the limit",
                "overlay": Markup(overlay(run.instances, colours, made, _attributes(run, numbers, drawn))),
            }
        )
    return cells


def _attributes(run: Detected, numbers: dict[str, int], drawn: selection.Selection) -> list[str]:
    """Return each detection's score in percent, class and kind, and whether it is hidden or dimmed at first."""
    attributes = []
    for one, kind in zip(run.instances, run.kinds, strict=True):
        there = any(one is other for other in drawn.drawn)
        state = (' class="dim"' if drawn.dimmed else "") if there else ' class="low"'
        number = KINDS.index(kind) if kind else -1
        attributes.append(f'{state} data-s="{_percent(one.score)}" data-c="{numbers[one.label]}" data-k="{number}"')
    return attributes


def _percent(score: float | None) -> str:
    """Return a score as the page compares it with its limit, in percent; -1 for none."""
    return "-1" if score is None else f"{100 * score:.4g}"


def _objects(some: list[Instance]) -> str:
    """Return what a picture shows, for those who cannot see it: "2 person, 1 dog"."""
    counts: dict[str, int] = {}
    for one in some:
        counts[one.label] = counts.get(one.label, 0) + 1
    return ", ".join(f"{count} {label}" for label, count in counts.items()) or "nothing"
