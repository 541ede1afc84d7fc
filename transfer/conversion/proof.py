"""The numeric proof: two files hold the same backbone when two networks compute the same features from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from transfer.checkpoints import names
from transfer.checkpoints.checkpoint import Checkpoint, read
from transfer.conversion import networks, proof_images
from transfer.conversion.detectron2_network import run_detectron2
from transfer.conversion.networks import Run
from transfer.detectors.overlay import HEADS
from transfer.errors import CheckpointError, InputError

TOLERANCE = 1e-5  # of the largest activation of the stage, in float32


@dataclass(frozen=True)
class Proof:
    """What two networks made of two files.

    Attributes:
        title: which network ran on which side.
        errors: stage -> (largest absolute error, the same over the largest absolute activation of the source).
        run: what the target framework loaded.
        tolerance: the relative error up to which the stages are the same.
    """

    title: str
    errors: dict[str, tuple[float, float]]
    run: Run
    tolerance: float = TOLERANCE

    @property
    def holds(self) -> bool:
        """Everything was loaded, something was compared, and every stage agrees (NaN agrees with nothing)."""
        complete = self.run.tensors.complete and not self.run.tensors.unused
        return complete and bool(self.errors) and all(error <= self.tolerance for _, error in self.errors.values())

    def __str__(self) -> str:
        """The table that ``verify`` and ``convert`` print."""
        lines = [f"{self.title}: {self.run.tensors}"]
        lines += [f"  {stage:<16} max abs {a:.2e}   max rel {r:.2e}" for stage, (a, r) in self.errors.items()]
        return "\n".join(
            [*lines, f"  {'same' if self.holds else 'NOT THE SAME'} (tolerance {self.tolerance:g} relative)"]
        )


def prove(
    source: Checkpoint, target: Path, to: str, head: str | None = None, pixels: Tensor | None = None
) -> list[Proof]:
    """Run source and target in their own frameworks on the same images and compare stem and res2..res5.

    Args:
        source: the backbone as it was read; a Detectron2 ``.pth`` runs in Detectron2, all others in torchvision.
        target: the converted file.
        to: the framework of the target: ``detectron2``, ``torchvision``, ``timm`` or ``mmdet``.
        head: ``fpn`` or ``c4`` for Detectron2; None proves both.
        pixels: (N, 3, H, W) RGB in 0-255; None for made-up images.

    Returns:
        one proof, or two for a Detectron2 file that serves both heads. Print them; ask them whether they hold.
    """
    pixels = proof_images.synthetic() if pixels is None else pixels
    with _exact():
        name, reference = _source_features(source, pixels)
        heads = ((head,) if head else HEADS) if to == "detectron2" else (None,)
        proofs = []
        for one in heads:
            result = _target_run(source, target, to, one, pixels)
            title = f"{name} -> {to}{f' {one.upper()}' if one else ''}"
            proofs.append(Proof(title, _errors(reference, result.features), result))
    return proofs


@contextmanager
def _exact() -> Iterator[None]:
    """float32 as float32: no TF32, whose ten bits of mantissa would drown what is looked for.

    One thread: both sides sum in the same order, and images this small only lose by waiting for each other's cores
    (a ResNet-50 on a busy 2-core machine: 7 s with two threads, 1 s with one).
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.get_num_threads()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
        torch.set_num_threads(before[2])


def _source_features(source: Checkpoint, pixels: Tensor) -> tuple[str, dict[str, Tensor]]:
    if source.convention is None:
        raise InputError(
            f"nobody says how {source.path} was fed: expected mean, std and channel order in the file or its layout, "
            "found neither; say it with --convention"
        )
    if source.naming == "detectron2" and source.path.suffix != ".pkl":
        state = _detectron2_state(source.state)
        result = run_detectron2(source.path, source.metadata, state, pixels, source.head, by_suffix=True)
        if not result.tensors.complete:
            raise CheckpointError(
                f"Detectron2 itself does not load {source.path}: expected {result.tensors.expected} tensors, found "
                f"{result.tensors}; convert it from its original"
            )
        features = {stage.removesuffix(" (RoI head)"): value for stage, value in result.features.items()}
        return "detectron2", features
    network = networks.torchvision_network(source.spec, source.stem, source.convention.stride_in_1x1)
    fed = networks.normalised(pixels, source.convention)
    return "torchvision", networks.run_torchvision_names(network, source.state, fed).features


def _detectron2_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {renamed: tensor for name, tensor in state.items() if (renamed := names.to_detectron2(name))}


def _target_run(source: Checkpoint, target: Path, to: str, head: str | None, pixels: Tensor) -> Run:
    held = read(target)
    if (held.arch, held.stem) != (source.arch, source.stem):
        raise CheckpointError(
            f"not the same backbone: expected {source.arch} with the {source.stem} stem, found {held.arch} with the "
            f"{held.stem} stem in {target}; convert the source again"
        )
    if to == "detectron2":
        if target.suffix == ".pkl":
            raise InputError(
                f"{target} cannot be run: expected a .pth file, found a pickle, which Detectron2 opens unsafely; "
                "convert it to a .pth first"
            )
        # What a foreign file does not say about its input is taken from the source: they are to be fed the same.
        metadata = {**source.metadata, **held.metadata}
        return run_detectron2(target, metadata, _detectron2_state(held.state), pixels, head or "fpn")
    assert source.convention is not None
    fed = networks.normalised(pixels, source.convention)
    if to == "timm":
        return networks.run_timm(target, held.spec, fed)
    if to == "mmdet":
        return networks.run_mmdet(target, held.spec, fed, source.convention.stride_in_1x1)
    network = networks.torchvision_network(held.spec, held.stem, source.convention.stride_in_1x1)
    return networks.run_torchvision_names(network, held.state, fed)


def _errors(reference: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
    errors = {}
    for stage, value in features.items():
        wanted = reference[stage.removesuffix(" (RoI head)")]
        if wanted.shape != value.shape:
            errors[stage] = (float("inf"), float("inf"))  # another stride: not the same network
            continue
        largest = float((value - wanted).abs().max())
        errors[stage] = (largest, largest / max(float(wanted.abs().max()), torch.finfo(torch.float32).tiny))
    return errors


def verify(
    source: Checkpoint | str | Path,
    target: str | Path,
    to: str | None = None,
    head: str | None = None,
    *,
    pixels: Tensor | str | Path | None = None,
) -> list[Proof]:
    """Compare two files: do two networks compute the same features from them?

    Args:
        source: the backbone that the weights came from (``read_checkpoint``), or the file it is in.
        target: the converted file.
        to: the target's framework: ``detectron2``, ``torchvision``, ``timm`` or ``mmdet``; None to go by its names.
        head: ``fpn`` or ``c4`` for a Detectron2 file; None proves both.
        pixels: what is compared on: (N, 3, H, W) RGB in 0-255, or a folder whose first 4 images are taken; None for
            made-up images.

    Returns:
        one proof, or two for a Detectron2 file that serves both heads. Each says whether it ``holds``: up to 1e-5 of a
        stage's largest activation, in float32.

    Raises:
        InputError: a file that is missing, or one that nobody says how to feed.
        CheckpointError: a file that cannot be used, or is of another architecture.

    Examples:
        >>> import tempfile, torch, torchvision, transfer
        >>> folder = tempfile.mkdtemp()
        >>> torch.save(torchvision.models.resnet18().state_dict(), f"{folder}/a.pth")
        >>> checkpoint = transfer.read_checkpoint(f"{folder}/a.pth", convention="imagenet")
        >>> _ = transfer.convert(checkpoint, "timm", f"{folder}/b.safetensors")
        >>> (proof,) = transfer.verify(checkpoint, f"{folder}/b.safetensors", "timm")
        >>> proof.holds, list(proof.errors)
        (True, ['stem', 'res2', 'res3', 'res4', 'res5'])
    """
    source = source if isinstance(source, Checkpoint) else read(source)
    if isinstance(pixels, str | Path):
        pixels = proof_images.from_folder(pixels)
    return prove(source, Path(target), to or framework_of(read(target)), head, pixels)


def framework_of(target: Checkpoint) -> str:
    """Which framework a file is written for, by its names and container (torchvision's and timm's are the same)."""
    if target.naming == "detectron2":
        return "detectron2"
    return "mmdet" if target.prefix.startswith("state_dict") else "torchvision"
