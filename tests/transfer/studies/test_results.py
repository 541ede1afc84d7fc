"""From a study's folders to its report: names, costs without work lost to kills, and what probes measured."""

import json

import pytest

from tests.cases.records import make_record
from tests.cases.studies import make_steps
from transfer.errors import InputError
from transfer.records import record_file
from transfer.records.record import Seconds
from transfer.studies import results
from transfer.studies.cells import Cell, chain
from transfer.studies.schema import Probes


def lines(path, *entries, tail=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + tail)


@pytest.fixture
def done(tmp_path):
    """A pretrained cell of a study, with everything that its commands leave; batch 8."""
    steps = make_steps(tmp_path, probes=Probes("classes", ("knn",)))
    one = chain(Cell("simclr", 0, "100%"), steps, {})
    lines(
        one.pretrain.product.parent / "metrics.jsonl",
        {"iteration": 10, "images_per_second": 16.0},
        {"iteration": 30, "images_per_second": 80.0},
    )
    one.finetune.product.parent.mkdir(parents=True)
    record_file.write(one.finetune.product, make_record(init="simclr_file", seconds=Seconds(40.0, 5.0)))
    knn = {"results": {"top1": {"accuracy": 61.5}}, "effective_rank": {"value": 30.0}}
    one.probes[0].product.parent.mkdir(parents=True)
    one.probes[0].product.write_text(json.dumps(knn))
    return steps, one


def test_a_record_has_the_name_that_the_study_gives_its_start(done):
    assert results.record(done[1]).init == "simclr"


def test_what_a_cell_cost_and_what_its_probe_measured(done):
    steps, one = done
    studied = results.studied_of(steps, one, results.record(one))
    assert studied.folder == one.finetune.product.parent
    assert studied.pretrain_seconds == pytest.approx(10 * 8 / 16 + 20 * 8 / 80)  # 5 s and 2 s
    assert studied.finetune_seconds == 40.0
    assert studied.probes == {"kNN accuracy, %": 61.5, "effective rank": 30.0}


def test_work_lost_to_a_kill_is_counted_once_and_half_a_line_not_at_all(done):
    _, one = done
    lines(
        one.pretrain.product.parent / "metrics.jsonl",
        {"iteration": 10, "images_per_second": 16.0},
        {"iteration": 20, "images_per_second": 1.0},
        {"iteration": 20, "images_per_second": 80.0},  # made again after the kill
        tail='{"iteration": 30, "images_per',
    )
    assert results.pretraining_seconds(one.pretrain, {"data": {"batch": 8}}) == pytest.approx(5 + 1)


def test_a_resumed_fine_tuning_is_timed_by_its_iterations(done):
    steps, one = done
    lines(
        one.finetune.product.parent / "metrics.json",
        {"iteration": 19, "time": 0.5},
        {"iteration": 39, "time": 0.25},
        {"iteration": 39, "bbox/AP": 1.0},
    )
    record_file.write(one.finetune.product, make_record(seconds=Seconds(None, 5.0)))
    assert results.studied_of(steps, one, results.record(one)).finetune_seconds == pytest.approx(20 * 0.5 + 20 * 0.25)


def test_random_weights_cost_no_pretraining_and_unknown_costs_stay_unknown(done, tmp_path):
    steps, one = done
    random = chain(Cell("random", 0, "100%"), steps, {})
    random.finetune.product.parent.mkdir(parents=True)
    record_file.write(random.finetune.product, make_record())
    assert results.studied_of(steps, random, results.record(random)).pretrain_seconds == 0.0
    lines(one.pretrain.product.parent / "metrics.jsonl", {"iteration": 10, "images_per_second": None})
    assert results.pretraining_seconds(one.pretrain, {"data": {"batch": 8}}) is None
    assert results.finetuning_seconds(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("device", "units"), [("CPU, 2 threads", 2), ("4 x NVIDIA A100", 4), ("1 x 3090", 1), ("a machine", 1)]
)
def test_an_hour_is_of_as_many_cores_or_gpus_as_the_device_has(device, units):
    assert results.units(device) == units


@pytest.mark.parametrize("text", ["", "{}", '{"results": {"top1": {"accuracy": null}}}'])
def test_a_probe_that_is_none_is_one_line(done, text):
    step = done[1].probes[0]
    step.product.write_text(text)
    with pytest.raises(InputError, match=r"\.json: expected a probe's numbers, found .*; remove it"):
        results.probed(step)


def test_the_report_is_written_from_what_is_there(done):
    steps, one = done
    folder = results.report(steps, [one])
    assert (folder / "report.html").is_file()
    (record,) = json.loads((folder / "results.json").read_text())
    assert record["init"] == "simclr"
