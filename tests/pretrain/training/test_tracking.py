"""Numbers of a pretraining in Weights & Biases and MLflow themselves, offline; without the packages, one line."""

import json
import sys

import pytest

from pretrain.__main__ import main
from pretrain.errors import InputError
from pretrain.training import tracking
from tests.cases.runs import arguments
from tests.cases.tracking import mlflow_history, wandb_history

# MLflow asks SQLAlchemy for what it will not have for ever; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
TINY = ["schedule.epochs=1", "meta.every=1"]


def lines(work):
    return [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", tracking.TRACKERS)
def test_without_the_package_nothing_is_written_and_it_says_what_to_install(
    name, inputs, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, name, None)
    assert main(arguments(inputs, tmp_path / "run", "--track", name)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"pretrain: --track {name}: expected the package {name}, found none; pip install {name}"
    assert not (tmp_path / "run").exists()


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="--track: expected wandb or mlflow, found tensorboard"):
        tracking.check(["tensorboard"])


def test_nothing_is_tracked_where_nothing_is_asked_for(tmp_path):
    with tracking.tracked((), tmp_path, {}, name="run", resume=False) as trackers:
        assert trackers == []
    assert list(tmp_path.iterdir()) == []


def test_wandb_gets_every_logged_number_and_a_resumed_run_goes_on_there(inputs, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    work = tmp_path / "run"
    assert main(arguments(inputs, work, "--track", "wandb", options=TINY)) == 0
    run_id = json.loads((work / "tracking.json").read_text())["wandb"]
    rows = {row["iteration"]: row for row in wandb_history(work)}
    assert list(rows) == [line["iteration"] for line in lines(work)] == [1, 2, 3]
    for line in lines(work):
        assert {name: rows[line["iteration"]][name] for name in line} == pytest.approx(line, nan_ok=True)
    longer = ["schedule.epochs=2", "meta.every=1"]
    assert main(arguments(inputs, work, "--resume", "--allow-change", "--track", "wandb", options=longer)) == 0
    assert json.loads((work / "tracking.json").read_text())["wandb"] == run_id
    assert len(list(work.glob(f"wandb/offline-run-*-{run_id}"))) == 2
    assert [row["iteration"] for row in wandb_history(work)] == [1, 2, 3, 4, 5, 6]


def test_mlflow_gets_numbers_settings_and_how_it_ended(inputs, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")  # the small build of MLflow has no store of its own
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    work = tmp_path / "run"
    assert main(arguments(inputs, work, "--track", "mlflow", options=TINY)) == 0
    run_id = json.loads((work / "tracking.json").read_text())["mlflow"]
    run = mlflow.MlflowClient().get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["optimizer.lr"] == "0.01"
    assert mlflow_history(run_id, "loss") == [(line["iteration"], pytest.approx(line["loss"])) for line in lines(work)]
    assert mlflow.active_run() is None


def test_a_run_that_fails_is_a_failed_run_there(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(RuntimeError), tracking.tracked(["mlflow"], tmp_path, {}, name="a", resume=False) as (tracker,):
        raise RuntimeError
    assert mlflow.MlflowClient().get_run(tracker.id).info.status == "FAILED"
    with tracking.tracked(["mlflow"], tmp_path, {}, name="a", resume=True) as (again,):
        assert again.id == tracker.id
    assert mlflow.MlflowClient().get_run(tracker.id).info.status == "FINISHED"


def test_a_store_that_is_lost_ends_the_tracking_and_not_the_run(tmp_path, caplog):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with tracking.tracked(["mlflow"], tmp_path, {}, name="a", resume=False) as (tracker,):
        tracker.log({"loss": 2.0}, 1)
        mlflow.MlflowClient().delete_run(tracker.id)
        tracker.log({"loss": 1.0}, 2)
        tracker.log({"loss": 0.5}, 3)
    assert [record.message.partition(" (")[0] for record in caplog.records] == ["MLflow takes no more numbers"]
    mlflow.end_run()


def test_a_program_that_takes_no_run_is_one_line(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri("nonsense://here")
    with (
        pytest.raises(InputError, match=r"--track mlflow: expected mlflow to take a run, found .*MLFLOW_TRACKING_URI"),
        tracking.tracked(["mlflow"], tmp_path, {}, name="a", resume=False),
    ):
        pass
    assert not (tmp_path / "tracking.json").exists()
