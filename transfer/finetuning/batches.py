"""The images of every training iteration, decided by (seed, position) alone.

Detectron2's loader starts again from its seed when a run is resumed, and which augmentation an image gets depends on
the number of workers. Here the order, the grouping into batches and each image's augmentation follow from the seed and
the position in the order, so that neither workers, nor a restart, nor the number of processes changes a pixel.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetFromList, get_detection_dataset_dicts
from detectron2.data.build import filter_images_with_only_crowd_annotations
from detectron2.data.samplers import InferenceSampler, RepeatFactorTrainingSampler, TrainingSampler
from detectron2.utils import comm
from torch.utils.data import DataLoader, Dataset

from transfer.data.labels import Labels
from transfer.errors import InputError
from transfer.finetuning import mapper
from transfer.finetuning.interrupt import ignore_signals
from transfer.finetuning.loader import Loader, Unreadable

Place = tuple[int, int]  # (position in the order of the whole run, number of the image)
Mapper = Callable[[dict[str, Any]], dict[str, Any]]


def order(data: TrainSet, seed: int) -> Iterator[Place]:
    """Return the endless order of the images, the same in every process."""
    sampler: Any = TrainingSampler(len(data.images), seed=seed)
    if data.factors is not None:
        sampler = RepeatFactorTrainingSampler(data.factors, seed=seed)
    # iter(sampler) gives one process's share; groups have to be formed from the whole.
    return enumerate(sampler._infinite_indices())


def group(places: Iterator[Place], wide: list[bool] | None, size: int) -> Iterator[list[Place]]:
    """Put ``places`` into groups of ``size``, wide images with wide ones: such batches need little padding.

    Args:
        places: the order.
        wide: for every image whether it is wider than high; None to group by order alone.
        size: images in a group.
    """
    waiting: dict[bool, list[Place]] = {True: [], False: []}
    for place in places:
        kind = wide[place[1]] if wide else True
        waiting[kind].append(place)
        if len(waiting[kind]) == size:
            yield waiting[kind]
            waiting[kind] = []


class Batches:
    """A process's batches, from iteration ``start`` on; DataLoader takes it as its batch sampler."""

    def __init__(self, cfg: CfgNode, data: TrainSet, start: int = 0) -> None:
        """Prepare; ``start`` is the first iteration wanted.

        Raises:
            InputError: the processes cannot share the batch.
        """
        processes = comm.get_world_size()
        if cfg.SOLVER.IMS_PER_BATCH % processes:
            raise InputError(
                f"SOLVER.IMS_PER_BATCH: expected a multiple of the {processes} processes, "
                f"found {cfg.SOLVER.IMS_PER_BATCH}; change it (and --lr-scale batch)"
            )
        self._data, self._seed, self._start = data, cfg.SEED, start
        self._size = cfg.SOLVER.IMS_PER_BATCH // processes
        self._processes, self._rank = processes, comm.get_rank()

    def __iter__(self) -> Iterator[list[Place]]:
        """Give this process's groups: of every ``processes`` groups in a row, the one of its rank."""
        groups = group(order(self._data, self._seed), self._data.wide, self._size)
        return itertools.islice(groups, self._start * self._processes + self._rank, None, self._processes)


class Mapped(Dataset):  # type: ignore[misc,type-arg,unused-ignore]
    """Images made ready for the model: augmented by (seed, position)."""

    def __init__(self, records: list[dict[str, Any]], mapper: Mapper, seed: int) -> None:
        """Take the records of a data set, and what makes one ready; it may change the record that it gets."""
        # Serialised as Detectron2 does: workers then share the memory instead of copying it bit by bit.
        self._records, self._mapper, self._seed = DatasetFromList(records, copy=False), mapper, seed

    def __len__(self) -> int:
        """Number of images."""
        return len(self._records)

    def __getitem__(self, place: Place | int) -> dict[str, Any] | Unreadable:
        """Return the image of one place in the order, or of a data set by its number."""
        position, number = place if isinstance(place, tuple) else (place, place)
        _seed_all(self._seed, position)
        record = self._records[number]  # fresh from its bytes: nobody else's
        try:
            return self._mapper(record)
        except Exception as error:  # damaged files make Pillow and the mapper raise nearly everything
            return Unreadable(record["file_name"], mapper.why_unreadable(error))


def _seed_all(seed: int, position: int) -> None:
    """Seed what augmentations draw from. Detectron2's use numpy's global state."""
    words = np.random.SeedSequence([seed, position]).generate_state(3)
    np.random.seed(int(words[0]))
    random.seed(int(words[1]))
    torch.default_generator.manual_seed(int(words[2]))  # the CPU's only: the model's draws on a GPU are its own


@dataclass(frozen=True)
class TrainSet:
    """The images that are trained on, and what decides their order.

    Attributes:
        images: read and augmented by place.
        wide: for every image whether it is wider than high; None when batches are formed by order alone.
        factors: how often each image comes in an epoch; None for once.
    """

    images: Mapped
    wide: list[bool] | None
    factors: torch.Tensor | None


def train_set(cfg: CfgNode, labels: Labels | None) -> TrainSet:
    """Return the images of DATASETS.TRAIN, of the labelled part, with objects in them.

    Raises:
        InputError: none is left, or the config asks for another sampler.
    """
    kind, factors = cfg.DATALOADER.SAMPLER_TRAIN, None
    if kind not in ("TrainingSampler", "RepeatFactorTrainingSampler"):
        raise InputError(
            f"DATALOADER.SAMPLER_TRAIN: expected TrainingSampler or RepeatFactorTrainingSampler, found {kind}; "
            "for a part of the images use --labels"
        )
    records = all_records(cfg)
    if labels is not None:
        records = [records[i] for i in labels.choose(len(records))]
    if cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        records = filter_images_with_only_crowd_annotations(records)
    if not records:
        raise InputError("the training images: expected at least one with an object in it, found none; take more")
    if kind == "RepeatFactorTrainingSampler":
        factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
            records, cfg.DATALOADER.REPEAT_THRESHOLD, sqrt=cfg.DATALOADER.REPEAT_SQRT
        )
    grouped = cfg.DATALOADER.ASPECT_RATIO_GROUPING
    wide = [record["width"] > record["height"] for record in records] if grouped else None
    return TrainSet(Mapped(records, mapper.Mapper(cfg, is_train=True).made_ready, cfg.SEED), wide, factors)


def all_records(cfg: CfgNode) -> list[dict[str, Any]]:
    """Return the records of DATASETS.TRAIN, in the catalog's order."""
    records: list[dict[str, Any]] = get_detection_dataset_dicts(cfg.DATASETS.TRAIN, filter_empty=False)
    return records


def train_loader(cfg: CfgNode, data: TrainSet, start: int = 0, workers: int | None = None) -> Loader:
    """Return the training batches from iteration ``start`` on, by ``workers`` processes (None: the config's)."""
    sampler: Any = Batches(cfg, data, start)
    workers = cfg.DATALOADER.NUM_WORKERS if workers is None else workers
    return _loader(data.images, workers, batch_sampler=sampler)


def _loader(images: Mapped, workers: int, **order: Any) -> Loader:
    return Loader(DataLoader(images, num_workers=workers, collate_fn=_as_list, worker_init_fn=ignore_signals, **order))


def _as_list(batch: list[Any]) -> list[Any]:
    return batch


def test_loader(cfg: CfgNode, dataset: str) -> Loader:
    """Return this process's share of the images to measure on, one a batch."""
    records = get_detection_dataset_dicts([dataset], filter_empty=False)
    mapped = Mapped(records, mapper.Mapper(cfg, is_train=False).made_ready, cfg.SEED)
    sampler, workers = InferenceSampler(len(records)), cfg.DATALOADER.NUM_WORKERS
    return _loader(mapped, workers, sampler=sampler, batch_size=1)
