"""Every logged number to Weights & Biases or MLflow too, for ``--track wandb`` and ``--track mlflow``.

Neither package is a dependency. Where the numbers go is said as each package has it: ``WANDB_MODE=offline``,
``WANDB_PROJECT``, ``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME`` and so on. A resumed run goes on in the same run
there, whose id ``tracking.json`` holds. MMEngine's own backends drop the iteration (wandb)
and take the server's address from the code alone (MLflow).
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from mmengine.visualization.vis_backend import BaseVisBackend

from pretrain.atomic import write_text
from pretrain.errors import InputError

log = logging.getLogger("pretrain")

FILE = "tracking.json"
_OTHER_SIGNS = re.compile(r"[^\w\-. :/]")  # MLflow refuses them in the names of metrics and parameters
_LONGEST_VALUE = 500  # characters of a parameter, for older servers of MLflow


class Tracker(Protocol):
    """A run in another program's records."""

    id: str

    def log(self, numbers: Mapping[str, float], iteration: int) -> None:
        """Take the numbers of an iteration."""

    def close(self, *, failed: bool) -> None:
        """End the run there."""


class Wandb:
    """A run of Weights & Biases, against the iteration as its axis: wandb's own steps may only grow, and a resumed run
    goes back to its last checkpoint.
    """

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any], former: str | None) -> None:
        import wandb

        self._run = wandb.init(dir=folder, name=name, config=dict(config), id=former, resume="allow")
        self._run.define_metric("iteration")
        self._run.define_metric("*", step_metric="iteration")
        self.id = str(self._run.id)

    def log(self, numbers: Mapping[str, float], iteration: int) -> None:
        """Hand the numbers to wandb's own process, which sends them in its own time."""
        self._run.log({**numbers, "iteration": iteration})

    def close(self, *, failed: bool) -> None:
        """Wait until all is sent or, offline, written."""
        self._run.finish(exit_code=int(failed))


class Mlflow:
    """A run of MLflow. A server that no longer answers ends the tracking, with one line, and not the training."""

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any], former: str | None) -> None:
        import mlflow

        self._mlflow, self._lost = mlflow, False
        self.id = str(
            mlflow.start_run(run_id=former, run_name=name, nested=mlflow.active_run() is not None).info.run_id
        )
        if former is None:
            mlflow.log_params({_OTHER_SIGNS.sub("_", key): str(value)[:_LONGEST_VALUE] for key, value in _flat(config)})

    def log(self, numbers: Mapping[str, float], iteration: int) -> None:
        """Send the numbers."""
        self._try(
            lambda: self._mlflow.log_metrics({_OTHER_SIGNS.sub("_", k): v for k, v in numbers.items()}, iteration)
        )

    def close(self, *, failed: bool) -> None:
        """Say how it ended."""
        self._try(lambda: self._mlflow.end_run("FAILED" if failed else "FINISHED"))

    def _try(self, send: Callable[[], Any]) -> None:
        if self._lost:
            return
        try:
            send()
        except self._mlflow.MlflowException as error:
            self._lost = True
            log.warning("MLflow takes no more numbers (%s); the run goes on without it", str(error).partition("\n")[0])


_KINDS: dict[str, type[Wandb] | type[Mlflow]] = {"wandb": Wandb, "mlflow": Mlflow}
TRACKERS = tuple(_KINDS)


def check(names: Sequence[str]) -> None:
    """Refuse what cannot track, before anything is written.

    Raises:
        InputError: an unknown name, or its package is not installed.
    """
    for name in names:
        if name not in _KINDS:
            raise InputError(f"--track: expected {' or '.join(TRACKERS)}, found {name}; correct it")
        if importlib.util.find_spec(name) is None:
            raise InputError(f"--track {name}: expected the package {name}, found none; pip install {name}")


@contextmanager
def tracked(
    names: Sequence[str], folder: Path, config: Mapping[str, Any], *, name: str, resume: bool
) -> Iterator[list[Tracker]]:
    """Open a run in each program for the time of the block; they learn whether it ended well.

    Args:
        names: of `TRACKERS`.
        folder: of the run; ``tracking.json`` goes there.
        config: the run's settings, nested.
        name: what the run is called there.
        resume: go on in the runs that ``tracking.json`` names.

    Raises:
        InputError: a program takes no run: no login, no such server.
    """
    file = folder / FILE
    former: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if resume and file.is_file() else {}
    opened: list[Tracker] = []
    with ExitStack() as stack:
        for kind in names:
            tracker = _open(kind, folder, name, config, former.get(kind))
            stack.push(lambda exception, *_, tracker=tracker: tracker.close(failed=exception is not None))
            opened.append(tracker)
            former[kind] = tracker.id
            write_text(file, json.dumps(former) + "\n")
        yield opened


def _open(kind: str, folder: Path, name: str, config: Mapping[str, Any], former: str | None) -> Tracker:
    try:
        return _KINDS[kind](folder, name, config, former)
    except Exception as error:  # each package has its own kinds, and none of them is this run's
        advice = "log in with `wandb login` or set WANDB_MODE=offline" if kind == "wandb" else "see MLFLOW_TRACKING_URI"
        line = " ".join(str(error).split())[:200]
        raise InputError(f"--track {kind}: expected {kind} to take a run, found {line}; {advice}") from error


def _flat(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


class Trackers(BaseVisBackend):  # type: ignore[misc,unused-ignore]
    """What MMEngine's visualizer hands its numbers to."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        super().__init__(save_dir="")
        self._trackers = trackers

    def _init_env(self) -> None:
        """The runs are open already."""

    @property
    def experiment(self) -> Sequence[Tracker]:
        """The open runs."""
        return self._trackers

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, *_: Any, **__: Any) -> None:
        """Pass on the numbers of an iteration."""
        for tracker in self._trackers:
            tracker.log(scalar_dict, step)
