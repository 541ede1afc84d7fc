"""Rules about schedule, machine and data: what costs AP after hours of training.

Each reads a resolved config and yields what it finds; none imports a framework.
"""

from __future__ import annotations

from collections.abc import Iterator

from transfer.detectors import ranges
from transfer.doctor.findings import ERROR, WARNING, Finding, Situation, value

# Classes of the data sets Detectron2 brings along.
KNOWN_CLASSES = {"coco_": 80, "voc_": 20, "cityscapes_fine_instance": 8, "lvis_v1_": 1203, "lvis_v0.5_": 1230}

# He et al. 2017 and every protocol after it: 0.02 for 16 images, scaled with the batch.
LR_PER_IMAGE = 0.02 / 16
LR_RANGE = (1 / 4, 4)


def learning_rate(s: Situation) -> Iterator[Finding]:
    """Batch and learning rate that do not belong together."""
    solver = s.cfg.SOLVER
    usual = LR_PER_IMAGE * solver.IMS_PER_BATCH
    if usual <= 0:
        return  # another rule's
    if not LR_RANGE[0] <= solver.BASE_LR / usual <= LR_RANGE[1]:
        yield Finding(
            WARNING,
            f"expected about {usual:g} for a batch of {solver.IMS_PER_BATCH}, found {solver.BASE_LR:g}",
            "SOLVER.BASE_LR",
            "too high gives NaN, too low an undertrained detector (0.02 for 16 images, linear in the batch)",
            f"set it to {usual:g}, unless the weights were trained with LARS, which wants about 5 times that",
        )


def schedule(s: Situation) -> Iterator[Finding]:
    """Steps that never come, or come in the wrong order."""
    solver = s.cfg.SOLVER
    steps = list(solver.STEPS)
    if late := [step for step in steps if step >= solver.MAX_ITER]:
        yield Finding(
            WARNING,
            f"expected steps below MAX_ITER {solver.MAX_ITER}, found {late}",
            "SOLVER.STEPS",
            "the learning rate never drops there, which costs 2-4 AP at the end of a schedule",
            "scale the steps with MAX_ITER (2/3 and 8/9 of it)",
        )
    if steps != sorted(set(steps)):
        yield Finding(
            ERROR,
            f"expected rising steps, found {steps}",
            "SOLVER.STEPS",
            "Detectron2 refuses the schedule",
            "sort them",
        )
    if solver.WARMUP_ITERS >= solver.MAX_ITER:
        yield Finding(
            WARNING,
            f"expected a warm-up shorter than MAX_ITER {solver.MAX_ITER}, found {solver.WARMUP_ITERS}",
            "SOLVER.WARMUP_ITERS",
            "the run ends before its learning rate is reached",
            "shorten the warm-up",
        )


def sync_bn(s: Situation) -> Iterator[Finding]:
    """SyncBN on a machine that cannot synchronise anything."""
    keys = [
        key
        for key in ("MODEL.RESNETS.NORM", "MODEL.FPN.NORM", "MODEL.ROI_BOX_HEAD.NORM", "MODEL.ROI_MASK_HEAD.NORM")
        if value(s.cfg, key) == "SyncBN"
    ]
    if keys and s.gpus == 0 and s.stock:
        yield Finding(
            ERROR,
            f"expected BN without a GPU, found SyncBN in {', '.join(keys)}",
            keys[0],
            "SyncBN needs CUDA and a process group: the first iteration fails",
            "set it to BN, or start the run with transfer.train_net, which does",
        )


def classes(s: Situation) -> Iterator[Finding]:
    """Class count of the heads against the data."""
    model = s.cfg.MODEL
    retina = model.META_ARCHITECTURE == "RetinaNet"
    key = "MODEL.RETINANET.NUM_CLASSES" if retina else "MODEL.ROI_HEADS.NUM_CLASSES"
    if s.classes is not None and not s.stock:
        return  # train_net sets the key by the data
    counts = {f"the data has {s.classes}": s.classes} if s.classes is not None else {}
    for name in () if s.classes is not None else (*s.cfg.DATASETS.TRAIN, *s.cfg.DATASETS.TEST):
        counts |= {f"{name} has {number}": number for start, number in KNOWN_CLASSES.items() if name.startswith(start)}
    for where, number in counts.items():
        if value(s.cfg, key) != number:
            yield Finding(
                ERROR,
                f"expected {number} ({where}), found {value(s.cfg, key)}",
                key,
                "labels beyond the head crash the loss; a head that is too wide wastes its capacity on nothing",
                f"set it to {number}",
            )
            return


def masks(s: Situation) -> Iterator[Finding]:
    """A mask head on data that has no masks."""
    voc = [name for name in s.cfg.DATASETS.TRAIN if name.startswith("voc_") and "_instance_" not in name]
    if s.cfg.MODEL.MASK_ON and voc:
        why = "PASCAL VOC has boxes only: the mask head has nothing to learn from and the run stops"
        yield Finding(ERROR, f"expected False on {voc[0]}, found True", "MODEL.MASK_ON", why, "set it to False")


def precise_bn(s: Situation) -> Iterator[Finding]:
    """Running statistics of few images at test time."""
    if not s.cfg.TEST.PRECISE_BN.ENABLED and s.cfg.MODEL.RESNETS.NORM in ("BN", "SyncBN"):
        yield Finding(
            WARNING,
            "expected PreciseBN with norms that train, found it off",
            "TEST.PRECISE_BN.ENABLED",
            "running statistics of the last small batches decide the result",
            "set it to True",
        )


def out_of_range(s: Situation) -> Iterator[Finding]:
    """Values that no run can mean."""
    for key, problem in ranges.problems(s.cfg).items():
        yield Finding(ERROR, problem, key, "the run stops, hangs or trains nothing", "set it to a value in that range")


RULES = (out_of_range, learning_rate, schedule, sync_bn, classes, masks, precise_bn)
