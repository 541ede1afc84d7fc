"""A finished run's detector as one TorchScript file, which needs neither this package nor Detectron2 to run."""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfer.errors import InputError
from transfer.files import atomic, places
from transfer.finetuning.predict import find_images, load_detector
from transfer.records import record_file

FORMAT = "transfer.torchscript/1"
TOLERANCE = 1e-5  # relative to the largest number of an output
PROVEN_ON = 4  # images
# (height, width) of the made-up images; all differ, and none is the size that is traced with.
_SIZES = ((96, 160), (160, 96), (128, 128), (112, 176))
_TRACED_WITH = (128, 160)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the TorchScript file; ``PATH.json`` beside it says how to feed it and what comes out.
        description: what is in that file.
        largest_error: over all outputs of all images of the proof, relative.
        detections: on each image of the proof.
    """

    path: Path
    description: dict[str, Any]
    largest_error: float
    detections: list[int] = field(default_factory=list)


def export(run: str | Path, out: str | Path, *, images: str | Path | None = None) -> Exported:
    """Write a finished run's detector as TorchScript, by Detectron2's own tracing, and prove it on other images.

    The file takes one image, (3, H, W) float32 in 0-255, resized and in the channel order that ``OUT.json`` says, of
    any size. It returns boxes (N, 4) in pixels of that image, scores (N,), classes (N,) counted from 0, and with a mask
    head masks (N, 28, 28), probabilities inside each box. ``torch.jit.load`` needs ``import torchvision`` before it.

    Args:
        run: the run's folder, with its record, config and last checkpoint.
        out: the file to write, new.
        images: an image or a folder whose first 4 images the proof is made on; None for made-up ones.

    Returns:
        the file, its description and the proof.

    Raises:
        InputError: the run cannot be used, it is no Faster or Mask R-CNN, or the traced detector finds something else
            on another image; nothing was written then.

    Examples:
        Going on from ``finetune``'s example:

        >>> exported = transfer.export(folder / "run", folder / "detector.ts")
        >>> exported.description["outputs"], exported.largest_error < 1e-5
        (['boxes', 'scores', 'classes'], True)
    """
    import torch

    from transfer.finetuning import logs

    out, run = Path(out), Path(run)
    described = out.with_name(f"{out.name}.json")
    for file in (out, described):
        places.check_file(file)
    files = [] if images is None else find_images(Path(images))[1][:PROVEN_ON]
    record = record_file.read(run)
    with logs.quiet(), torch.no_grad(), warnings.catch_warnings():
        # Tracing warns of every shape that Python sees, and of its age; what that does to the outputs, the proof says.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        model, ready, cfg = load_detector(run)
        if cfg.MODEL.META_ARCHITECTURE != "GeneralizedRCNN":
            raise InputError(
                f"{run}: expected a Faster or Mask R-CNN, found {cfg.MODEL.META_ARCHITECTURE}; only these are exported"
            )
        model.to("cpu")
        pixels = [_read(ready, file) for file in files] or [_made_up(size, seed) for seed, size in enumerate(_SIZES)]
        traced, adapter = _traced(model, cfg.MODEL.MASK_ON)
        error, counts = _prove(adapter, traced, pixels)
        content = io.BytesIO()
        torch.jit.save(traced, content)
    description = {
        "format": FORMAT,
        "classes": record.data.val.classes,
        "channel_order": cfg.INPUT.FORMAT,
        "short_side": cfg.INPUT.MIN_SIZE_TEST,
        "longest_side": cfg.INPUT.MAX_SIZE_TEST,
        "outputs": ["boxes", "scores", "classes", *(["masks"] if cfg.MODEL.MASK_ON else [])],
        "run": record.name,
        "torch": torch.__version__,
    }
    atomic.write_text(described, json.dumps(description, indent=1) + "\n")
    atomic.write_bytes(out, content.getvalue())
    return Exported(out, description, error, counts)


def _traced(model: Any, masks: bool) -> tuple[Any, Any]:
    """(TorchScript, the same in Python) of image -> tensors."""
    import torch
    from detectron2.export import TracingAdapter

    def inference(detector: Any, inputs: list[dict[str, Any]]) -> tuple[Any, ...]:
        (result,) = detector.inference(inputs, do_postprocess=False)
        tensors = (result.pred_boxes.tensor, result.scores, result.pred_classes)
        return (*tensors, result.pred_masks[:, 0]) if masks else tensors

    example = _made_up(_TRACED_WITH, seed=len(_SIZES))
    adapter = TracingAdapter(model, [{"image": example}], inference)
    return torch.jit.trace(adapter, (example,), check_trace=False), adapter


def _made_up(size: tuple[int, int], seed: int) -> Any:
    import torch

    return torch.rand(3, *size, generator=torch.Generator().manual_seed(seed)) * 255


def _read(ready: Any, file: Path) -> Any:
    inputs = ready(file)
    if isinstance(inputs, str):
        raise InputError(f"{file}: expected an image, found {inputs}; name others with --images")
    return inputs["image"].float()


def _prove(adapter: Any, traced: Any, pixels: list[Any]) -> tuple[float, list[int]]:
    """The largest relative error between the two, and the number of detections on each image."""
    largest, counts = 0.0, []
    for image in pixels:
        for expected, found in zip(adapter(image), traced(image), strict=True):
            if expected.shape != found.shape:
                raise InputError(
                    f"the traced detector is another one: expected {tuple(expected.shape)} on an image of "
                    f"{tuple(image.shape[1:])}, found {tuple(found.shape)}; nothing was written"
                )
            if expected.numel():
                scale = max(float(expected.abs().max()), 1e-12)
                largest = max(largest, float((expected - found).abs().max()) / scale)
        counts.append(len(expected))
    if not largest <= TOLERANCE:
        raise InputError(
            f"the traced detector is another one: expected the same numbers to {TOLERANCE:g}, found {largest:.2g}; "
            "nothing was written"
        )
    return largest, counts
