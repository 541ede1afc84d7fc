"""What must hold between the values of a study file that are each of the right type."""

from __future__ import annotations

import math

from transfer.data.labels import Labels
from transfer.errors import InputError
from transfer.finetuning.request import LARGEST_SEED
from transfer.studies.schema import COMPUTE, EPOCHS, LENGTH, RANDOM, TRAIN, Start, Study

LONGEST_NAME = 80  # it is part of the names of files


def rules(study: Study) -> list[tuple[str, bool]]:
    """The rules that a study has to keep, as (what is wrong, whether it holds)."""
    data, terms, search = study.data, study.terms, study.terms.search
    given = [n for n, v in (("train", data.train), ("train_voc", data.train_voc), ("digits", data.digits)) if v]
    checks = [
        (f"data: expected one of train, train_voc and digits, found {' and '.join(given)}; leave the others out",
         len(given) < 2),
        ("data: expected val beside train, and both as [IMAGES, ANNOTATIONS], found others; give both",
         (data.train is None) == (data.val is None) and all(len(s or "..") == 2 for s in (data.train, data.val))),
        ("data: expected val_voc beside train_voc, found one alone; give both",
         bool(data.train_voc) == bool(data.val_voc)),
        (f"data.unlabelled: expected a list or the word {TRAIN}, found {data.unlabelled!r}",
         not isinstance(data.unlabelled, str) or data.unlabelled == TRAIN),
        ("starts: expected at least one, found none; add e.g. random: random", bool(study.starts)),
        (f"seeds: expected whole numbers from 0 to {LARGEST_SEED}, each once, found {list(study.seeds)}",
         0 <= min(study.seeds, default=-1) <= max(study.seeds, default=0) <= LARGEST_SEED
         and len(set(study.seeds)) == len(study.seeds)),
        (f"labels_seed: expected 0 to {LARGEST_SEED}, found {study.labels_seed}",
         0 <= study.labels_seed <= LARGEST_SEED),
        (f"labels: expected each share once and at least one, found {list(study.labels)}",
         bool(study.labels) and len(set(study.labels)) == len(study.labels)),
        (f"baseline: expected one of the starts ({', '.join(study.starts)}), found {study.baseline}; correct it",
         study.baseline is None or study.baseline in study.starts),
        (f"terms.equal: expected {EPOCHS} or {COMPUTE}, found {terms.equal}", terms.equal in (EPOCHS, COMPUTE)),
        (f"terms.seconds: expected more than 0 with equal: {COMPUTE} and none with {EPOCHS}, found {terms.seconds}",
         (terms.seconds is not None and terms.seconds > 0) == (terms.equal == COMPUTE)),
        (f"terms.warmup: expected a share from 0 to 1, found {terms.warmup:g}", 0 <= terms.warmup < 1),
        (f"detector.lr: expected a finite number above 0, found {study.detector.lr}",
         study.detector.lr is None or 0 < study.detector.lr < math.inf),
        ("detector.backbone_lr_factor: expected a finite number above 0 and a backbone that is trained, found "
         f"{study.detector.backbone_lr_factor}{' with freeze_backbone' if study.detector.freeze_backbone else ''}",
         study.detector.backbone_lr_factor is None
         or (0 < study.detector.backbone_lr_factor < math.inf and not study.detector.freeze_backbone)),
        (f"detector.lr_scale: expected batch, found {study.detector.lr_scale}",
         study.detector.lr_scale in (None, "batch")),
        (f"detector.schedule_scale: expected a finite number above 0 for each of {', '.join(study.labels)}, found "
         f"{study.detector.schedule_scale}", _scales(study)),
        (f"gpus: expected 1 or more, found {study.gpus} and {study.detector.gpus}",
         min(study.gpus, study.detector.gpus) >= 1),
    ]  # fmt: skip
    if search is not None:
        values = [v for grid in (search.pretrain, search.finetune) for v in grid.values()]
        checks += [
            ("terms.search: expected options with values to try, found none", bool(values) and all(values)),
            ("terms.search: expected share above 0 and up to 1, held_out above 0 and below 1, found "
             f"{search.share:g} and {search.held_out:g}", 0 < search.share <= 1 and 0 < search.held_out < 1),
            ("terms.search: expected data.train in COCO's format, which can be split, found other data",
             data.train is not None or data.digits is not None),
        ]  # fmt: skip
    if study.probes is not None:
        protocols = study.probes.protocols
        checks.append((
            f"probes.protocols: expected knn, linear or both, found {', '.join(protocols) or 'none'}",
            bool(protocols) and {"knn", "linear"} >= set(protocols) and len(set(protocols)) == len(protocols),
        ))  # fmt: skip
    checks += _scaled_rules(study)
    for text in study.labels:
        checks.append(
            (f"labels: expected a share above 0, such as 10%, or a number of images, found {text}", _share(text))
        )
    for name, start in study.starts.items():
        checks += _start_rules(name, start, study)
    return checks


def _scaled_rules(study: Study) -> list[tuple[str, bool]]:
    """What a flag of the schedule sets cannot be set beside it; ``train_net`` would refuse every cell."""
    detector, search = study.detector, study.terms.search
    given = {*detector.options, *(search.finetune if search else ())}
    checks = []
    for flag, set_by, keys in (
        ("lr_scale", detector.lr_scale, ("SOLVER.BASE_LR", "SOLVER.WARMUP_ITERS", *LENGTH)),
        ("schedule_scale", detector.schedule_scale, LENGTH),
        ("lr", detector.lr, ("SOLVER.BASE_LR",)),
        ("backbone_lr_factor", detector.backbone_lr_factor, ("SOLVER.BACKBONE_LR_FACTOR",)),
        ("freeze_backbone", detector.freeze_backbone or None, ("MODEL.BACKBONE.FREEZE_AT",)),
        ("amp", detector.amp or None, ("SOLVER.AMP.ENABLED",)),
    ):
        both = sorted(given & {*keys}) if set_by is not None else []
        checks.append(
            (f"detector.{flag}: expected it to set {', '.join(both)}, found a value as well; leave one out", not both)
        )
    checks.append((
        "detector.lr_scale: expected it to set the learning rate, found lr as well; leave one out",
        detector.lr is None or detector.lr_scale is None,
    ))  # fmt: skip
    long = sorted(given & {*LENGTH}) if search else []
    checks.append(
        (f"terms.search: expected {', '.join(long)} in the config, for trials are shorter, found an option", not long)
    )
    return checks


def _start_rules(name: str, start: Start, study: Study) -> list[tuple[str, bool]]:
    given = [key for key in ("pretrain", "file", "detector") if getattr(start, key)]
    return [
        (f"starts.{name}: expected one of pretrain, file and detector, found {' and '.join(given)}; leave others out",
         len(given) < 2),
        (f"starts.{name}: expected options and init beside pretrain, found them alone; add pretrain: CONFIG",
         bool(start.pretrain) or not (start.options or start.init)),
        (f"starts.{name}.options: expected no run.seed, for the study has its own seeds, found one; leave it out",
         "run.seed" not in start.options),
        (f"starts.{name}: expected convention beside file or detector, found it alone; leave it out",
         bool(start.file or start.detector) or not start.convention),
        (f"starts.{name}: expected allow_partial beside detector, found it alone; leave it out",
         bool(start.detector) or not start.allow_partial),
        (f"starts.{name}: expected random weights under this name, which reports read so, found others; rename it",
         name != RANDOM or start == Start()),
        (f"starts: expected names of up to {LONGEST_NAME} letters, digits, '_', '-', '.' and '+', found {name!r}",
         0 < len(name) <= LONGEST_NAME and all(c.isalnum() or c in "_-.+" for c in name)),
        (f"starts.{name}: expected data.unlabelled to pretrain on, found none; add folders, or the word {TRAIN}",
         not start.pretrain or bool(study.data.unlabelled) or study.data.digits is not None),
    ]  # fmt: skip


def _scales(study: Study) -> bool:
    scale = study.detector.schedule_scale
    if isinstance(scale, dict):
        return set(scale) == set(study.labels) and all(0 < value < math.inf for value in scale.values())
    return scale is None or 0 < scale < math.inf


def _share(text: str) -> bool:
    try:
        Labels(text)
    except InputError:
        return False
    return True
