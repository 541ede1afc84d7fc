"""Fine-tune a detector, measure it, record the run: from a request to the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.engine import launch
from torch.multiprocessing.spawn import ProcessExitedException

from transfer.data import voc_instances  # noqa: F401  registers VOC's masks
from transfer.errors import InputError, Interrupted
from transfer.finetuning import checkpointer, logs, outcome, plan, run
from transfer.finetuning.request import Request
from transfer.records import record_file
from transfer.records.record_file import Record

Files = tuple[str | Path, str | Path]


def finetune(
    config: str | Path,
    init: str | Path | None = None,
    train: Files | None = None,
    val: Files | None = None,
    out: str | Path | None = None,
    *,
    train_voc: Sequence[str] = (),
    val_voc: str | None = None,
    settings: Mapping[str, Any] | None = None,
    labels: str | None = None,
    labels_seed: int = 0,
    allow_partial: bool = False,
    freeze_backbone: bool = False,
    lr: float | str | None = None,
    init_detector: str | Path | None = None,
    convention: str | None = None,
    lr_scale: str | None = None,
    backbone_lr_factor: float | None = None,
    schedule_scale: float | None = None,
    amp: bool = False,
    channels_last: bool = False,
    precise_bn: bool | None = None,
    name: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    eval_only: bool = False,
    track: Sequence[str] = (),
    num_gpus: int = 1,
) -> Record:
    """Fine-tune a Detectron2 detector from given weights, measure it on the val images, and record the run.

    Args:
        config: a Detectron2 config, a path or the name of a packaged one.
        init: "random", or a file that ``convert`` wrote for Detectron2; None for the config's MODEL.WEIGHTS. What the
            weights need of the config (colours, normalisation, strides) is set by them.
        train: (image folder, COCO-format file) to train on; None for ``train_voc`` or the config's DATASETS.
        val: the same, to measure on.
        out: folder for the run: new, or with ``resume`` the run's own; None for the config's OUTPUT_DIR.
        train_voc: VOC folders and image lists to train on, such as "VOC2007:trainval".
        val_voc: the same, one, to measure on.
        settings: config key -> value, applied last.
        labels: train on a fixed part of the images only: "10%", or a number; small parts lie inside large ones.
        labels_seed: decides which part.
        allow_partial: go on when the weights lack tensors of the backbone.
        freeze_backbone: do not train the backbone.
        lr: learning rate; "auto" finds one for these weights in 100 iterations; None for the config's.
        init_detector: a whole detector of Detectron2 or torchvision to start from instead of ``init``; heads of other
            classes are drawn anew, and counted.
        convention: how that detector was fed ("imagenet", "imagenet228", "msra"), where no config.yaml beside it says.
        lr_scale: "batch" scales learning rate, warm-up and length from the config's batch to SOLVER.IMS_PER_BATCH.
        backbone_lr_factor: learning rate of the backbone relative to that of the rest; None for 1.
        schedule_scale: multiplies length and steps.
        amp: mixed precision, on GPUs.
        channels_last: keep the model's tensors in that memory format.
        precise_bn: true BatchNorm statistics before each evaluation; None for the config's.
        name: what reports call the run; None for the folder's name.
        seed: 0 to 2^31 - 1; fixes heads, image order and augmentation. None draws one, which the record tells.
        resume: continue the run in ``out``, with the same arguments.
        eval_only: only measure; the record goes to ``out/evaluation``.
        track: ``"wandb"``, ``"mlflow"`` or both: every logged number goes there too.
        num_gpus: processes on this machine, each with a GPU of its own where there are GPUs. Several machines are the
            command line's.

    Returns:
        the record: ``metrics[task][name]`` in percent, None where not measured; its files lie in ``out``.

    Raises:
        InputError: what the user has to put right, found before the first iteration where it can be; or training
            diverged, an image cannot be read, the disk is full.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was saved, which ``resume`` goes on from.

    Examples:
        Three squares, two to train on and one to measure on, two iterations: the smallest run, which measures nothing:

        >>> import json, tempfile, transfer
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp())
        >>> truth = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "square"}]}
        >>> for i in range(1, 4):
        ...     image = Image.new("RGB", (64, 64), (60, 60, 60))
        ...     image.paste((255, 80 * i, 0), (8 * i, 10, 8 * i + 24, 34))
        ...     image.save(folder / f"{i}.png")
        ...     truth["images"].append({"id": i, "file_name": f"{i}.png", "width": 64, "height": 64})
        ...     box = {"bbox": [8 * i, 10, 24, 24], "area": 576, "iscrowd": 0}
        ...     truth["annotations"].append({"id": i, "image_id": i, "category_id": 1, **box})
        >>> def part(name, chosen):
        ...     lists = {key: truth[key][chosen] for key in ("images", "annotations")}
        ...     _ = (folder / f"{name}.json").write_text(json.dumps({**truth, **lists}))
        ...     return folder, folder / f"{name}.json"
        >>> train, val = part("train", slice(2)), part("val", slice(2, 3))
        >>> short = {"SOLVER.MAX_ITER": 2, "SOLVER.STEPS": (1,), "SOLVER.IMS_PER_BATCH": 2, "SOLVER.WARMUP_ITERS": 0}
        >>> small = {"INPUT.MIN_SIZE_TRAIN": (64,), "INPUT.MIN_SIZE_TEST": 64, "TEST.PRECISE_BN.NUM_ITER": 1}
        >>> settings = {**short, **small, "MODEL.MASK_ON": False, "SOLVER.BASE_LR": 0.001}
        >>> record = transfer.finetune(  # doctest: +ELLIPSIS
        ...     "any_mask_rcnn_R_18_FPN_small", "random", train, val, folder / "run", seed=0, settings=settings
        ... )
        [...
        >>> record.init, record.schedule.max_iter, 0 <= record.metrics["bbox"]["AP"] <= 100
        ('random', 2, True)
    """
    overrides = {**(settings or {}), **({"OUTPUT_DIR": str(out)} if out is not None else {})}
    record = carry_out(
        Request(
            config_file=str(config),
            init=None if init is None else str(init),
            train=None if train is None else (str(train[0]), str(train[1])),
            val=None if val is None else (str(val[0]), str(val[1])),
            train_voc=tuple(train_voc),
            val_voc=val_voc,
            opts=tuple(word for pair in overrides.items() for word in pair),
            labels=labels,
            labels_seed=labels_seed,
            allow_partial=allow_partial,
            freeze_backbone=freeze_backbone,
            lr=lr,
            init_detector=None if init_detector is None else str(init_detector),
            convention=convention,
            lr_scale=lr_scale,
            backbone_lr_factor=backbone_lr_factor,
            schedule_scale=schedule_scale,
            amp=amp,
            channels_last=channels_last,
            precise_bn=precise_bn,
            name=name,
            seed=seed,
            resume=resume,
            eval_only=eval_only,
            track=tuple(track),
            num_gpus=num_gpus,
        )
    )
    assert record is not None  # the first machine's, and no dry run
    return record


def carry_out(request: Request) -> Record | None:
    """Do what is asked for in this process, or in as many as are asked for.

    Returns:
        the record; None after a dry run, and on every machine but the first, which writes it.

    Raises:
        InputError: as ``finetune``.
        Interrupted: as ``finetune``.
    """
    folder = None
    try:
        with logs.quiet():
            _check_devices(request)
            with logs.logging_to(None, rank=request.machine_rank):
                prepared = plan.prepare(request)
            if request.dry_run:
                print(_described(prepared), flush=True)
                return None
            folder = Path(prepared.cfg.OUTPUT_DIR)
            _launch(request, prepared)
    except KeyboardInterrupt as error:
        signum = error.signum if isinstance(error, Interrupted) else 2
        raise Interrupted(_how_to_go_on(folder, signum), signum) from None
    if request.machine_rank:
        return None
    return record_file.read_run(folder / outcome.EVALUATION if request.eval_only else folder)


def _described(prepared: plan.Plan) -> str:
    cfg = prepared.cfg
    start = "random initialisation" if prepared.start is None else prepared.start.file
    schedule = f"{cfg.SOLVER.MAX_ITER} iterations of {cfg.SOLVER.IMS_PER_BATCH} images, LR {cfg.SOLVER.BASE_LR:g}"
    return (
        f"dry run: everything that can be checked beforehand is right ({schedule}, from {start}, measured on "
        f"{prepared.val.n_images} images); nothing was written"
    )


def _how_to_go_on(folder: Path | None, signum: int) -> str:
    name = {2: "interrupted", 15: "stopped by SIGTERM"}.get(signum, f"stopped by signal {signum}")
    last = checkpointer.last(folder) if folder is not None else None
    if last is None:
        return f"{name} before the first checkpoint; nothing was kept: start again"
    return f"{name}; {folder}/{last} is saved: continue with the same arguments and --resume"


def _launch(request: Request, prepared: plan.Plan) -> None:
    try:
        launch(
            run.start,
            request.num_gpus,
            request.num_machines,
            request.machine_rank,
            request.dist_url,
            args=(prepared,),
        )
    except ProcessExitedException as error:
        if error.exit_code in (130, 143):
            raise Interrupted("interrupted", error.exit_code - 128) from None
        raise InputError(f"a process of the run ended early ({error}); see log.txt in OUTPUT_DIR") from error


def _check_devices(request: Request) -> None:
    there = torch.cuda.device_count()
    if request.num_gpus > max(there, 1):
        raise InputError(
            f"--num-gpus: expected at most {there} on this machine, found {request.num_gpus}; ask for fewer"
        )
