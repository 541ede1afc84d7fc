"""One process of a fine-tuning run: train, evaluate, write the record."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import torch
import yaml  # type: ignore[import-untyped]
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info

from transfer.data import labels
from transfer.detectors import config as detector_config
from transfer.errors import InputError, Interrupted
from transfer.evaluation.measure import table
from transfer.files import atomic
from transfer.finetuning import batches, checkpointer, cost, failures, logs, lr_range_test, outcome, tracking, weights
from transfer.finetuning.evaluators import Evaluation
from transfer.finetuning.interrupt import Interrupt
from transfer.finetuning.plan import RUN_FILES, Plan
from transfer.finetuning.trainer import Trainer, evaluate_model, initial_model
from transfer.records import machine, record_file
from transfer.records.record import Config, Cost, Data, Record, Schedule, Seconds, Weights

log = logging.getLogger(__name__)


def start(plan: Plan) -> None:
    """Do ``work`` in this process; one of several says itself why it ends, for its exception would be printed whole."""
    try:
        with Interrupt() as interrupt:
            work(plan, interrupt)
    except (InputError, OSError) as error:
        if comm.get_world_size() == 1:
            raise
        print(f"fine-tuning, process {comm.get_rank()}: {error}", file=sys.stderr)
        sys.exit(1)
    except Interrupted as error:
        if comm.get_world_size() == 1:
            raise
        sys.exit(128 + error.signum)


def work(plan: Plan, interrupt: Interrupt) -> None:
    """Train and evaluate, or only evaluate, in this process; the first process writes the record and prints the AP."""
    cfg = plan.cfg.clone()
    cfg.defrost()
    if plan.eval_only:
        cfg.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR) / outcome.EVALUATION)
    cfg.freeze()
    plan.data.register()  # another process knows nothing of the first one's catalog
    folder = Path(cfg.OUTPUT_DIR)
    with _left_free(folder), logs.quiet(), logs.logging_to(folder, comm.get_rank()):
        if comm.get_local_rank() == 0:
            plan.data.write()
        comm.synchronize()
        cfg = _with_tested_lr(cfg, plan)
        if comm.is_main_process():
            atomic.write_text(folder / "config.yaml", cfg.dump())
            logging.getLogger("detectron2.checkpoint").info("environment:\n%s", collect_env_info())
            _announce(plan, folder)
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK and not plan.eval_only
        finished = _evaluate(cfg, plan) if plan.eval_only else _train(cfg, plan, interrupt)
        if comm.is_main_process():
            record = _record(plan, cfg, *finished)
            record_file.write(folder / record_file.FILE_NAME, record)
            print(f"\n{record.name} ({record.init}), {plan.val.n_images} val images\n{table(record.metrics)}")
            print(f"record: {folder / record_file.FILE_NAME}", flush=True)


@contextmanager
def _left_free(folder: Path) -> Iterator[None]:
    """A start that fails before its first checkpoint leaves nothing that the same command would take for a run."""
    before = {name for name in RUN_FILES if (folder / name).exists()}
    try:
        yield
    except BaseException:
        if comm.is_main_process() and checkpointer.last(folder) is None:
            for name in set(RUN_FILES) - before:
                (folder / name).unlink(missing_ok=True)
        raise


def _with_tested_lr(cfg: detector_config.CfgNode, plan: Plan) -> detector_config.CfgNode:
    """Return the config with the learning rate that a range test found, when --lr auto asks for one."""
    if not plan.lr_auto:
        return cfg
    model = initial_model(cfg, channels_last=plan.channels_last)
    weights.load(model, cfg, plan.start)
    with closing(batches.train_loader(cfg, batches.train_set(cfg, plan.labels))) as loader:
        choice = lr_range_test.run(cfg, model, loader)
    log.info("--lr auto: %g (the config's %g): %s", choice.lr, cfg.SOLVER.BASE_LR, choice.why)
    if comm.is_main_process():
        lr_range_test.save(Path(cfg.OUTPUT_DIR), choice)
    cfg = cfg.clone()
    cfg.defrost()
    cfg.SOLVER.BASE_LR = choice.lr
    cfg.freeze()
    return cfg


def _announce(plan: Plan, folder: Path) -> None:
    if plan.start is None:
        log.info("weights: random initialisation (seed %d)", plan.cfg.SEED)
    elif plan.count is not None:
        part = "detector" if plan.start.whole else "backbone"
        log.info("weights: %s, %d/%d tensors of the %s", plan.start.file, plan.count.loaded, plan.count.expected, part)
        if plan.count.drawn_anew:
            log.info("drawn anew, for other classes or anchors: %s", ", ".join(plan.count.drawn_anew))
        for name in plan.count.unused:
            log.warning("not used, as --allow-partial permits: %s", name)
        for name in plan.count.missing:
            log.warning("random, as --allow-partial permits: %s", name)
    for role, split in (("train", plan.train), ("val", plan.val)):
        if split is not None:
            counts = (split.n_images, split.n_instances, len(split.classes))
            log.info("%s: %s, %d images, %d objects, %d classes", role, split.annotations, *counts)
    log.info("all settings: %s", folder / "config.yaml")


Finished = tuple[Seconds, Evaluation, Cost]


def _train(cfg: detector_config.CfgNode, plan: Plan, interrupt: Interrupt) -> Finished:
    folder = Path(cfg.OUTPUT_DIR)
    if comm.is_main_process():
        checkpointer.tidy(folder)
        if plan.labels is not None:
            labels.save(folder, plan.labels, batches.all_records(cfg))
    trainer: Trainer | None = None
    names = plan.track if comm.is_main_process() else ()
    with (
        tracking.tracked(names, folder, yaml.safe_load(cfg.dump()), name=plan.name, resume=plan.resume) as trackers,
        failures.explained(cfg, lambda: trainer.loader.files if trainer else []),
    ):
        trainer = Trainer(
            cfg,
            plan.labels,
            channels_last=plan.channels_last,
            interrupt=interrupt,
            start=plan.start,
            trackers=trackers,
        )
        trainer.resume_or_load(resume=plan.resume)
        resumed = trainer.start_iter > 0
        trainer.train()
    # Of a resumed run only the last part was timed.
    seconds = Seconds(None if resumed else trainer.train_seconds, trainer.evaluate_seconds)
    return seconds, trainer.evaluation, cost.detector_cost(cfg, trainer.model)


def _evaluate(cfg: detector_config.CfgNode, plan: Plan) -> Finished:
    model = initial_model(cfg, channels_last=plan.channels_last)
    weights.load(model, cfg, plan.start)
    evaluation, seconds = evaluate_model(cfg, model)
    return Seconds(None, seconds), evaluation, cost.detector_cost(cfg, model)


def _record(
    plan: Plan,
    cfg: detector_config.CfgNode,
    seconds: Seconds,
    evaluation: Evaluation,
    expense: Cost,
) -> Record:
    measured = outcome.read(cfg, plan.val, evaluation)
    return Record(
        name=plan.name,
        init=_init(plan),
        seed=cfg.SEED,
        weights=_weights(plan),
        config=Config(plan.config_file, _config_sha256(cfg)),
        data=Data(plan.train, plan.val, plan.data.leaks),
        schedule=Schedule(
            cfg.SOLVER.MAX_ITER,
            cfg.SOLVER.IMS_PER_BATCH,
            cfg.SOLVER.BASE_LR,
            list(cfg.SOLVER.STEPS),
            cfg.SOLVER.WARMUP_ITERS,
            detector_config.backbone_lr_factor(cfg),
        ),
        engine=measured.engine,
        protocol=measured.protocol,
        versions=machine.versions("torch", "torchvision", "detectron2"),
        device=_device(cfg.MODEL.DEVICE),
        seconds=seconds,
        cost=expense,
        label_fraction=_label_fraction(plan),
        metrics=measured.metrics,
        per_class=measured.per_class,
        tide=measured.tide,
        counts=measured.counts,
        detections=measured.detections,
        detections_sha256=measured.detections_sha256,
    )


def _label_fraction(plan: Plan) -> float:
    if plan.labels is None or plan.train is None:
        return 1.0
    return plan.labels.count(plan.train.n_images) / plan.train.n_images


def _init(plan: Plan) -> str:
    if plan.start is None:
        return "random"
    return str(plan.start.metadata.get("method") or plan.start.path.stem)


def _weights(plan: Plan) -> Weights | None:
    if plan.start is None or plan.count is None:
        return None
    start, method = plan.start, plan.start.metadata.get("method")
    return Weights(
        file=start.file,
        sha256=start.sha256,
        loaded=plan.count.loaded,
        expected=plan.count.expected,
        method=str(method) if method else None,
        metadata=start.metadata,
        drawn_anew=len(plan.count.drawn_anew),
    )


def _config_sha256(cfg: detector_config.CfgNode) -> str:
    """Hash what runs of one protocol share: every setting but weights, seed, folder and machine."""
    cfg = cfg.clone()
    cfg.defrost()
    detector_config.changed(cfg, {"MODEL.WEIGHTS": "", "SEED": -1, **dict.fromkeys(("OUTPUT_DIR", "MODEL.DEVICE"), "")})
    detector_config.changed(cfg, dict.fromkeys(("DATALOADER.NUM_WORKERS", "VIS_PERIOD"), 0))
    return hashlib.sha256(cfg.dump().encode()).hexdigest()


def _device(device: str) -> str:
    if device.startswith("cuda"):
        return f"{comm.get_world_size()} x {torch.cuda.get_device_name()}"
    return f"CPU, {torch.get_num_threads()} threads"
