"""What a checkpoint is, in words: project, layout, architecture, normalisation, and whether it can be converted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transfer.checkpoints.checkpoint import examine
from transfer.checkpoints.completeness import listed


def describe(
    path: str | Path, prefix: str | None = None, arch: str | None = None, *, convention: str | None = None
) -> dict[str, Any]:
    """Return what a checkpoint is, as plain values, without trusting it.

    Args:
        path: the file.
        prefix: what stands before the backbone's names; None to recognise it.
        arch: torchvision's name of the architecture; None to recognise it.
        convention: ``imagenet``, ``imagenet228`` or ``msra``: how the network was fed, against what the file says.

    Returns:
        what -> value; None where nobody knows. ``problems`` is empty when it can be converted.

    Raises:
        InputError: no such file, or an unknown ``arch`` or ``convention``.
        CheckpointError: not safe to load, or no layout that is known.
    """
    examination = examine(path, prefix, arch, convention=convention)
    comparison, fed = examination.comparison, examination.convention
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in examination.located.state.values()}
    return {
        "file": str(examination.path),
        "sha256": examination.sha256,
        "layout": examination.located.layout.name,
        "prefix": examination.located.path,
        "others": examination.others,
        "arch": examination.spec.name if examination.spec else None,
        "stem": examination.stem if examination.spec else None,
        "found": comparison.found if comparison else len(examination.located.state),
        "expected": comparison.expected if comparison else None,
        "dtype": sorted(dtypes),
        "mean": list(fed.mean) if fed else None,
        "std": list(fed.std) if fed else None,
        "channel_order": fed.channel_order if fed else None,
        "stride_in_1x1": fed.stride_in_1x1 if fed else None,
        "normalisation_from": examination.origin,
        "dropped": examination.located.dropped,
        "metadata": examination.metadata,
        "safe": True,  # an unsafe file does not get this far: reading refuses it by name
        "problems": examination.problems,
        "doubts": examination.doubts,
    }


def as_lines(description: Mapping[str, Any]) -> list[str]:
    """Return what ``describe`` returned as lines for people."""
    fed = "unknown: say it with --convention"
    if description["mean"]:
        mean, std = (", ".join(f"{value:.4g}" for value in description[key]) for key in ("mean", "std"))
        fed = f"{description['channel_order']}, mean {mean}, std {std} (from the {description['normalisation_from']})"
    rows = {
        "file": description["file"],
        "sha256": description["sha256"],
        "layout": description["layout"],
        "prefix": description["prefix"] or "none",
        "architecture": f"{description['arch'] or 'unknown'}, {description['stem'] or 'unknown'} stem",
        "tensors": f"{description['found']}/{description['expected'] or '-'} {', '.join(description['dtype'])}",
        "normalisation": fed,
        "strides": {True: "in the 1x1 (Caffe)", False: "in the 3x3 (torchvision)", None: "unknown"}[
            description["stride_in_1x1"]
        ],
        "dropped": f"{len(description['dropped'])} ({listed(description['dropped'])})"
        if description["dropped"]
        else "nothing",
        "also holds": ", ".join(description["others"]) or "no other backbone",
        "safe": "yes: tensors and plain containers only",
        "convertible": "yes" if not description["problems"] else f"no: {'; '.join(description['problems'])}",
    }
    doubts = [("doubt", doubt) for doubt in description["doubts"]]
    return [f"{name:<14} {text}" for name, text in [*rows.items(), *doubts]]
