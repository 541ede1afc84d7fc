"""``pretrain.md``: what a finished training did, in figures and curves, from the files that it left."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pretrain.atomic import write_bytes
from pretrain.mask_file import FILE as MASK_FILE
from pretrain.mask_file import read_snapshots
from pretrain.probes.verdict import verdict
from pretrain.reporting.metrics_file import NAME, MetricsFile
from pretrain.reporting.plots import Curve, curves_png, histograms_png

FOLDER = "report"  # of the pictures, beside pretrain.md

_SUMS = {"loss": "lower loss (what w descends)", "upper_loss": "upper loss (what m and ξ descend)"}
_TERMS = {
    "redundancy": "redundancy (Barlow Twins)",
    "contrastive": "contrastive (NT-Xent)",
    "bootstrap": "bootstrap (BYOL)",
    "dense": "dense contrastive (DenseCL)",
    "mcr": "L_mcr (CompMod)",
}
_SHARES = {
    "share of the step's gradient": {
        "share_redundancy": "redundancy",
        "share_contrastive": "contrastive",
        "share_bootstrap": "bootstrap",
        "share_dense": "dense",
        "share_mcr": "L_mcr",
    }
}
_FEATURES: dict[str, dict[str, str]] = {
    "collapse alarm: effective rank": {"effective_rank": "features h", "effective_rank_z": "embeddings z"},
    "collapse alarm: spread of the normalised features": {"feature_std": "std"},
    "mean |off-diagonal| correlation of h": {"redundancy_h": "redundancy"},
    "k-nearest neighbours, %": {"knn": "held-out training images"},
    "object kNN minus random weights', points": {
        "classes_knn_gain": "which class",
        "objectness_knn_gain": "object or background",
    },
    "mask weights": {"mask_p95": "95 %", "mask_median": "median", "mask_p05": "5 %"},
    "top of the coding matrices": {"coding_top": "λ Ẑ Ẑᵀ", "coding_top_mcr": "λ Ẑ Zᵀ"},
    "learning rate": {"lr": "w"},
    "loss scale (float16)": {"loss_scale": "scale"},
}
_HYPERGRADIENT = {
    "mask m": {"mask_direct": "direct", "mask_second_order": "second order"},
    "fusion ξ": {"fusion_direct": "direct", "fusion_second_order": "second order"},
}
_HEALTH = {
    "effective_rank": "collapse alarm: effective rank of h",
    "feature_std": "collapse alarm: std of the normalised features",
}
_BALANCED = (
    "The sum that w descends is left out: each term in it is divided by a running mean of its own gradient's norm, so "
    "that the sum may rise while every term falls."
)

Lines = Sequence[Mapping[str, float]]


def write_report(folder: Path, about: Mapping[str, str], meta_start: int = 0, *, balanced: bool = False) -> Path:
    """Write ``pretrain.md`` and its pictures into a run's folder.

    Args:
        folder: holds ``metrics.jsonl`` and, with a mask, ``mask.json``.
        about: what the run was, heading -> text, for the first table.
        meta_start: first iteration with a meta step, marked in the curves; 0 for none.
        balanced: the terms are on the scale of their gradients: their sum then says nothing over time, and is left out.

    Returns:
        The path of ``pretrain.md``.
    """
    lines = MetricsFile(folder / NAME).read()
    pictures = folder / FOLDER
    pictures.mkdir(exist_ok=True)
    parts = [f"# Pretraining: {about['method']}", "", *_rows(about), ""]
    losses = _TERMS if balanced else {**_SUMS, **_TERMS}
    parts += ["## From first to last", "", *_changes(lines, {**losses, **_HEALTH}), "", *([_BALANCED, ""] * balanced)]
    looks = [line for line in lines if "objects_effective_rank" in line]
    if looks:
        parts += [f"After iteration {int(looks[-1]['iteration'])}, {verdict(looks[-1]).text}.", ""]
    for title, name, draw in _pictures(lines, losses, read_snapshots(folder / MASK_FILE), meta_start):
        write_bytes(pictures / f"{name}.png", draw())
        parts += [f"## {title}", "", f"![{title}]({FOLDER}/{name}.png)", ""]
    if meta_start:
        parts += [f"Dotted lines: iteration {meta_start}, from which the upper variables move.", ""]
    parts += ["Every number over time: `metrics.jsonl`, and `tensorboard --logdir tensorboard`.", ""]
    parts += [
        "## What next",
        "",
        "    python -m transfer convert backbone.safetensors --to detectron2 --out detectron2.pth",
    ]
    parts += ["    python -m pretrain evaluate backbone.safetensors --data DIR --protocol knn --out knn.json", ""]
    out = folder / "pretrain.md"
    write_bytes(out, "\n".join(parts).encode())
    return out


def _pictures(
    lines: Lines, losses: Mapping[str, str], masks: Mapping[int, list[float]], meta_start: int
) -> list[tuple[str, str, Callable[[], bytes]]]:
    """(title, file name, how to draw it) of every picture that there is something to show in."""
    terms = _panels(lines, {title: {key: title} for key, title in losses.items()})
    shares = _panels(lines, _SHARES)
    terms += [panel for panel in shares if len(panel[1]) > 1]  # the share of a term alone is 1
    features = _panels(lines, _FEATURES)
    both = _panels(lines, _HYPERGRADIENT)
    pictures: list[tuple[str, str, Callable[[], bytes]]] = []
    if terms:
        pictures.append(("Losses", "losses", lambda: curves_png(terms, marks=meta_start)))
    if features:
        pictures.append(("Features", "features", lambda: curves_png(features, marks=meta_start)))
    if both:
        title = "Hypergradient: ‖direct‖ against ‖second order‖"
        pictures.append((title, "hypergradient", lambda: curves_png(both, log_scale=True, marks=meta_start)))
    if masks:
        pictures.append(("Mask", "mask", lambda: histograms_png(masks, "weight of a feature dimension")))
    return pictures


def _panels(lines: Lines, groups: Mapping[str, Mapping[str, str]]) -> list[tuple[str, list[Curve]]]:
    """The groups of which anything was logged."""
    panels = []
    for title, names in groups.items():
        curves: list[Curve] = []
        for key, label in names.items():
            points = [(int(line["iteration"]), float(line[key])) for line in lines if key in line]
            if points:
                curves.append((label, [x for x, _ in points], [y for _, y in points]))
        if curves:
            panels.append((title, curves))
    return panels


def _changes(lines: Lines, names: Mapping[str, str]) -> list[str]:
    """First, middle and last logged value of what tells most."""
    if not lines:
        return ["Nothing was logged."]
    rows = []
    for key, name in names.items():
        points = [line for line in lines if key in line]
        if points:
            shown = [points[0], points[len(points) // 2], points[-1]]
            rows.append(f"| {name} | " + " | ".join(_number(line[key]) for line in shown) + " |")
    steps = [lines[0], lines[len(lines) // 2], lines[-1]]
    header = "| | " + " | ".join(f"about iteration {int(line['iteration'])}" for line in steps) + " |"
    return [header, "|---|--:|--:|--:|", *rows]


def _rows(about: Mapping[str, str]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in about.items())]


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"
