"""What a backbone's frozen features are worth: what ``python -m pretrain evaluate`` calls."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import torch

from pretrain.atomic import check_writable, write_text
from pretrain.errors import InputError, one_line
from pretrain.probes.frozen import load_frozen
from pretrain.probes.objects import evaluate_objects
from pretrain.probes.pictures import evaluate_pictures
from pretrain.probes.protocol import KnnProtocol, ObjectsProtocol, Protocol, named_protocol
from pretrain.ranges import COUNT, Range, brief
from pretrain.versions import versions

_SIDE = Range(8, 4096, whole=True)  # pixels
_RANGES = {
    "batch": COUNT,
    "workers": Range(0, 1024, whole=True),
    "size": _SIDE,
    "resize": _SIDE,
    "seed": Range(0, 2**32 - 1, whole=True),
}

log = logging.getLogger("pretrain")

StrPath = str | Path
Coco = tuple[StrPath, StrPath]  # a folder of images and COCO's annotation file


def evaluate(
    weights: StrPath,
    data: StrPath | Coco,
    protocol: str | Protocol = "knn",
    *,
    query: StrPath | Coco | None = None,
    size: int | None = None,
    resize: int | None = None,
    seed: int = 0,
    masked: bool = False,
    baseline: bool = True,
    batch: int = 64,
    workers: int = 0,
    device: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Measure how well frozen features tell classes of images, or objects, apart.

    Args:
        weights: ``backbone.safetensors``, or ``random:ARCH[:STEM]`` for a baseline, such as ``random:resnet18``, whose
            batch norms get the statistics of the training images; ``random:ARCH[:STEM]:as-is`` leaves them unset.
        data: a folder with ``train/CLASS`` and ``val/CLASS`` or ``test/CLASS``, or with an unpacked CIFAR-10, CIFAR-100
            or STL-10; with ``query``, the class folders to learn from. For objects a folder of images and COCO's
            annotation file.
        protocol: "knn", "linear" or "objects" with their defaults, or a `pretrain.probes.protocol.KnnProtocol`,
            `LinearProtocol` or `ObjectsProtocol`.
        query: what to be tested on, of the kind of ``data``; None for val or test in ``data``, for objects for a fifth
            of the images.
        size: side of the images, pixels, >= 8; None for that of the views that the weights were trained on. For
            objects the length of the whole image's shorter side; None for the images as they are.
        resize: shorter side before the central crop, pixels, >= ``size``; None for ``size``. Not for objects.
        seed: of random weights, of the split of train, and of the places without an object.
        masked: look at h ⊙ M, the features under MetaMask's mask; for nearest neighbours alone.
        baseline: of objects, look at random weights of the same network too and say in a line which look better.
        batch: images at once; for objects always one.
        workers: loader processes; 0 reads in this process.
        device: such as "cpu" or "cuda:1"; None for a GPU where there is one.
        out: file to write the record to, JSON; None for none.
        force: replace a file that is there.

    Returns:
        The record (``docs/probes.md``): ``results`` holds for "top1", "top5" and, for nearest neighbours,
        "majority_top1" the accuracy and its standard error in percent, and the counts that they come from; for objects
        the same by stage, question and probe.

    Raises:
        InputError: the weights, the data or an argument cannot be used, an image cannot be read, or ``out`` exists.

    Examples:
        >>> import cv2, numpy, pathlib
        >>> for split in ("train", "val"):
        ...     for colour, channel in (("blue", 0), ("red", 2)):
        ...         folder = pathlib.Path("classes", split, colour)
        ...         folder.mkdir(parents=True)
        ...         for k in range(3):
        ...             image = numpy.full((16, 16, 3), 20 * k, numpy.uint8)
        ...             image[..., channel] = 255
        ...             done = cv2.imwrite(str(folder / f"{k}.png"), image)
        >>> record = evaluate("random:resnet18:small", "classes", "knn", size=16, device="cpu")
        >>> record["results"]["top1"]["accuracy"], record["results"]["top1"]["n"]
        (100.0, 6)
    """
    began = time.perf_counter()
    protocol = named_protocol(protocol)
    out = None if out is None else Path(out)
    if out is not None:
        _check_out(out, force)
    given = {"batch": batch, "workers": workers, "size": size, "resize": resize, "seed": seed}
    for name, value in given.items():
        if value is not None and value not in _RANGES[name]:
            raise InputError(f"--{name}: expected {_RANGES[name]}, found {brief(value)}")
    where = _device(device)
    if masked and not isinstance(protocol, KnnProtocol):
        raise InputError(
            "--masked: expected --protocol knn, found another: a linear probe standardises each feature and so divides "
            "the mask out, and objects are looked at in the maps before it; leave it out"
        )
    if isinstance(protocol, ObjectsProtocol):
        if resize is not None:
            raise InputError("--resize: expected only with --protocol knn or linear; leave it out")
        frozen = load_frozen(str(weights), seed)
        content = evaluate_objects(
            frozen,
            _coco("--coco", data),
            None if query is None else _coco("--query", query),
            protocol,
            size=size,
            seed=seed,
            baseline=baseline,
            workers=workers,
            device=where,
        )
    else:
        folders = (_folder("--data", data), None if query is None else _folder("--query", query))
        frozen = load_frozen(str(weights), seed, masked=masked)
        content = evaluate_pictures(
            frozen,
            folders[0],
            protocol,
            query=folders[1],
            size=size,
            resize=resize,
            seed=seed,
            masked=masked,
            batch=batch,
            workers=workers,
            device=where,
        )
    record = {
        **content,
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else where.type,
        "versions": versions(),
        "seconds": round(time.perf_counter() - began, 3),
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, json.dumps(record, indent=1, allow_nan=False) + "\n")
        log.info("wrote %s", out)
    return record


def _coco(flag: str, given: StrPath | Coco) -> tuple[Path, Path]:
    if isinstance(given, str | Path) or len(given) != 2:
        raise InputError(f"{flag}: expected a folder of images and COCO's annotation file, found {brief(given)}")
    return Path(given[0]), Path(given[1])


def _folder(flag: str, given: StrPath | Coco) -> Path:
    if not isinstance(given, str | Path):
        raise InputError(f"{flag}: expected one folder, found {brief(given)}")
    return Path(given)


def _check_out(out: Path, force: bool) -> None:
    """Refuse what would be lost, and a place that nothing can be written to, before anything is computed."""
    if out.is_dir():
        raise InputError(f"--out {out}: expected a file to write, found a folder; name a file in it")
    if out.exists() and not force:
        raise InputError(f"--out {out}: expected no file, found one; name another or add --force")
    check_writable(out.parent, "--out")


def _device(device: str | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        number = torch.zeros(1, device=device)
        number.item()  # which the device "meta" does not have
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device: expected a device that is here, found {device} ({one_line(error)})") from None
    return number.device
