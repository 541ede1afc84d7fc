"""A finished run's detections on anyone's images."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfer.errors import InputError
from transfer.files import atomic, image_files, places
from transfer.finetuning import checkpointer
from transfer.progress import progress
from transfer.records import record_file

if TYPE_CHECKING:
    from transfer.evaluation.instances import Instance

log = logging.getLogger(__name__)

AHEAD = 2  # images that are read while the detector works


@dataclass(frozen=True)
class Drawings:
    """What was drawn of the detections of some images.

    Attributes:
        limit: least score drawn, 0-1.
        images: how many were drawn.
        drawn: detections that reach the limit, all of them drawn.
        below: detections that do not.
        dimmed: images in which none reaches it, with their best few drawn dimmed.
        empty: images without a detection.
    """

    limit: float
    images: int
    drawn: int
    below: int
    dimmed: int
    empty: int

    def __str__(self) -> str:
        """Return all of it in a sentence."""
        text = f"{self.drawn} drawn; {self.below} more lie below a score of {self.limit:g}"
        if self.dimmed:
            text += f"; on {self.dimmed} of {self.images} images nothing reaches it: their best few are drawn dimmed"
        if self.empty:
            text += f"; on {self.empty} of {self.images} images nothing was detected"
        return text


@dataclass(frozen=True)
class Predictions:
    """What a detector sees in images.

    Attributes:
        detections: COCO results with the image's ``file_name`` beside its id: ``bbox`` as x, y, width, height in
            pixels, ``segmentation`` as a run-length code where the detector has masks, ``score`` in 0-1.
        listing: what the ids stand for, in COCO's format without annotations: ``images`` and ``categories``.
        unreadable: file -> why it could not be read; it is in neither of the other two.
        drawings: what was drawn of them; None where no drawing was asked for.
    """

    detections: list[dict[str, Any]]
    listing: dict[str, Any]
    unreadable: dict[str, str]
    drawings: Drawings | None = None


def predict(
    run: str | Path,
    images: str | Path,
    *,
    score: float = 0.05,
    out: str | Path | None = None,
    overlays: str | Path | None = None,
    draw: float = 0.5,
) -> Predictions:
    """Run a finished run's detector over images. Those that cannot be read are passed over and named.

    Args:
        run: the run's folder, with its record, config and last checkpoint.
        images: one image, or a folder that is searched deeply.
        score: least score kept, 0-1.
        out: COCO results file to write, new; the listing goes beside it, as ``NAME_images.json``. None writes none.
        overlays: new or empty folder for the images with the detections drawn on them, each under its own name, at its
            own size and in its own format.
        draw: least score drawn, 0-1; where no detection of an image reaches it, the best few are drawn dimmed.

    Returns:
        the detections, in the order of the images.

    Raises:
        InputError: the run or the images cannot be used, no image can be read, or an output is there already.

    Examples:
        Going on from ``finetune``'s example, on the three images of its folder:

        >>> predictions = transfer.predict(folder / "run", folder, score=0.0)
        >>> [image["file_name"] for image in predictions.listing["images"]], predictions.unreadable
        (['1.png', '2.png', '3.png'], {})
        >>> transfer.evaluate(truth, predictions.detections, name="again").counts.images
        3
    """
    if not 0 <= score <= 1 or not 0 <= draw <= 1:
        raise InputError(f"--score, --draw: expected numbers in 0-1, found {score}, {draw}")
    if out is not None:
        out = Path(out)
        for file in (out, images_file(out)):
            places.check_file(file)
    if overlays is not None:
        overlays = Path(overlays)
        atomic.check_new_folder(overlays)
        places.check_folder(overlays)
    folder, files = find_images(Path(images))
    if overlays is not None and Path(images).is_dir() and image_files.is_among(overlays, folder):
        raise InputError(
            f"--overlays: expected a folder outside of the images, found {overlays} in {folder}, where the pictures "
            "would be taken for images; name another"
        )
    record = record_file.read(Path(run))
    predictions = detect(Path(run), record.data.val.classes, folder, files, score)
    if predictions.unreadable:
        names = "; ".join(f"{file}: {reason}" for file, reason in predictions.unreadable.items())
        log.warning("%d of %d images cannot be read: %s", len(predictions.unreadable), len(files), names)
    if out is not None:
        atomic.write_text(images_file(out), json.dumps(predictions.listing, indent=1) + "\n")
        atomic.write_text(out, json.dumps(predictions.detections) + "\n")
    if overlays is not None:
        predictions = replace(predictions, drawings=draw_overlays(overlays, folder, predictions, draw))
    return predictions


def images_file(out: Path) -> Path:
    """Return where the images and classes that the results' numbers stand for are written, in COCO's format."""
    return out.with_name(f"{out.stem}_images.json")


def find_images(path: Path) -> tuple[Path, list[Path]]:
    """Return (the folder that names are relative to, the images), in alphabetical order; hidden files are none.

    Raises:
        InputError: nothing there, or no image in the folder.
    """
    if path.is_file():
        return path.parent, [path]
    if not path.is_dir():
        raise InputError(f"{path}: expected an image or a folder of images, found nothing; correct --images")
    images = image_files.find(path)
    if not images:
        raise InputError(f"{path}: expected images ({', '.join(image_files.SUFFIXES)}), found none")
    return path, images


def detect(run_folder: Path, classes: list[str], folder: Path, images: list[Path], score: float) -> Predictions:
    """Run the detector over the images.

    Args:
        run_folder: a finished run.
        classes: its class names, in the order of the detector's outputs.
        folder: that file names are relative to.
        images: below ``folder``.
        score: least score kept.

    Raises:
        InputError: no image can be read, or the run has no weights.
    """
    import torch  # with Detectron2 it takes seconds, which a mistyped folder need not
    from detectron2.evaluation.coco_evaluation import instances_to_coco_json

    from transfer.finetuning import logs

    with logs.quiet(), progress("detecting", len(images), "images") as line:
        model, ready, _ = load_detector(run_folder)
        content: dict[str, Any] = {"images": [], "annotations": []}
        content["categories"] = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
        detections: list[dict[str, Any]] = []
        unreadable: dict[str, str] = {}
        for file, inputs in _ahead(ready, images):
            line.update()
            if isinstance(inputs, str):
                unreadable[str(file)] = inputs
                continue
            number, name = len(content["images"]) + 1, str(file.relative_to(folder))
            with torch.no_grad():
                (output,) = model([inputs])
            size = {"width": inputs["width"], "height": inputs["height"]}
            content["images"].append({"id": number, "file_name": name, **size})
            instances = output["instances"]
            for entry in instances_to_coco_json(instances[instances.scores >= score].to("cpu"), number):
                detections.append({**entry, "category_id": entry["category_id"] + 1, "file_name": name})
    if not content["images"]:
        file_name, reason = next(iter(unreadable.items()))
        raise InputError(f"{file_name}: expected an image, found {reason}; and no other image can be read")
    return Predictions(detections, content, unreadable)


def load_detector(run_folder: Path) -> tuple[Any, Callable[[Path], dict[str, Any] | str], Any]:
    """Return the run's model, what turns a file into its input or the reason why it cannot be read, and the config.

    Raises:
        InputError: the run has no weights.
    """
    import torch
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.data import transforms as T
    from detectron2.modeling import build_model

    import transfer.register  # noqa: F401  what the config may name
    from transfer.detectors import config as detector_config
    from transfer.finetuning import mapper

    last = checkpointer.last(run_folder)
    if last is None or not (run_folder / last).is_file():
        raise InputError(f"{run_folder}: expected a run's weights, found {last or 'none'}; was it moved without them?")
    cfg = detector_config.read_config(run_folder / "config.yaml")
    detector_config.fit_machine(cfg, processes=1)
    model = build_model(cfg).eval()
    DetectionCheckpointer(model).load(str(run_folder / last), checkpointables=[])
    resize = T.ResizeShortestEdge([cfg.INPUT.MIN_SIZE_TEST] * 2, cfg.INPUT.MAX_SIZE_TEST)

    def ready(file: Path) -> dict[str, Any] | str:
        try:
            pixels = mapper.read(file, cfg.INPUT.FORMAT)
        except Exception as error:  # damaged files make Pillow raise nearly everything
            return mapper.why_unreadable(error)
        height, width = pixels.shape[:2]
        small = resize.get_transform(pixels).apply_image(pixels)
        tensor = torch.as_tensor(np.ascontiguousarray(small.transpose(2, 0, 1)))
        return {"image": tensor, "height": height, "width": width}

    return model, ready, cfg


def _ahead(function: Callable[[Path], Any], files: list[Path]) -> Iterator[tuple[Path, Any]]:
    """Give each file with what ``function`` makes of it; the next ones are made while the caller works on this one."""
    waiting: deque[tuple[Path, Future[Any]]] = deque()
    with ThreadPoolExecutor(max_workers=1) as pool:
        for file in files:
            waiting.append((file, pool.submit(function, file)))
            if len(waiting) > AHEAD:
                first, result = waiting.popleft()
                yield first, result.result()
        for file, result in waiting:
            yield file, result.result()


def draw_overlays(out: Path, folder: Path, predictions: Predictions, limit: float) -> Drawings:
    """Draw every image with its detections into the new folder ``out``.

    Args:
        out: new or empty.
        folder: that the images' names are relative to.
        predictions: what was detected in them.
        limit: least score drawn, 0-1.
    """
    from transfer.drawing import layout, photograph  # matplotlib is loaded only when there is something to draw
    from transfer.drawing.selection import choose
    from transfer.evaluation.instances import read_pixels
    from transfer.finetuning import logs

    by_image: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in predictions.listing["images"]}
    for entry in predictions.detections:
        by_image[entry["image_id"]].append(entry)
    classes = {category["id"]: category["name"] for category in predictions.listing["categories"]}
    colours = layout.colours(list(classes.values()))
    listed = predictions.listing["images"]
    choices = []
    with atomic.new_folder(out) as temporary, logs.quiet(), progress("drawing", len(listed), "images") as line:
        for image, name in zip(listed, photograph.names([image["file_name"] for image in listed]), strict=True):
            file = folder / image["file_name"]
            choice = choose([_instance(entry, classes, image) for entry in by_image[image["id"]]], limit)
            pixels = photograph.draw(read_pixels(file), choice, colours)
            encoded = photograph.encode(pixels, name.suffix, photograph.colour_profile(file))
            atomic.write_bytes(temporary / name, encoded)
            choices.append(choice)
            line.update()
    return Drawings(
        limit=limit,
        images=len(choices),
        drawn=sum(len(choice.drawn) for choice in choices if not choice.dimmed),
        below=sum(choice.below for choice in choices),
        dimmed=sum(choice.dimmed for choice in choices),
        empty=sum(not choice.drawn for choice in choices),
    )


def _instance(entry: dict[str, Any], classes: dict[int, str], image: dict[str, Any]) -> Instance:
    from transfer.evaluation.instances import Instance, decode

    mask = decode(entry.get("segmentation"), image["height"], image["width"])
    x, y, width, height = entry["bbox"]
    return Instance(classes[entry["category_id"]], (x, y, width, height), mask, entry["score"])
