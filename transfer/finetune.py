"""One process of a fine-tuning run: train, evaluate, write the record."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import torch
from detectron2 import __version__ as detectron2_version
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info

from transfer import atomic, cost, d2, environment, logs, metrics, outcome, results, splits
from transfer.errors import InputError
from transfer.plan import Plan
from transfer.trainer import Trainer, measure

log = logging.getLogger(__name__)

# A re-evaluation lies beside the run's own record, which stays as it is.
EVALUATION = "evaluation"


def work(plan: Plan) -> None:
    """Train and evaluate, or only evaluate, in this process; the first process writes the record and prints the AP."""
    cfg = plan.cfg.clone()
    cfg.defrost()
    if plan.eval_only:
        cfg.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR) / EVALUATION)
    cfg.freeze()
    for role in plan.custom:  # another process knows nothing of the first one's catalog
        split = plan.train if role == "train" else plan.val
        if split is not None:
            splits.register(split, role)
    folder = Path(cfg.OUTPUT_DIR)
    with logs.quiet(), logs.logging_to(folder, comm.get_rank()):
        if comm.is_main_process():
            atomic.write_text(folder / "config.yaml", cfg.dump())
            logging.getLogger("detectron2.checkpoint").info("environment:\n%s", collect_env_info())
            _announce(plan, folder)
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK and not plan.eval_only
        seconds, found, spent = _evaluate(cfg) if plan.eval_only else _train(cfg, plan)
        if comm.is_main_process():
            record = _record(plan, cfg, seconds, found, spent)
            results.write(folder / results.FILE_NAME, record)
            print(f"\n{record.name} ({record.init}), {plan.val.n_images} val images\n{metrics.table(record.metrics)}")
            print(f"record: {folder / results.FILE_NAME}", flush=True)


def _announce(plan: Plan, folder: Path) -> None:
    if plan.start is None:
        log.info("weights: random initialisation (seed %d)", plan.cfg.SEED)
    elif plan.count is not None:
        part = "detector" if plan.start.whole else "backbone"
        log.info("weights: %s, %d/%d tensors of the %s", plan.start.file, plan.count.loaded, plan.count.expected, part)
        for name in plan.count.missing:
            log.warning("random, as --allow-partial permits: %s", name)
    for role, split in (("train", plan.train), ("val", plan.val)):
        if split is not None:
            counts = (split.n_images, split.n_instances, len(split.classes))
            log.info("%s: %s, %d images, %d objects, %d classes", role, split.annotations, *counts)
    log.info("all settings: %s", folder / "config.yaml")


Finished = tuple[results.Seconds, dict[str, dict[str, float]], results.Cost]


def _train(cfg: d2.CfgNode, plan: Plan) -> Finished:
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=plan.resume)
    resumed = trainer.start_iter > 0
    try:
        trainer.train()
    except FloatingPointError as error:
        what = " ".join(str(error).split())[:160]
        raise InputError(f"training diverged: expected finite losses, found: {what}; lower SOLVER.BASE_LR") from error
    # Of a resumed run only the last part was timed.
    seconds = results.Seconds(None if resumed else trainer.train_seconds, trainer.evaluate_seconds)
    return seconds, trainer.results, cost.measure(cfg, trainer.model)


def _evaluate(cfg: d2.CfgNode) -> Finished:
    model = Trainer.build_model(cfg)
    DetectionCheckpointer(model).load(cfg.MODEL.WEIGHTS, checkpointables=[])
    found, seconds = measure(cfg, model)
    return results.Seconds(None, seconds), found, cost.measure(cfg, model)


def _record(
    plan: Plan,
    cfg: d2.CfgNode,
    seconds: results.Seconds,
    found: dict[str, dict[str, float]],
    spent: results.Cost,
) -> results.Record:
    measured = outcome.read(cfg, plan.val, found)
    return results.Record(
        name=plan.name,
        init=_init(plan),
        seed=cfg.SEED,
        weights=_weights(plan),
        config=results.Config(plan.config_file, _config_sha256(cfg)),
        data=results.Data(plan.train, plan.val),
        schedule=results.Schedule(
            cfg.SOLVER.MAX_ITER,
            cfg.SOLVER.IMS_PER_BATCH,
            cfg.SOLVER.BASE_LR,
            list(cfg.SOLVER.STEPS),
            cfg.SOLVER.WARMUP_ITERS,
        ),
        engine=measured.engine,
        protocol=measured.protocol,
        versions=_versions(),
        device=_device(cfg.MODEL.DEVICE),
        seconds=seconds,
        cost=spent,
        metrics=measured.metrics,
        per_class=measured.per_class,
        tide=measured.tide,
        counts=measured.counts,
        detections=measured.detections,
        detections_sha256=measured.detections_sha256,
    )


def _init(plan: Plan) -> str:
    if plan.start is None:
        return "random"
    return str(plan.start.metadata.get("method") or plan.start.path.stem)


def _weights(plan: Plan) -> results.Weights | None:
    if plan.start is None or plan.count is None:
        return None
    start, method = plan.start, plan.start.metadata.get("method")
    return results.Weights(
        file=start.file,
        sha256=start.sha256,
        loaded=plan.count.loaded,
        expected=plan.count.expected,
        method=str(method) if method else None,
        metadata=start.metadata,
    )


def _config_sha256(cfg: d2.CfgNode) -> str:
    """Hash what runs of one protocol share: every setting but weights, seed, folder and machine."""
    cfg = cfg.clone()
    cfg.defrost()
    d2.changed(cfg, {"MODEL.WEIGHTS": "", "SEED": -1, **dict.fromkeys(("OUTPUT_DIR", "MODEL.DEVICE"), "")})
    d2.changed(cfg, dict.fromkeys(("DATALOADER.NUM_WORKERS", "VIS_PERIOD"), 0))
    return hashlib.sha256(cfg.dump().encode()).hexdigest()


def _versions() -> dict[str, str]:
    return {**environment.versions("torch", "torchvision"), "detectron2": detectron2_version}


def _device(device: str) -> str:
    if device.startswith("cuda"):
        return f"{comm.get_world_size()} x {torch.cuda.get_device_name()}"
    return f"CPU, {torch.get_num_threads()} threads"
