"""Rewrite a backbone for another framework: completely and proven, or not at all."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from transfer.checkpoints import completeness, names
from transfer.checkpoints.checkpoint import Checkpoint, read
from transfer.checkpoints.metadata import encode_metadata
from transfer.conversion import proof as verify
from transfer.conversion import proof_images
from transfer.detectors.overlay import HEADS, detectron2_overlay, to_yaml
from transfer.errors import CheckpointError, InputError

__all__ = ["convert", "detectron2_overlay", "run"]

AUTHOR = "detection-transfer"


def convert(
    source: Checkpoint,
    to: str,
    out: Path,
    head: str | None = None,
    *,
    force: bool = False,
    pixels: Tensor | None = None,
) -> list[verify.Proof]:
    """Write ``source`` for a framework, prove it, and only then give it its name.

    Args:
        source: a complete backbone (``checkpoint.read``).
        to: ``detectron2``, ``torchvision``, ``timm`` or ``mmdet``.
        out: the file to write; ``.pth``, or ``.safetensors`` for torchvision and timm. A Detectron2 file gets its
            config overlay beside it, with the suffix ``.yaml``.
        head: ``fpn`` or ``c4`` for Detectron2; None writes what serves both.
        force: replace existing files.
        pixels: (N, 3, H, W) RGB in 0-255 for the proof; None for made-up images.

    Returns:
        the proofs, all of which hold.

    Raises:
        InputError: the framework cannot hold this network, or a file is in the way.
        CheckpointError: a proof failed; nothing was written.
    """
    _check(source, to, out, head)
    outputs = [out, out.with_suffix(".yaml")] if to == "detectron2" else [out]
    for path in outputs:
        if path.exists() and not force:
            raise InputError(f"{path} exists: expected a free name, found a file; choose another --out or say --force")
    if not out.parent.is_dir():
        raise InputError(f"no such folder: expected {out.parent} to exist, found nothing; make it first")
    # Beside the target, so that the renaming at the end stays within one file system; the names stay, because
    # Detectron2's loader goes by the suffix.
    workshop = Path(tempfile.mkdtemp(prefix=f".{out.stem}-", dir=out.parent))
    try:
        made = workshop / out.name
        _write(source, to, made, head)
        proofs = verify.prove(source, made, to, head, pixels)
        if failed := [proof for proof in proofs if not proof.holds]:
            raise CheckpointError(
                f"{failed[0].title} computes something else: expected the source's features, found "
                f"{str(failed[0]).splitlines()[0]}; nothing was written"
            )
        for path in reversed(outputs):  # the overlay first: weights never stand there without it
            os.replace(workshop / path.name, path)
    finally:
        shutil.rmtree(workshop)
    return proofs


def _check(source: Checkpoint, to: str, out: Path, head: str | None) -> None:
    if source.convention is None:
        raise InputError(
            f"nobody says how {source.path} was fed: expected mean, std and channel order in the file or its layout, "
            "found neither; say it with --convention"
        )
    if head is not None and to != "detectron2":
        raise InputError(f"--head is for Detectron2: expected --to detectron2, found --to {to}; leave --head out")
    suffixes = (".pth", ".safetensors") if to in ("torchvision", "timm") else (".pth",)
    if out.suffix not in suffixes:
        raise InputError(f"--out {out} has the wrong suffix: expected {' or '.join(suffixes)}, found {out.suffix!r}")
    if why := _impossible(source, to):
        raise InputError(f"{to} cannot hold this network: {why}; convert it for detectron2")


def _impossible(source: Checkpoint, to: str) -> str | None:
    assert source.convention is not None
    if to in ("torchvision", "timm") and source.spec.bottleneck and source.convention.stride_in_1x1:
        return "expected bottlenecks that stride in the 3x3, found Caffe's stride in the first 1x1"
    if to in ("torchvision", "timm") and source.convention.channel_order != "RGB":
        return f"expected a network fed RGB, found {source.convention.channel_order}"
    if to in ("timm", "mmdet") and source.stem == "small":
        return "expected the 7x7 stem, the only plain one it builds, found a 3x3 stem of stride 1"
    if to == "mmdet" and source.spec.groups == 1 and source.spec.width != 64:
        # mmdet's ResNeXt takes base_width only together with groups > 1.
        return "expected a ResNet or a ResNeXt, found a wide ResNet, which it cannot be configured to build"
    return None


def _write(source: Checkpoint, to: str, path: Path, head: str | None) -> None:
    completeness.check_finite(source.state, path.name)
    metadata = source.metadata
    if to == "detectron2":
        state = {_renamed(name): tensor for name, tensor in source.state.items()}
        # An author other than Caffe2 and the heuristics flag: Detectron2 matches the names as they are, by suffix,
        # so that one file fills `backbone.`, `backbone.bottom_up.` and `roi_heads.res5.`.
        torch.save({"model": state, "__author__": AUTHOR, "matching_heuristics": True, "metadata": metadata}, path)
        overlay = {"VERSION": 2, **detectron2_overlay(metadata, head)}
        path.with_suffix(".yaml").write_text(to_yaml(overlay, _comment(source, path, head)), encoding="utf-8")
    elif to == "mmdet":
        torch.save({"state_dict": source.state, "meta": {"author": AUTHOR, "metadata": metadata}}, path)
    elif path.suffix == ".safetensors":
        save_file(source.state, path, metadata=encode_metadata(metadata))
    else:
        torch.save(dict(source.state), path)


def _renamed(name: str) -> str:
    renamed = names.to_detectron2(name)
    assert renamed is not None, name  # read() lets no other name through
    return renamed


def _comment(source: Checkpoint, path: Path, head: str | None) -> str:
    origin: Mapping[str, Any] = source.metadata["source"]
    kind = ", ".join([source.arch, f"{source.stem} stem", *([head] if head else [])])
    return (
        f"What {path.name} needs of a Detectron2 config ({kind}).\n"
        f"Written by `python -m transfer convert` from {origin['file']}\n"
        f"(sha256 {origin['sha256']}, {origin['layout']});\n"
        "do not change these keys without changing the weights."
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``python -m transfer convert``."""
    parser.add_argument("file", type=Path, help="any known checkpoint (see `python -m transfer inspect FILE`)")
    parser.add_argument("--to", required=True, choices=verify.FRAMEWORKS, help="the framework to write for")
    parser.add_argument(
        "--out", required=True, type=Path, help="the file to write: .pth, or .safetensors for torchvision and timm"
    )
    parser.add_argument(
        "--head", choices=HEADS, help="write and prove for this Detectron2 detector only (default: both)"
    )
    parser.add_argument(
        "--prefix", help="what stands before the backbone's names, or CONTAINER/PREFIX (default: recognised)"
    )
    parser.add_argument("--arch", help="torchvision's name of the architecture (default: recognised)")
    parser.add_argument(
        "--convention", help="how the network was fed: imagenet, imagenet228 or msra (default: as the file says)"
    )
    parser.add_argument(
        "--widen", action="store_true", help="take half or double precision, as float32 (default: refuse)"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="prove on the first 4 images of DIR (default: made up)"
    )
    parser.add_argument("--force", action="store_true", help="replace existing files (default: refuse)")


def run(args: argparse.Namespace) -> int:
    """Convert, print the proofs; 0 when they hold."""
    source = read(args.file, args.prefix, args.arch, convention=args.convention, widen=args.widen)
    for doubt in source.doubts:
        print(f"transfer convert: warning: {source.path}: {doubt}", file=sys.stderr)
    pixels = proof_images.from_folder(args.images) if args.images else None
    proofs = convert(source, args.to, args.out, args.head, force=args.force, pixels=pixels)
    print("\n".join(map(str, proofs)))
    print(f"{source.layout}, {source.arch}: {len(source.state)} tensors written to {args.out}")
    return 0
