"""A pretraining checkpoint in; a measured detector and a report out.

The functions named here are the library, and what each command of ``python -m transfer`` calls. They are imported when
they are first used: ``import transfer`` loads neither torch nor Detectron2.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transfer.checkpoints.checkpoint import read as read_checkpoint
    from transfer.conversion.convert import convert
    from transfer.conversion.proof import verify
    from transfer.doctor.examine import diagnose
    from transfer.errors import InputError
    from transfer.evaluation.evaluate import evaluate
    from transfer.finetuning.export import export
    from transfer.finetuning.finetune import finetune
    from transfer.finetuning.predict import predict
    from transfer.importing.importer import import_data
    from transfer.records.record_file import read_run as read_record
    from transfer.reporting.report import compare
    from transfer.reporting.report import write_report as report
    from transfer.studies.study import run as study

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "compare",
    "convert",
    "diagnose",
    "evaluate",
    "export",
    "finetune",
    "import_data",
    "predict",
    "read_checkpoint",
    "read_record",
    "report",
    "study",
    "verify",
]

# name -> (module, its name there)
_PLACES = {
    "InputError": ("transfer.errors", "InputError"),
    "compare": ("transfer.reporting.report", "compare"),
    "convert": ("transfer.conversion.convert", "convert"),
    "diagnose": ("transfer.doctor.examine", "diagnose"),
    "evaluate": ("transfer.evaluation.evaluate", "evaluate"),
    "export": ("transfer.finetuning.export", "export"),
    "finetune": ("transfer.finetuning.finetune", "finetune"),
    "import_data": ("transfer.importing.importer", "import_data"),
    "predict": ("transfer.finetuning.predict", "predict"),
    "read_checkpoint": ("transfer.checkpoints.checkpoint", "read"),
    "read_record": ("transfer.records.record_file", "read_run"),
    "report": ("transfer.reporting.report", "write_report"),
    "study": ("transfer.studies.study", "run"),
    "verify": ("transfer.conversion.proof", "verify"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, own = _PLACES[name]
    value = globals()[name] = getattr(import_module(module), own)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if getattr(sys, "argv", [])[:1] == ["-m"]:  # Python's sign that it is looking for the module that `python -m` names
    from transfer.commands.verbs import advice

    if _advice := advice(sys.orig_argv):
        sys.exit(_advice)
