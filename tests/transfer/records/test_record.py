"""The record as plain data: its names, and null for what was not measured."""

import dataclasses

import pytest

from tests.cases import detection_sets
from tests.cases.records import make_record
from transfer.evaluation import engines
from transfer.evaluation.evaluate import evaluate
from transfer.records.record import ALL_METRICS, BASELINE, ENGINES, FREQUENCIES, METRICS, PROTOCOLS, RECALLS, TASKS


def test_the_names_of_the_engines_are_the_engines():
    assert list(ENGINES) == list(engines.ENGINES)


def test_a_metric_has_one_name_and_one_place():
    assert ALL_METRICS == METRICS + FREQUENCIES + RECALLS
    assert len(set(ALL_METRICS)) == len(ALL_METRICS) == 16


def test_every_metric_is_measured_under_its_name(tmp_path):
    """LVIS has all of them but those of COCO alone, COCO all but those of LVIS alone."""
    measured = set()
    for lvis in (False, True):
        files = detection_sets.write(tmp_path / str(lvis), *detection_sets.make(1, images=7, lvis=lvis))
        record = evaluate(*files)
        assert record.protocol in PROTOCOLS
        assert tuple(record.metrics) == TASKS
        assert tuple(record.metrics["bbox"]) == ALL_METRICS
        measured |= {name for name, value in record.metrics["bbox"].items() if value is not None}
    assert measured == set(ALL_METRICS)


def test_what_nobody_measured_is_null():
    record = make_record(BASELINE)
    assert record.tide == dict.fromkeys(TASKS)
    assert set(dataclasses.asdict(record.cost).values()) == {None}
    assert (record.cross_check, record.detections_sha256, record.data.leaks) == (None, None, None)


def test_a_record_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_record().name = "other"
