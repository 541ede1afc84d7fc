"""Numbers of a fine-tuning in Weights & Biases and MLflow themselves, offline; without the packages, one line."""

import json
import sys

import pytest

from tests.cases.finetuning import MORE, TINY, refused, run
from tests.cases.tracking import mlflow_history, wandb_history
from transfer.errors import InputError
from transfer.finetuning import tracking
from transfer.finetuning.request import Request
from transfer.records import record_file

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
# MLflow asks SQLAlchemy for what it will not have for ever.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


def words(data, folder, *more):
    return ["--init", "random", "--seed", "0", *data, "OUTPUT_DIR", str(folder), *TINY, *more]


@pytest.mark.parametrize("name", tracking.TRACKERS)
def test_without_the_package_nothing_is_written_and_it_says_what_to_install(name, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, name, None)
    line = refused(capsys, *words(data, tmp_path / "run"), "--track", name)
    assert line.endswith(f"--track {name}: expected the package {name}, found none; pip install {name}")
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_tracked_is_refused():
    with pytest.raises(InputError, match="--track: expected wandb or mlflow, found tensorboard"):
        tracking.check(["tensorboard"])
    with pytest.raises(InputError, match="--track: expected a training, found --eval-only"):
        Request("config", track=("wandb",), eval_only=True)


def test_wandb_gets_losses_and_ap_each_at_its_iteration(data, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = tmp_path / "run"
    run(*words(data, folder, *MORE), "--track", "wandb")
    rows = wandb_history(folder)
    ap = {row["iteration"]: row["bbox/AP"] for row in rows if "bbox/AP" in row}
    assert list(ap) == [3, 8]  # after 4 iterations, counted from 0 as Detectron2 does, and at the end
    record = record_file.read(folder).metrics["bbox"]["AP"]
    assert ap[8] == pytest.approx(record, nan_ok=True) or record is None
    assert any("total_loss" in row for row in rows)


def test_mlflow_gets_the_same_as_tensorboard(data, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")  # the small build of MLflow has no store of its own
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    folder = tmp_path / "run"
    run(*words(data, folder), "--track", "mlflow")
    run_id = json.loads((folder / "tracking.json").read_text())["mlflow"]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    for name in ("total_loss", "lr"):
        assert mlflow_history(run_id, name) == [(e.step, pytest.approx(e.value)) for e in events.Scalars(name)]
    params = mlflow.MlflowClient().get_run(run_id).data.params
    assert (params["SOLVER.MAX_ITER"], params["SEED"]) == ("2", "0")
