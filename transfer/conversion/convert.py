"""Rewrite a backbone for another framework: completely and proven, or not at all."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from transfer.checkpoints import completeness, names
from transfer.checkpoints.checkpoint import Checkpoint, read
from transfer.checkpoints.metadata import encode_metadata
from transfer.conversion import proof, proof_images, targets
from transfer.detectors.loaded import check_path
from transfer.detectors.overlay import detectron2_overlay, to_yaml
from transfer.errors import CheckpointError, InputError
from transfer.files import atomic, places

AUTHOR = "detection-transfer"


def convert(
    checkpoint: Checkpoint | str | Path,
    to: str,
    out: str | Path,
    head: str | None = None,
    *,
    force: bool = False,
    pixels: Tensor | str | Path | None = None,
) -> list[proof.Proof]:
    """Write a backbone for another framework, prove it, and only then give the file its name.

    Args:
        checkpoint: a complete backbone (``read_checkpoint``), or the file it is in.
        to: ``detectron2``, ``torchvision``, ``timm`` or ``mmdet``.
        out: the file to write; ``.pth``, or ``.safetensors`` for torchvision and timm. A Detectron2 file gets its
            config overlay beside it, with the suffix ``.yaml``.
        head: ``fpn`` or ``c4`` for Detectron2; None writes what serves both.
        force: replace existing files.
        pixels: what the proof is made on: (N, 3, H, W) RGB in 0-255, or a folder whose first 4 images are taken; None
            for made-up images.

    Returns:
        the proofs, all of which hold.

    Raises:
        InputError: the framework cannot hold this network, a file is in the way, or ``out`` cannot be written.
        CheckpointError: the checkpoint cannot be used, or a proof failed; nothing was written.

    Examples:
        From torchvision's own weights, here untrained ones, to Detectron2:

        >>> import tempfile, torch, torchvision, transfer
        >>> folder = tempfile.mkdtemp()
        >>> torch.save(torchvision.models.resnet18().state_dict(), f"{folder}/resnet18.pth")
        >>> checkpoint = transfer.read_checkpoint(f"{folder}/resnet18.pth", convention="imagenet")
        >>> proofs = transfer.convert(checkpoint, "detectron2", f"{folder}/detectron2.pth")
        >>> [proof.title for proof in proofs]
        ['torchvision -> detectron2 FPN', 'torchvision -> detectron2 C4']
        >>> all(proof.holds for proof in proofs)
        True
    """
    source = checkpoint if isinstance(checkpoint, Checkpoint) else read(checkpoint)
    out = Path(out)
    _check(source, to, out, head)
    outputs = [out, out.with_suffix(".yaml")] if to == "detectron2" else [out]
    for path in outputs:
        if path.exists() and not force:
            raise InputError(f"{path} exists: expected a free name, found a file; choose another --out or say --force")
        places.check_file(path, replace=force, inputs=[source.path])
    if isinstance(pixels, str | Path):
        pixels = proof_images.from_folder(pixels)
    if not out.parent.is_dir():
        raise InputError(f"no such folder: expected {out.parent} to exist, found nothing; make it first")
    # Beside the target, so that the renaming at the end stays within one file system; the names stay, because
    # Detectron2's loader goes by the suffix.
    workshop = Path(tempfile.mkdtemp(prefix=f".{out.stem}-", dir=out.parent))
    try:
        made = workshop / out.name
        _write(source, to, made, head)
        proofs = proof.prove(source, made, to, head, pixels)
        if failed := [one for one in proofs if not one.holds]:
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
    if to not in targets.TARGETS:
        raise InputError(f"no such framework: expected one of {', '.join(targets.TARGETS)}, found {to}; correct --to")
    if source.convention is None:
        raise InputError(
            f"nobody says how {source.path} was fed: expected mean, std and channel order in the file or its layout, "
            "found neither; say it with --convention"
        )
    if head is not None and to != "detectron2":
        raise InputError(f"--head is for Detectron2: expected --to detectron2, found --to {to}; leave --head out")
    if out.suffix not in (suffixes := targets.suffixes(to)):
        raise InputError(f"--out {out} has the wrong suffix: expected {' or '.join(suffixes)}, found {out.suffix!r}")
    if to == "detectron2":
        check_path(out.absolute())
    if why := targets.obstacle(source, to):
        raise InputError(f"{to} cannot hold this network: {why}; convert it for detectron2")


def _write(source: Checkpoint, to: str, path: Path, head: str | None) -> None:
    completeness.check_finite(source.state, path.name)
    metadata = source.metadata
    if to == "detectron2":
        state = {_renamed(name): tensor for name, tensor in source.state.items()}
        # An author other than Caffe2 and the heuristics flag: Detectron2 matches the names as they are, by suffix,
        # so that one file fills `backbone.`, `backbone.bottom_up.` and `roi_heads.res5.`.
        content = {"model": state, "__author__": AUTHOR, "matching_heuristics": True, "metadata": metadata}
        atomic.write_bytes(path, _torch_file(content))
        overlay = {"VERSION": 2, **detectron2_overlay(metadata, head)}
        atomic.write_text(path.with_suffix(".yaml"), to_yaml(overlay, _comment(source, path, head)))
    elif to == "mmdet":
        content = {"state_dict": source.state, "meta": {"author": AUTHOR, "metadata": metadata}}
        atomic.write_bytes(path, _torch_file(content))
    elif path.suffix == ".safetensors":
        atomic.write_bytes(path, _sorted_header(save(source.state, metadata=encode_metadata(metadata))))
    else:
        atomic.write_bytes(path, _torch_file(dict(source.state)))


def _torch_file(content: dict[str, Any]) -> bytes:
    """PyTorch's own writer turns a full disk into a RuntimeError of its own, and names no file."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _sorted_header(content: bytes) -> bytes:
    """The same safetensors file with its header in alphabetical order: the package writes another order each time.

    So equal weights are equal files, and a hash of one says something. The format: 8 bytes with the header's length,
    the header as JSON, padded with spaces to a multiple of 8, and the tensors, whose offsets count from its end.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


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
