"""How well frozen features tell classes apart: what ``python -m pretrain evaluate`` calls.

The features are the pooled h of the backbone or, as MetaMask measures itself, h under its mask. Whatever is chosen is
chosen on the training split; the other split is read once, at the end.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.atomic import check_writable, write_text
from pretrain.errors import InputError, one_line
from pretrain.method.health import effective_rank
from pretrain.probes.classifiers import hits, knn_scores, linear_probe, scaling, standard_error, validate_weight_decays
from pretrain.probes.features import Input, extract_features, set_statistics
from pretrain.probes.frozen import Frozen, load_frozen
from pretrain.probes.labelled import LabelledImages, labelled_splits
from pretrain.probes.protocol import KnnProtocol, LinearProtocol, named_protocol
from pretrain.ranges import COUNT, Range, brief
from pretrain.versions import versions

SCHEMA = "pretrain.evaluation/1"
HELD_OUT = 0.2  # share of the training split that the weight decay is chosen on
FEATURES = {False: "pooled backbone features h, without a mask", True: "pooled backbone features under the mask, h ⊙ M"}
_RANKED = 10_000  # images that the effective rank is taken over, at most
_SIDE = Range(8, 4096, whole=True)  # pixels
_RANGES = {
    "batch": COUNT,
    "workers": Range(0, 1024, whole=True),
    "size": _SIDE,
    "resize": _SIDE,
    "seed": Range(0, 2**32 - 1, whole=True),
}
_CONVERGED = 1e-3  # largest gradient entry of a probe that counts as fitted

log = logging.getLogger("pretrain")

Extract = Callable[[LabelledImages], Tensor]


@dataclass(frozen=True)
class Outcome:
    """What a protocol gives: its facts for the record, the test features (N, D), and named scores (N, C)."""

    facts: dict[str, Any]
    features: Tensor
    scores: dict[str, Tensor]


def evaluate(
    weights: str | Path,
    data: str | Path,
    protocol: str | KnnProtocol | LinearProtocol = "knn",
    *,
    query: str | Path | None = None,
    size: int | None = None,
    resize: int | None = None,
    seed: int = 0,
    masked: bool = False,
    batch: int = 64,
    workers: int = 0,
    device: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Measure how well frozen features tell classes apart, by nearest neighbours or a linear classifier.

    Args:
        weights: ``backbone.safetensors``, or ``random:ARCH[:STEM]`` for a baseline, such as ``random:resnet18``, whose
            batch norms get the statistics of the training images; ``random:ARCH[:STEM]:as-is`` leaves them unset.
        data: a folder with ``train/CLASS`` and ``val/CLASS`` or ``test/CLASS``, or with an unpacked CIFAR-10, CIFAR-100
            or STL-10; with ``query``, the class folders to learn from.
        protocol: "knn" or "linear" with their defaults, or a `pretrain.probes.protocol.KnnProtocol` or
            `LinearProtocol`.
        query: class folders to be tested on; None for val or test in ``data``.
        size: side of the images, pixels, >= 8; None for that of the views that the weights were trained on.
        resize: shorter side before the central crop, pixels, >= ``size``; None for ``size``.
        seed: of random weights and of the split of train.
        masked: look at h ⊙ M, the features under MetaMask's mask; for nearest neighbours alone.
        batch: images at once.
        workers: loader processes; 0 reads in this process.
        device: such as "cpu" or "cuda:1"; None for a GPU where there is one.
        out: file to write the record to, JSON; None for none.
        force: replace a file that is there.

    Returns:
        The record (``docs/probes.md``): ``results`` holds for "top1", "top5" and, for nearest neighbours,
        "majority_top1" the accuracy and its standard error in percent, and the counts that they come from.

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
            "--masked: expected --protocol knn, found linear, which standardises each feature and so divides the mask "
            "out; leave it out"
        )
    frozen = load_frozen(str(weights), seed, masked=masked)
    how = _input(frozen, size, resize)
    train, test = labelled_splits(Path(data), None if query is None else Path(query))
    log.info("%s on %d + %d images of %d classes", weights, len(train), len(test), len(train.classes))
    backbone = frozen.backbone.to(where)
    about = frozen.about
    if frozen.unset:
        looked_at = set_statistics(backbone, train, how, workers=workers)
        about = {**about, "statistics": {"images": train.source, "n": looked_at}}
        log.info(
            "%s: its batch norms have the statistics of %d training images (:as-is leaves them)", weights, looked_at
        )

    def features(images: LabelledImages) -> Tensor:
        return _features(backbone, images, how, batch, workers, str(weights)).to(where)

    if isinstance(protocol, KnnProtocol):
        name, outcome = "knn", _nearest_neighbours(features, train, test, protocol)
    else:
        name, outcome = "linear", _linear_probe(features, train, test, protocol, seed)
    ranked = outcome.features[:: -(-len(outcome.features) // _RANKED)]
    results = _results(outcome.scores, test.labels.to(where))
    record = {
        "schema": SCHEMA,
        "weights": about,
        "protocol": {"name": name, **outcome.facts, **asdict(how), "features": FEATURES[masked], "seed": seed},
        "data": {"train": _split(train), "test": _split(test)},
        "results": results,
        "effective_rank": {
            "value": float(effective_rank(ranked)),
            "images": len(ranked),
            "width": ranked.shape[1],
        },
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else where.type,
        "versions": versions(),
        "seconds": round(time.perf_counter() - began, 3),
    }
    _report(name, results)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, json.dumps(record, indent=1, allow_nan=False) + "\n")
        log.info("wrote %s", out)
    return record


def _nearest_neighbours(
    features: Extract, train: LabelledImages, test: LabelledImages, protocol: KnnProtocol
) -> Outcome:
    k = protocol.k
    if k > len(train):
        raise InputError(f"--k: expected at most the {len(train)} images of {train.source}, found {k}")
    bank, query = features(train), features(test)
    labels, classes = train.labels.to(bank.device), len(train.classes)
    scores = {
        name: knn_scores(bank, labels, query, classes=classes, k=k, temperature=temperature)
        for name, temperature in (("", protocol.temperature), ("majority_", None))
    }
    return Outcome({"k": k, "temperature": protocol.temperature, "similarity": "cosine"}, query, scores)


def _linear_probe(
    features: Extract, train: LabelledImages, test: LabelledImages, protocol: LinearProtocol, seed: int
) -> Outcome:
    raw = features(train)
    labels, classes = train.labels.to(raw.device), len(train.classes)
    mean, deviation = scaling(raw)
    standardised = (raw - mean) / deviation
    log.info("choosing among %d weight decays on a held-out fifth of train", len(protocol.weight_decays))
    try:
        accuracies = validate_weight_decays(
            standardised, labels, protocol.weight_decays, classes=classes, share=HELD_OUT, seed=seed
        )
    except ValueError as error:
        raise InputError(f"--data {train.source}: the weight decay cannot be chosen ({error}); add images") from None
    weight_decay = _best(accuracies)
    probe = linear_probe(standardised, labels, classes=classes, weight_decay=weight_decay)
    if probe.gradient > _CONVERGED:
        log.warning("the linear probe did not converge: largest gradient entry %.2g", probe.gradient)
    test_features = features(test)
    facts = {
        "solver": "L-BFGS on softmax cross-entropy, features standardised by the training split",
        "weight_decay": weight_decay,
        "validation_share": HELD_OUT,
        "validation": [{"weight_decay": w, "accuracy": 100 * a} for w, a in accuracies.items()],
        "largest_gradient": probe.gradient,
    }
    return Outcome(facts, test_features, {"": probe.scores((test_features - mean) / deviation)})


def _best(accuracies: dict[float, float]) -> float:
    """The weight decay with the best accuracy on held-out images, the largest of equals."""
    best = max(accuracies, key=lambda w: (accuracies[w], w))
    log.info("weight decay %g: %.2f %% there", best, 100 * accuracies[best])
    alone = list(accuracies.values()).count(accuracies[best]) == 1
    if len(accuracies) > 1 and best in (max(accuracies), min(accuracies)) and alone:
        log.warning("the chosen weight decay %g is at the end of --weight-decays; try a wider range", best)
    return best


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


def _input(frozen: Frozen, size: int | None, resize: int | None) -> Input:
    size = size or frozen.size
    if size is None:
        weights = frozen.about["file"]
        raise InputError(f"--size: expected the side of the images in pixels, since {weights} names none")
    resize = resize or size
    if resize < size:
        raise InputError(f"--resize: expected at least the side of the crop, {size}, found {resize}")
    return Input(size, resize, frozen.mean, frozen.std)


def _features(
    backbone: nn.Module, images: LabelledImages, how: Input, batch: int, workers: int, weights: str
) -> Tensor:
    features = extract_features(backbone, images, how, batch=batch, workers=workers, name=images.source)
    lost = (~features.readable).nonzero()[:, 0].tolist()
    if lost:
        raise InputError(
            f"{images.source}: expected every image to be readable, found {len(lost)} that are not "
            f"({', '.join(images.name(k) for k in lost[:3])}{', ...' if len(lost) > 3 else ''}); repair or remove them"
        )
    if not bool(features.values.isfinite().all()):
        raise InputError(f"{weights}: expected finite features, found NaN or infinity; the training has diverged")
    return features.values


def _results(scores: dict[str, Tensor], labels: Tensor) -> dict[str, dict[str, float]]:
    """Accuracy in percent with its standard error, for top 1 and, of more than five classes, top 5."""
    results = {}
    for name, values in scores.items():
        for top in (1, 5) if values.shape[1] > 5 else (1,):
            correct, n = int(hits(values, labels, top).sum()), len(labels)
            results[f"{name}top{top}"] = {
                "accuracy": 100 * correct / n,
                "standard_error": 100 * standard_error(correct / n, n),
                "correct": correct,
                "n": n,
            }
    return results


def _report(protocol: str, results: dict[str, dict[str, float]]) -> None:
    for name, result in results.items():
        accuracy, error, n = (result[key] for key in ("accuracy", "standard_error", "n"))
        log.info("%s %s: %.2f ± %.2f %% (n = %d)", protocol, name, accuracy, error, n)


def _split(images: LabelledImages) -> dict[str, Any]:
    return {
        "images": images.source,
        "n": len(images),
        "fingerprint": images.fingerprint,
        "classes": list(images.classes),
    }
