"""How well pooled features of whole images tell classes apart: nearest neighbours and a linear classifier.

The features are the pooled h of the backbone or, as MetaMask measures itself, h under its mask. Whatever is chosen is
chosen on the training split; the other split is read once, at the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.errors import InputError
from pretrain.method.health import effective_rank
from pretrain.probes.classifiers import hits, knn_scores, linear_probe, scaling, standard_error, validate_weight_decays
from pretrain.probes.features import Input, extract_features, set_statistics
from pretrain.probes.frozen import Frozen
from pretrain.probes.labelled import LabelledImages, labelled_splits
from pretrain.probes.protocol import KnnProtocol, LinearProtocol

SCHEMA = "pretrain.evaluation/1"
HELD_OUT = 0.2  # share of the training split that the weight decay is chosen on
FEATURES = {False: "pooled backbone features h, without a mask", True: "pooled backbone features under the mask, h ⊙ M"}
_RANKED = 10_000  # images that the effective rank is taken over, at most
_CONVERGED = 1e-3  # largest gradient entry of a probe that counts as fitted

log = logging.getLogger("pretrain")

Extract = Callable[[LabelledImages], Tensor]


@dataclass(frozen=True)
class Outcome:
    """What a protocol gives: its facts for the record, the test features (N, D), and named scores (N, C)."""

    facts: dict[str, Any]
    features: Tensor
    scores: dict[str, Tensor]


def evaluate_pictures(
    frozen: Frozen,
    data: Path,
    protocol: KnnProtocol | LinearProtocol,
    *,
    query: Path | None,
    size: int | None,
    resize: int | None,
    seed: int,
    masked: bool,
    batch: int,
    workers: int,
    device: torch.device,
) -> dict[str, Any]:
    """What the record says of the weights, the protocol, the data and the results; arguments as in ``evaluate``."""
    how = _input(frozen, size, resize)
    train, test = labelled_splits(data, query)
    weights = frozen.about["file"]
    log.info("%s on %d + %d images of %d classes", weights, len(train), len(test), len(train.classes))
    backbone = frozen.backbone.to(device)
    about = frozen.about
    if frozen.unset:
        looked_at = set_statistics(backbone, train, how, workers=workers)
        about = {**about, "statistics": {"images": train.source, "n": looked_at}}
        log.info(
            "%s: its batch norms have the statistics of %d training images (:as-is leaves them)", weights, looked_at
        )

    def features(images: LabelledImages) -> Tensor:
        return _features(backbone, images, how, batch, workers, weights).to(device)

    if isinstance(protocol, KnnProtocol):
        name, outcome = "knn", _nearest_neighbours(features, train, test, protocol)
    else:
        name, outcome = "linear", _linear_probe(features, train, test, protocol, seed)
    ranked = outcome.features[:: -(-len(outcome.features) // _RANKED)]
    rank = {"value": float(effective_rank(ranked)), "images": len(ranked), "width": ranked.shape[1]}
    results = _results(outcome.scores, test.labels.to(device))
    _report(name, results, rank)
    return {
        "schema": SCHEMA,
        "weights": about,
        "protocol": {"name": name, **outcome.facts, **asdict(how), "features": FEATURES[masked], "seed": seed},
        "data": {"train": _split(train), "test": _split(test)},
        "results": results,
        "effective_rank": rank,
    }


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


def _report(protocol: str, results: dict[str, dict[str, float]], rank: dict[str, float]) -> None:
    for name, result in results.items():
        accuracy, error, n = (result[key] for key in ("accuracy", "standard_error", "n"))
        log.info("%s %s: %.2f ± %.2f %% (n = %d)", protocol, name, accuracy, error, n)
    log.info(
        "collapse alarm: effective rank %.1f of %d (it warns of a collapse and says nothing about quality)",
        rank["value"],
        min(rank["width"], rank["images"]),
    )


def _split(images: LabelledImages) -> dict[str, Any]:
    return {
        "images": images.source,
        "n": len(images),
        "fingerprint": images.fingerprint,
        "classes": list(images.classes),
    }
