"""What a detector costs: parameters, FLOPs by fvcore, peak memory."""

from __future__ import annotations

import itertools
import logging
import statistics
import warnings
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.utils import comm
from detectron2.utils.analysis import FlopCountAnalysis
from fvcore.nn import parameter_count
from torch import nn

from transfer.finetuning.mapper import Mapper
from transfer.records import machine
from transfer.records.record import Cost

log = logging.getLogger(__name__)

IMAGES = 2  # of the val set; what varies between images is the number of proposals


def detector_cost(cfg: CfgNode, model: nn.Module) -> Cost:
    """Return what ``model`` costs, on the first images of ``DATASETS.TEST`` at their test-time size.

    FLOPs are null, and the log says why, when the model cannot be traced; a finished run must not end there.
    """
    model = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
    cuda = cfg.MODEL.DEVICE.startswith("cuda")
    memory = torch.cuda.max_memory_allocated() if cuda else machine.peak_memory()
    flops = _flops(cfg, model) if comm.is_main_process() else None
    return Cost(
        parameters=parameter_count(model)[""],
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        flops=None if flops is None else round(statistics.fmean(flops)),
        flops_images=None if flops is None else len(flops),
        peak_memory=memory,
    )


def _flops(cfg: CfgNode, model: nn.Module) -> list[int] | None:
    mapper = Mapper(cfg, is_train=False)
    training = model.training
    model.eval()
    try:
        entries = DatasetCatalog.get(cfg.DATASETS.TEST[0])
        return [_count(model, mapper(entry)) for entry in itertools.islice(entries, IMAGES)]
    except (RuntimeError, TypeError, ValueError, KeyError) as error:  # what torch.jit's tracer raises
        log.warning("FLOPs not counted: %s", " ".join(str(error).split())[:200])
        return None
    finally:
        model.train(training)


def _count(model: nn.Module, inputs: dict[str, Any]) -> int:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, about shapes that are fixed for one image
        counter = FlopCountAnalysis(model, [{"image": inputs["image"]}])
        counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return int(counter.total())
