"""Whether features look worth a detector: one line, from numbers that cost seconds, against random weights.

It is a warning before GPU-hours are spent, not a measurement of a detector: what it compares is how well frozen
features of objects are told apart, under the weights and under random weights of the same network on the same places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pretrain.probes.classifiers import GroupedAccuracy
from pretrain.probes.questions import CLASSES, OBJECTNESS, Measured
from pretrain.probes.region_features import STAGES

# A difference of object kNN counts from this many standard errors (paired, over images) on, two-sided 5 %. That is
# statistics of the probe alone. How a difference in points turns into AP is not known yet: it takes trained detectors.
ERRORS = 2.0
# And from this many points on: smaller ones are told apart by large sets, and no detector is known to feel them.
# Evidence: missing.
LEAST_POINTS = 1.0
# The alarm's effective rank, as a share of the largest possible one. Evidence: two pretrainings on one set. On nuclei a
# SimCLR of rank 17 of 512 (0.03) hurt (box AP 10.7 against 16.6 from random weights), one of rank 26 (0.05) did not
# (13.9 and 13.9), one seed each, ranks of whole images. A high rank is no
# good sign: over 16 methods rank and dense transfer are unrelated or go against each other (arXiv 2510.17299).
LOW_RANK = 0.05
# Spread of the normalised features, as a share of 1 / sqrt(D), that of features all over the sphere (Chen & He 2021).
# Evidence: constructed collapses alone (0 in the limit). The warning during training has the same share.
LOW_SPREAD = 0.05

_CALLED = {CLASSES: "object kNN", OBJECTNESS: "object-against-background kNN"}
_LOSS, _RANDOM = "held_out_", "_random"


@dataclass(frozen=True)
class Verdict:
    """What the numbers say.

    Attributes:
        outcome: "worse", "better", "alike" or "mixed", against random weights.
        alarms: what looks like a collapse or an unlearned task, in words.
        text: the whole line.
    """

    outcome: str
    alarms: tuple[str, ...]
    text: str

    @property
    def warns(self) -> bool:
        """Whether somebody should look before going on."""
        return self.outcome == "worse" or bool(self.alarms)


def numbers(measured: Measured, random: Measured) -> dict[str, float]:
    """All numbers of a look by name, as they stand in ``metrics.jsonl``.

    For each question ``NAME_knn_STAGE`` (percent) and ``NAME_logme_STAGE``; ``NAME_knn_gain``, the mean over the stages
    of the difference to random weights in points, with ``NAME_knn_gain_standard_error`` (over images, paired; left out
    where there is one image); ``objects_effective_rank`` and ``objects_spread`` at res5, each with ``_of`` or
    ``_healthy``, what the largest or a healthy value is, and with that of random weights.
    """
    values: dict[str, float] = {}
    for question in measured.answers[STAGES[0]]:
        for stage in STAGES:
            answers = measured.answers[stage][question]
            values[f"{question}_knn_{stage}"] = 100 * answers.knn.value
            values[f"{question}_logme_{stage}"] = answers.logme
        gain, error = _over_stages(measured, question).above(_over_stages(random, question))
        values[f"{question}_knn_gain"] = 100 * gain
        if error is not None:
            values[f"{question}_knn_gain_standard_error"] = 100 * error
    alarm = measured.alarm[STAGES[-1]]
    values["objects_effective_rank"] = alarm["effective_rank"]
    values["objects_effective_rank_of"] = min(alarm["regions"], alarm["width"])
    values["objects_effective_rank_random"] = random.alarm[STAGES[-1]]["effective_rank"]
    values["objects_spread"] = alarm["spread"]
    values["objects_spread_healthy"] = 1 / math.sqrt(alarm["width"])
    return values


def verdict(values: Mapping[str, float]) -> Verdict:
    """What `numbers`, and losses of held-out images as ``held_out_TERM`` and ``held_out_TERM_random``, say together."""
    gains = {q: _gain(values, q) for q in (CLASSES, OBJECTNESS) if f"{q}_knn_gain" in values}
    signs = {sign for sign, _ in gains.values()} - {0}
    outcome = "mixed" if len(signs) > 1 else {-1: "worse", 1: "better"}.get(next(iter(signs), 0), "alike")
    alarms = tuple(_alarms(values))
    looks = {
        "worse": "look worse for detection than",
        "better": "look better for detection than",
        "alike": "look about as good for detection as",
        "mixed": "look better in one way and worse in another than",
    }[outcome]
    reasons = [text for _, text in gains.values()] + list(alarms)
    text = f"verdict: these features {looks} random weights of the same network: {'; '.join(reasons)}"
    return Verdict(outcome, alarms, text)


def _over_stages(measured: Measured, question: str) -> GroupedAccuracy:
    """The mean accuracy over the stages, by image: each region is asked at every stage."""
    all_stages = [measured.answers[stage][question].knn for stage in STAGES]
    hits, rows = (torch.stack(parts).sum(dim=0) for parts in zip(*((a.hits, a.rows) for a in all_stages), strict=True))
    return GroupedAccuracy(hits, rows)


def _gain(values: Mapping[str, float], question: str) -> tuple[int, str]:
    """-1, 0 or 1, and the difference in words."""
    gain, error = values[f"{question}_knn_gain"], values.get(f"{question}_knn_gain_standard_error", math.inf)
    sign = 0 if abs(gain) < max(LEAST_POINTS, ERRORS * error) else 1 if gain > 0 else -1
    shown = f"{abs(gain):.1f} ± {error:.1f}" if math.isfinite(error) else f"{abs(gain):.1f}"
    where = "above" if gain > 0 else "below"
    return sign, f"{_CALLED[question]} is {shown} points {where} them" + (", which decides nothing" if not sign else "")


def _alarms(values: Mapping[str, float]) -> list[str]:
    alarms = []
    rank, most = values["objects_effective_rank"], values["objects_effective_rank_of"]
    if rank < LOW_RANK * most:
        alarms.append(
            f"collapse alarm: effective rank {rank:.1f} of {most:.0f} (random weights "
            f"{values['objects_effective_rank_random']:.1f})"
        )
    if values["objects_spread"] < LOW_SPREAD * values["objects_spread_healthy"]:
        healthy = values["objects_spread_healthy"]
        alarms.append(f"collapse alarm: spread {values['objects_spread']:.2g}, healthy about {healthy:.2g}")
    for name, before in values.items():
        after = values.get(name.removesuffix(_RANDOM), math.nan)
        if name.startswith(_LOSS) and name.endswith(_RANDOM) and not after < before:
            term = name.removeprefix(_LOSS).removesuffix(_RANDOM)
            alarms.append(f"the {term} loss of held-out images is {after:.3g}, not below random weights' {before:.3g}")
    return alarms
