import re

import numpy as np
import pytest

from tests.transfer.reporting.test_figures import runs
from transfer.comparison.bootstrap import ImageResamples, Resampled
from transfer.evaluation.confusion import Confusion
from transfer.evaluation.weighted_ap import THRESHOLDS, ClassMatches, MatchedClasses
from transfer.reporting import detail_figures
from transfer.reporting.figures import Figures
from transfer.reporting.summary import summarise


def matches(right):
    """Four detections of "zero", of which the first ``right`` are; five objects."""
    matched = np.broadcast_to(np.arange(4) < right, (len(THRESHOLDS), 4))
    one = ClassMatches(
        np.arange(4), np.array([0.9, 0.8, 0.6, 0.2]), matched, np.zeros_like(matched), np.array([5, 0, 0, 0])
    )
    return MatchedClasses([1, 2, 3, 4], {"zero": one})


@pytest.fixture
def summary():
    records = [*runs("random", 10.0, 12.0), *runs("a", 14.0, 15.0)]
    resampled = {id(run): Resampled(matches={"segm": matches(i + 1)}) for i, run in enumerate(records)}
    return summarise(records, None, ImageResamples(4, 100, resampled))


def test_sizes_show_what_was_measured(summary):
    figure = detail_figures.sizes(Figures(summary), "segm")
    assert re.findall(r'class="row"[^>]*>([^<]+)<', figure.svg) == ["medium", "large, from 96²"]  # small: null
    assert figure.svg.count('class="value"') == 4
    assert re.search(r"n\W=\W2", figure.note)


def test_precision_against_recall_is_the_mean_over_runs(summary):
    figure = detail_figures.precision_recall(Figures(summary), "segm")
    lines = re.findall(r'class="curve s(\d)( dashed)?" points="([^"]+)"', figure.svg)
    assert [(series, bool(dashed)) for series, dashed, _ in lines] == [("0", 0), ("1", 0), ("0", 1), ("1", 1)]
    assert detail_figures.precision_recall(Figures(summary), "bbox") is None
    bare = summarise(summary.records, None, ImageResamples(4, why="no run kept its detections"))
    assert detail_figures.precision_recall(Figures(bare), "segm") is None


def test_a_confusion_matrix_has_what_is_missed_and_what_is_not_there(summary):
    whole = Confusion([f"c{i}" for i in range(30)], np.ones((31, 31), int), 0.5)
    (figure,) = detail_figures.confusions({"random, seed 0": whole}, Figures(summary))
    names = re.findall(r'class="row"[^>]*>([^<]+)<', figure.svg)
    assert len(names) == 2 * (detail_figures.MOST_CLASSES + 1)
    assert "nothing there" in names
    assert "missed" in names
    counts = [int(c) for c in re.findall(r'class="count[^>]*>(\d+)<', figure.svg)]
    assert sum(counts) == 31 * 31
    assert "0.5" in figure.note
