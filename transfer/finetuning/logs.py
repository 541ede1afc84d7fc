"""Where a fine-tuning run's log goes, and which messages of dependencies are kept from the terminal."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transfer.log_levels import errors_only

LOGGERS = ("transfer", "detectron2", "fvcore")

# Said at every run, in many lines, with nothing a user can do about it; the log file has them.
FILE_ONLY = (
    "detectron2.checkpoint",  # tables of matched names: train_net says the count in one line
    "fvcore.common.checkpoint",
    "detectron2.data.common",
    "detectron2.data.dataset_mapper",
    "detectron2.evaluation.testing",  # the metrics once more, for a spreadsheet
)

# (category, start of the message, why it is silenced)
SILENCED: tuple[tuple[type[Warning], str, str], ...] = (
    (UserWarning, "torch.meshgrid", "Detectron2's anchors call meshgrid in its old way; the result is the same"),
    (UserWarning, "'pin_memory' argument is set as true", "Detectron2 asks for pinned memory on the CPU as well"),
    (UserWarning, "The given NumPy array is not writable", "Detectron2's mapper, on masks from run-length codes"),
    (DeprecationWarning, "__array__ implementation doesn't accept a copy", "pycocotools' masks, under numpy 2"),
    (DeprecationWarning, "`torch.jit.script` is deprecated", "fvcore compiles its focal loss when it is imported"),
    (DeprecationWarning, "The 'warn' method is deprecated", "Detectron2's loggers, when a model finds nothing"),
    (DeprecationWarning, "The 'resolution' argument is deprecated", "Detectron2's Cityscapes reader, under shapely 2"),
    (UserWarning, "pkg_resources is deprecated", "Detectron2's model zoo imports it; setuptools is pinned for that"),
    (DeprecationWarning, "Deprecated call to `pkg_resources", "the same import"),
)


# Loggers of torch that say one such line each.
SILENCED_LOGGERS = (
    "torch.fx._symbolic_trace",  # "is_fx_tracing will return true": Detectron2 asks whenever it is imported
    "torch.utils.cpp_extension",  # "No CUDA runtime is found": Detectron2's description of the machine
)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what ``SILENCED`` and ``SILENCED_LOGGERS`` name, and nothing else."""
    with errors_only(*SILENCED_LOGGERS), warnings.catch_warnings():
        for category, message, _ in SILENCED:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield


def _for_terminal(record: logging.LogRecord) -> bool:
    if record.name == "detectron2.engine.train_loop" and record.exc_info:
        return False  # the traceback of what ends the run: the log file has it, the terminal gets the one line
    return record.levelno >= logging.ERROR or not record.name.startswith(FILE_ONLY)


@contextmanager
def logging_to(folder: Path | None, rank: int = 0) -> Iterator[None]:
    """Send the log to the terminal and to ``folder/log.txt`` (rank 0; others to ``log.txt.rankN`` only) for a while.

    Detectron2's ``setup_logger`` adds handlers for good: a second run in the same process would print every line twice.
    """
    handlers: list[logging.Handler] = []
    if rank == 0:
        handlers.append(logging.StreamHandler(sys.stdout))
        handlers[0].addFilter(_for_terminal)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(folder / ("log.txt" if rank == 0 else f"log.txt.rank{rank}")))
    before = [(logger, logger.level, logger.propagate) for logger in map(logging.getLogger, LOGGERS)]
    for handler in handlers:
        handler.setFormatter(logging.Formatter("[%(asctime)s] %(levelname)s %(message)s", "%H:%M:%S"))
    for logger, _, _ in before:
        logger.setLevel(logging.INFO)
        logger.propagate = False
        for handler in handlers:
            logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate
            for handler in handlers:
                logger.removeHandler(handler)
        for handler in handlers:
            handler.close()
