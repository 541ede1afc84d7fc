"""What features of regions are worth: which class an object has, and whether a place is an object at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pretrain.method.health import effective_rank, embedding_std
from pretrain.probes.classifiers import (
    GroupedAccuracy,
    grouped_accuracy,
    hits,
    knn_scores,
    linear_probe,
    scaling,
    validate_weight_decays,
)
from pretrain.probes.logme import logme
from pretrain.probes.protocol import ObjectsProtocol
from pretrain.probes.region_features import BACKGROUND, STAGES, RegionFeatures

HELD_OUT = 0.2  # share of the images to learn from that the weight decay is chosen on
CLASSES, OBJECTNESS = "classes", "objectness"  # the two questions
_RANKED = 4_000  # regions that the effective rank is taken over, at most

log = logging.getLogger("pretrain")


@dataclass(frozen=True)
class Question:
    """Regions with an answer each, to learn from and to be tested on.

    Attributes:
        classes: number of answers.
        train, test: rows of the features.
        train_labels, test_labels: their answers.
    """

    classes: int
    train: Tensor
    test: Tensor
    train_labels: Tensor
    test_labels: Tensor


@dataclass(frozen=True)
class Answers:
    """How one question was answered from one stage's features.

    Attributes:
        knn: accuracy of the nearest neighbours, by image.
        linear: that of the linear classifier; None where it was not asked.
        class_means: probe -> mean over the classes of each one's accuracy, 0-1.
        logme: nats per region.
        weight_decay: of the linear classifier.
    """

    knn: GroupedAccuracy
    linear: GroupedAccuracy | None
    class_means: dict[str, float]
    logme: float
    weight_decay: float | None = None


@dataclass(frozen=True)
class Measured:
    """All answers of one backbone.

    Attributes:
        answers: stage -> question -> answers.
        alarm: stage -> effective rank and spread of the tested objects' features, which show a collapse.
        seconds: probe -> time.
    """

    answers: dict[str, dict[str, Answers]]
    alarm: dict[str, dict[str, float]]
    seconds: dict[str, float]


def questions(train: RegionFeatures, test: RegionFeatures, classes: int) -> dict[str, Question]:
    """The questions that these regions can answer: one about classes needs objects of two of them to learn from.

    Returns:
        dict: `CLASSES`: which class an object has; `OBJECTNESS`: whether a place is an object (1) or a place of the
        same shape in the same image without one (0). Chance is 50 % in the second.
    """
    asked = {}
    objects = [(one.labels != BACKGROUND).nonzero()[:, 0] for one in (train, test)]
    if len(train.labels[objects[0]].unique()) >= 2:
        labels = [one.labels[rows] for one, rows in zip((train, test), objects, strict=True)]
        asked[CLASSES] = Question(classes, *objects, *labels)
    paired = [one.paired.nonzero()[:, 0] for one in (train, test)]
    if all(map(len, paired)):
        labels = [(one.labels[rows] != BACKGROUND).long() for one, rows in zip((train, test), paired, strict=True)]
        asked[OBJECTNESS] = Question(2, *paired, *labels)
    return asked


def measure(
    train: RegionFeatures,
    test: RegionFeatures,
    classes: int,
    protocol: ObjectsProtocol,
    *,
    seed: int = 0,
    linear: bool = True,
) -> Measured:
    """Ask every question of every stage's features; the tested regions are read once, after all is chosen.

    Args:
        train: regions to learn from.
        test: regions of other images.
        classes: number of classes.
        protocol: settings of the probes.
        seed: of the images held out for the weight decay.
        linear: fit the linear classifier too, which takes longest.
    """
    seconds = dict.fromkeys(("knn", "linear", "logme"), 0.0)
    answers: dict[str, dict[str, Answers]] = {}
    asked = questions(train, test, classes)
    for stage in STAGES:
        answers[stage] = {}
        for name, question in asked.items():
            bank, query = train.values[stage][question.train], test.values[stage][question.test]
            began = time.perf_counter()
            k = min(protocol.k, len(bank))
            scores = {"knn": _neighbours(bank, query, question, k, protocol.temperature)}
            after_knn = time.perf_counter()
            weight_decay = None
            if linear:
                images = train.images[question.train]
                scores["linear"], weight_decay = _linear(bank, query, question, images, protocol, seed)
            after_linear = time.perf_counter()
            evidence = logme(bank, question.train_labels, classes=question.classes)
            right = {probe: hits(values, question.test_labels) for probe, values in scores.items()}
            accuracies = {probe: grouped_accuracy(r, test.images[question.test]) for probe, r in right.items()}
            means = {probe: _class_mean(r, question.test_labels) for probe, r in right.items()}
            answers[stage][name] = Answers(accuracies["knn"], accuracies.get("linear"), means, evidence, weight_decay)
            seconds["knn"] += after_knn - began
            seconds["linear"] += after_linear - after_knn
            seconds["logme"] += time.perf_counter() - after_linear
    return Measured(answers, {stage: _alarm(test, stage) for stage in STAGES}, seconds)


def _neighbours(bank: Tensor, query: Tensor, question: Question, k: int, temperature: float) -> Tensor:
    return knn_scores(bank, question.train_labels, query, classes=question.classes, k=k, temperature=temperature)


def _linear(
    bank: Tensor, query: Tensor, question: Question, images: Tensor, protocol: ObjectsProtocol, seed: int
) -> tuple[Tensor, float]:
    """Logits of the tested regions, and the weight decay that was best on held-out images to learn from."""
    mean, deviation = scaling(bank)
    standardised, labels, decays = (bank - mean) / deviation, question.train_labels, protocol.weight_decays
    weight_decay = decays[0]
    if len(decays) > 1 and len(images.unique()) > 1:
        reached = validate_weight_decays(
            standardised, labels, decays, classes=question.classes, share=HELD_OUT, seed=seed, groups=images
        )
        weight_decay = max(reached, key=lambda w: (reached[w], w))
    probe = linear_probe(standardised, labels, classes=question.classes, weight_decay=weight_decay)
    return probe.scores((query - mean) / deviation), weight_decay


def _class_mean(right: Tensor, labels: Tensor) -> float:
    return float(torch.stack([right[labels == label].double().mean() for label in labels.unique()]).mean())


def _alarm(test: RegionFeatures, stage: str) -> dict[str, float]:
    objects = test.values[stage][test.labels != BACKGROUND]
    ranked = objects[:: -(-len(objects) // _RANKED)]
    spread = float(embedding_std(ranked)) if len(ranked) > 1 else 0.0
    return {
        "effective_rank": float(effective_rank(ranked)),
        "spread": spread,
        "regions": len(ranked),
        "width": ranked.shape[1],
    }


def as_results(measured: Measured) -> dict[str, Any]:
    """The answers as the record holds them: accuracies and standard errors in percent."""
    return {
        stage: {question: _as_entry(answers) for question, answers in asked.items()}
        for stage, asked in measured.answers.items()
    }


def _as_entry(answers: Answers) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for probe, accuracy in (("knn", answers.knn), ("linear", answers.linear)):
        if accuracy is None:
            continue
        error = accuracy.standard_error
        entry[probe] = {
            "accuracy": 100 * accuracy.value,
            "standard_error": None if error is None else 100 * error,
            "class_mean": 100 * answers.class_means[probe],
            "correct": int(accuracy.hits.sum()),
            "n": int(accuracy.rows.sum()),
        }
    if answers.weight_decay is not None:
        entry["linear"]["weight_decay"] = answers.weight_decay
    return {**entry, "logme": answers.logme}


def report(results: Mapping[str, Any], alarm: Mapping[str, Mapping[str, float]]) -> None:
    """A line for each stage and question, and one for the alarm."""
    for stage, asked in results.items():
        for question, entry in asked.items():
            shown = "  ".join(
                f"{probe} {entry[probe]['accuracy']:.2f} ± {_shown(entry[probe]['standard_error'])} %"
                for probe in ("knn", "linear")
                if probe in entry
            )
            log.info("%s %s: %s  LogME %.4f (n = %d)", stage, question, shown, entry["logme"], entry["knn"]["n"])
    last = alarm[STAGES[-1]]
    log.info(
        "collapse alarm at %s: effective rank %.1f of %d, spread %.3f (they warn of a collapse and say nothing about "
        "quality)",
        STAGES[-1],
        last["effective_rank"],
        min(last["width"], last["regions"]),
        last["spread"],
    )


def _shown(error: float | None) -> str:
    return "–" if error is None else f"{error:.2f}"
