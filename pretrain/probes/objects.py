"""``--protocol objects``: a backbone's features of objects, from two sets of images or from one that is split."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pretrain.errors import InputError
from pretrain.probes.features import set_statistics
from pretrain.probes.frozen import Frozen, load_frozen
from pretrain.probes.object_set import ObjectSet, read_objects
from pretrain.probes.protocol import ObjectsProtocol
from pretrain.probes.questions import HELD_OUT, Measured, as_results, measure, report
from pretrain.probes.region_features import (
    BACKGROUND,
    STAGES,
    WholeInput,
    extract_region_features,
    statistics_input,
)
from pretrain.probes.verdict import numbers, verdict

SCHEMA = "pretrain.objects/1"
QUERY_SHARE = 0.2  # of one set's images, to be tested on

log = logging.getLogger("pretrain")


@dataclass(frozen=True, eq=False)
class Part:
    """Some images of a set.

    Attributes:
        data: the set.
        chosen: their numbers.
    """

    data: ObjectSet
    chosen: Sequence[int]


@dataclass(frozen=True)
class Probed:
    """Answers and what they cost.

    Attributes:
        measured: the answers.
        parts: of "train" and "test": images and regions looked at.
        seconds: of the forward passes and of each probe.
    """

    measured: Measured
    parts: dict[str, dict[str, int]]
    seconds: dict[str, float]

    def per_thousand_images(self) -> dict[str, float]:
        """Seconds of each part of the work for a thousand images."""
        images = sum(part["images"] for part in self.parts.values())
        return {name: round(1000 * spent / images, 3) for name, spent in self.seconds.items()}


def evaluate_objects(
    frozen: Frozen,
    data: tuple[Path, Path],
    query: tuple[Path, Path] | None,
    protocol: ObjectsProtocol,
    *,
    size: int | None,
    seed: int,
    baseline: bool,
    workers: int,
    device: torch.device,
) -> dict[str, Any]:
    """What the record says of the weights, the protocol, the data and the results; arguments as in ``evaluate``."""
    train, test = parts_of(read_objects(*data), None if query is None else read_objects(*query), seed)
    how = WholeInput(size, frozen.mean, frozen.std)
    backbone = frozen.backbone.to(device)
    about = frozen.about
    if frozen.unset:
        looked_at = set_statistics(backbone, *statistics_input(train.data, how), workers=workers)
        about = {**about, "statistics": {"images": str(train.data.images), "n": looked_at}}
    probed = probe(backbone, train, test, protocol, how, seed=seed, workers=workers, name=about["file"])
    results, alarm = as_results(probed.measured), probed.measured.alarm
    report(results, alarm)
    costs = probed.per_thousand_images()
    log.info("seconds per thousand images: %s", ", ".join(f"{name} {spent:.1f}" for name, spent in costs.items()))
    against = None
    if baseline and about["sha256"] is not None:
        network = f"random:{about['arch']}:{about['stem']}"
        random = load_frozen(network, seed).backbone.to(device)
        measured = random_weights(random, train, test, protocol, how, seed=seed, workers=workers)
        values = numbers(probed.measured, measured)
        line = verdict(values)
        log.log(logging.WARNING if line.warns else logging.INFO, line.text)
        against = {
            "weights": network,
            "results": as_results(measured),
            "collapse_alarm": measured.alarm,
            "numbers": values,
            "outcome": line.outcome,
            "verdict": line.text,
        }
    return {
        "schema": SCHEMA,
        "weights": about,
        "protocol": {
            "name": "objects",
            **asdict(protocol),
            **asdict(how),
            "similarity": "cosine",
            "regions": "masks" if train.data.masked and test.data.masked else "boxes",
            "stages": list(STAGES),
            "validation_share": HELD_OUT,
            "seed": seed,
        },
        "data": {
            name: {
                "images": str(part.data.images),
                "annotations": str(part.data.annotations),
                "fingerprint": part.data.fingerprint,
                "classes": list(part.data.classes),
                "looked_at": probed.parts[name],
            }
            for name, part in (("train", train), ("test", test))
        },
        "results": results,
        "collapse_alarm": alarm,
        "seconds_per_thousand_images": costs,
        "baseline": against,
    }


def random_weights(
    backbone: nn.Module, train: Part, test: Part, protocol: ObjectsProtocol, how: WholeInput, *, seed: int, workers: int
) -> Measured:
    """The answers of a network whose weights are random and whose batch norms get the statistics of the images."""
    set_statistics(backbone, *statistics_input(train.data, how), workers=workers)
    name = "random weights"
    return probe(backbone, train, test, protocol, how, seed=seed, workers=workers, linear=False, name=name).measured


def parts_of(data: ObjectSet, query: ObjectSet | None, seed: int) -> tuple[Part, Part]:
    """Images to learn from and images to be tested on: two sets, or four fifths and a fifth of one's images.

    Raises:
        InputError: the sets differ in their classes or share images, or there are too few images with objects.
    """
    if query is not None:
        _check_apart(data, query)
        return Part(data, range(len(data.items))), Part(query, range(len(query.items)))
    filled = [k for k, item in enumerate(data.items) if len(item.labels)]
    if len(filled) < 2:
        raise InputError(
            f"--coco {data.annotations}: expected objects in at least two images, one to be tested on, found "
            f"{len(filled)}; name a second set with --query"
        )
    order = np.random.default_rng(seed).permutation(filled)
    tested = max(1, round(QUERY_SHARE * len(filled)))
    return Part(data, sorted(order[tested:].tolist())), Part(data, sorted(order[:tested].tolist()))


def probe(
    backbone: nn.Module,
    train: Part,
    test: Part,
    protocol: ObjectsProtocol,
    how: WholeInput,
    *,
    seed: int,
    workers: int = 0,
    linear: bool = True,
    name: str | None = None,
) -> Probed:
    """Look at both parts' regions and ask every question; the global random state is neither read nor moved.

    Raises:
        InputError: as `extract_region_features`; or nothing can be asked, as no place without an object fits.
    """
    masked = train.data.masked and test.data.masked
    began = time.perf_counter()
    train_regions, test_regions = (
        extract_region_features(
            backbone,
            part.data,
            part.chosen,
            how,
            masked=masked,
            seed=seed,
            most=protocol.most,
            workers=workers,
            name=name,
        )
        for part in (train, test)
    )
    forward = time.perf_counter() - began
    measured = measure(train_regions, test_regions, len(train.data.classes), protocol, seed=seed, linear=linear)
    if not all(measured.answers.values()):
        raise InputError(
            f"--coco {train.data.annotations}: expected objects of two classes, or room for places without an object, "
            "found neither; name other images"
        )
    parts = {
        key: {
            "images": len(part.chosen),
            "objects": int((one.labels != BACKGROUND).sum()),
            "places_without_an_object": int((one.labels == BACKGROUND).sum()),
        }
        for key, part, one in zip(("train", "test"), (train, test), (train_regions, test_regions), strict=True)
    }
    return Probed(measured, parts, {"forward": forward, **measured.seconds})


def _check_apart(data: ObjectSet, query: ObjectSet) -> None:
    if data.classes != query.classes:
        raise InputError(
            f"--query {query.annotations}: expected the categories of {data.annotations} in the same order "
            f"({', '.join(data.classes[:3])}, ...), found {', '.join(query.classes[:3])}, ...; use one list for both"
        )
    files = {item.file.resolve() for item in data.items}
    shared = [item.file.name for item in query.items if item.file.resolve() in files]
    if shared:
        raise InputError(
            f"--query {query.annotations}: expected other images than those of {data.annotations}, found {len(shared)} "
            f"in both ({shared[0]}, ...); name a held-out set"
        )
