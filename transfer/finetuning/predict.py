"""``python -m transfer predict RUN --images DIR --out FILE``: a finished run's detections on anyone's images."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from transfer.errors import InputError
from transfer.files import atomic
from transfer.finetuning import checkpointer
from transfer.progress import progress
from transfer.records import record_file

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of images, searched deeply")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="COCO results file to write")
    parser.add_argument("--score", type=float, default=0.05, metavar="S", help="least score kept, 0-1 (default 0.05)")
    parser.add_argument("--overlays", type=Path, metavar="DIR", help="new folder for the images with what was found")
    parser.add_argument("--draw", type=float, default=0.5, metavar="S", help="least score drawn, 0-1 (default 0.5)")


def run(args: argparse.Namespace) -> int:
    """Write the detections; return 0.

    Raises:
        InputError: the run or the images cannot be used, or an output is there already.
    """
    if not 0 <= args.score <= 1 or not 0 <= args.draw <= 1:
        raise InputError(f"--score, --draw: expected numbers in 0-1, found {args.score}, {args.draw}")
    listing = images_file(args.out)
    for file in (args.out, listing):
        if file.exists():
            raise InputError(f"{file} is taken: expected a new file, found one; name another or remove it")
    if args.overlays:
        atomic.check_new_folder(args.overlays)
    images = find_images(args.images)
    record = record_file.read(args.run_folder)
    content, found = detect(args.run_folder, record.data.val.classes, args.images, images, args.score)
    atomic.write_text(listing, json.dumps(content, indent=1) + "\n")
    atomic.write_text(args.out, json.dumps(found) + "\n")
    print(f"{len(found)} detections on {len(images)} images")
    print(args.out)
    print(listing)
    if args.overlays:
        draw(args.overlays, args.images, listing, args.out, args.draw)
        print(args.overlays)
    return 0


def images_file(out: Path) -> Path:
    """Return where the images and classes that the results' numbers stand for are written, in COCO's format."""
    return out.with_name(f"{out.stem}_images.json")


def find_images(folder: Path) -> list[Path]:
    """Return the images below ``folder``, in alphabetical order.

    Raises:
        InputError: no folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of images, found {'a file' if folder.exists() else 'nothing'}")
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"{folder}: expected images ({', '.join(SUFFIXES)}), found none")
    return found


def detect(
    run_folder: Path, classes: list[str], folder: Path, images: list[Path], score: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the detector over the images.

    Args:
        run_folder: a finished run.
        classes: its class names, in the order of the detector's outputs.
        folder: that file names are relative to.
        images: below ``folder``.
        score: least score kept.

    Returns:
        (a COCO file's content with the images and categories and no annotations; COCO results).

    Raises:
        InputError: an image cannot be read, or the run has no weights.
    """
    import torch  # with Detectron2 it takes seconds, which a mistyped folder need not
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.data import detection_utils
    from detectron2.data import transforms as T
    from detectron2.evaluation.coco_evaluation import instances_to_coco_json
    from detectron2.modeling import build_model

    import transfer.register  # noqa: F401  what the config may name
    from transfer.detectors import config as detector_config
    from transfer.finetuning import logs

    last = checkpointer.last(run_folder)
    if last is None or not (run_folder / last).is_file():
        raise InputError(f"{run_folder}: expected a run's weights, found {last or 'none'}; was it moved without them?")
    with logs.quiet(), progress("detecting", len(images), "images") as line:
        cfg = detector_config.read_config(run_folder / "config.yaml")
        detector_config.fit_machine(cfg, processes=1)
        model = build_model(cfg).eval()
        DetectionCheckpointer(model).load(str(run_folder / last), checkpointables=[])
        resize = T.ResizeShortestEdge([cfg.INPUT.MIN_SIZE_TEST] * 2, cfg.INPUT.MAX_SIZE_TEST)
        content: dict[str, Any] = {"images": [], "annotations": []}
        content["categories"] = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
        found: list[dict[str, Any]] = []
        for number, file in enumerate(images, 1):
            try:
                pixels = detection_utils.read_image(file, format=cfg.INPUT.FORMAT)
            except (OSError, SyntaxError, ValueError) as error:
                raise InputError(f"{file}: expected an image, found {type(error).__name__} {error}") from None
            height, width = pixels.shape[:2]
            small = resize.get_transform(pixels).apply_image(pixels)
            tensor = torch.as_tensor(small.astype("float32").transpose(2, 0, 1))
            with torch.no_grad():
                (output,) = model([{"image": tensor, "height": height, "width": width}])
            name = str(file.relative_to(folder))
            content["images"].append({"id": number, "file_name": name, "width": width, "height": height})
            for entry in instances_to_coco_json(output["instances"].to("cpu"), number):
                if entry["score"] >= score:
                    found.append({**entry, "category_id": entry["category_id"] + 1, "file_name": name})
            line.update()
    return content, found


def draw(out: Path, folder: Path, listing: Path, detections: Path, score: float) -> None:
    """Write every image with what was found in it to the new folder ``out``, as PNG."""
    from transfer.drawing.png_grid import GridRow, detections_png
    from transfer.evaluation.instances import ValSet, read_pixels
    from transfer.finetuning import logs

    with atomic.new_folder(out) as temporary, logs.quiet():
        images = ValSet(listing)
        objects = images.detections(detections, images.images, score)
        for number, entry in images.images.items():
            row = GridRow(entry["file_name"], read_pixels(folder / entry["file_name"]), [objects[number]])
            caption = f"Predictions with a score of at least {score:.2f}."
            name = Path(entry["file_name"]).with_suffix(".png")
            png = detections_png([row], ["found"], list(images.classes.values()), caption)
            atomic.write_bytes(temporary / name, png)
