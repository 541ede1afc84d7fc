"""The line from numbers that are given, and the numbers from answers whose difference is known."""

import math

import pytest
import torch

from pretrain.probes.classifiers import GroupedAccuracy
from pretrain.probes.questions import OBJECTNESS, Answers, Measured
from pretrain.probes.region_features import STAGES
from pretrain.probes.verdict import LEAST_POINTS, LOW_RANK, LOW_SPREAD, numbers, verdict

HEALTHY = {
    "objects_effective_rank": 200.0,
    "objects_effective_rank_of": 512.0,
    "objects_effective_rank_random": 300.0,
    "objects_spread": 0.04,
    "objects_spread_healthy": 1 / math.sqrt(512),
}


def line(gain, error, **changes):
    return verdict({"objectness_knn_gain": gain, "objectness_knn_gain_standard_error": error, **HEALTHY, **changes})


@pytest.mark.parametrize(
    ("gain", "error", "outcome", "warns"),
    [
        (-6.0, 1.2, "worse", True),
        (6.0, 1.2, "better", False),
        (-6.0, 3.1, "alike", False),
        (-0.9 * LEAST_POINTS, 0.01, "alike", False),
        (-1.1 * LEAST_POINTS, 0.01, "worse", True),
        (0.0, 0.0, "alike", False),
    ],
)
def test_a_difference_counts_from_two_standard_errors_and_a_point_on(gain, error, outcome, warns):
    made = line(gain, error)
    assert (made.outcome, made.warns) == (outcome, warns)


def test_the_words():
    assert line(-6.0, 1.2).text == (
        "verdict: these features look worse for detection than random weights of the same network: "
        "object-against-background kNN is 6.0 ± 1.2 points below them"
    )
    assert "look about as good for detection as" in line(0.2, 0.1).text
    assert "0.2 ± 0.1 points above them, which decides nothing" in line(0.2, 0.1).text


def test_two_questions_can_disagree():
    both = {"classes_knn_gain": 5.0, "classes_knn_gain_standard_error": 1.0}
    made = line(-5.0, 1.0, **both)
    assert made.outcome == "mixed"
    assert (
        "object kNN is 5.0 ± 1.0 points above them; object-against-background kNN is 5.0 ± 1.0 points below"
        in made.text
    )
    assert line(0.1, 1.0, **both).outcome == "better"


def test_without_an_error_nothing_is_decided():
    values = {"objectness_knn_gain": -30.0, **HEALTHY}
    assert verdict(values).outcome == "alike"


def test_each_alarm_is_raised_on_its_side_of_the_threshold_alone():
    low, fine = (LOW_RANK * 512 * factor for factor in (0.99, 1.01))
    assert "collapse alarm: effective rank 25.3 of 512" in line(5.0, 1.0, objects_effective_rank=low).text
    assert line(5.0, 1.0, objects_effective_rank=low).warns
    assert not line(5.0, 1.0, objects_effective_rank=fine).alarms
    assert "collapse alarm: spread" in line(5.0, 1.0, objects_spread=0.99 * LOW_SPREAD / math.sqrt(512)).text
    assert not line(5.0, 1.0, objects_spread=1.01 * LOW_SPREAD / math.sqrt(512)).alarms
    lost = line(5.0, 1.0, held_out_contrastive=4.7, held_out_contrastive_random=4.6)
    assert lost.alarms == ("the contrastive loss of held-out images is 4.7, not below random weights' 4.6",)
    assert not line(5.0, 1.0, held_out_contrastive=3.1, held_out_contrastive_random=4.6).alarms
    assert line(5.0, 1.0, held_out_mcr=math.nan, held_out_mcr_random=4.6).alarms


def measured(hits, rows, rank=100.0):
    accuracy = GroupedAccuracy(torch.tensor(hits), torch.tensor(rows))
    answers = Answers(accuracy, None, {"knn": accuracy.value}, -0.5)
    alarm = {"effective_rank": rank, "spread": 0.04, "regions": 900, "width": 512}
    return Measured({stage: {OBJECTNESS: answers} for stage in STAGES}, dict.fromkeys(STAGES, alarm), {})


def test_the_gain_is_paired_over_images():
    """Hits differ much from image to image, and by two in each between the two networks: no error is left."""
    values = numbers(measured([8.0, 4.0, 6.0], [10, 10, 10]), measured([6.0, 2.0, 4.0], [10, 10, 10], rank=50.0))
    assert values["objectness_knn_gain"] == pytest.approx(20)
    assert values["objectness_knn_gain_standard_error"] == pytest.approx(0, abs=1e-9)
    assert values["objectness_knn_res4"] == pytest.approx(60)
    assert values["objects_effective_rank_random"] == 50
    assert values["objects_spread_healthy"] == pytest.approx(512**-0.5)
    single = numbers(measured([8.0], [10]), measured([6.0], [10]))
    assert "objectness_knn_gain_standard_error" not in single
