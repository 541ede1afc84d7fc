"""How good a backbone's features are at one moment: nearest neighbours, linear probe, held-out contrastive loss."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pretrain.backbones import IMAGENET_MEAN, IMAGENET_STD, build_backbone
from pretrain.method.health import effective_rank
from pretrain.probes.classifiers import hits, knn_predict, linear_probe, scaling, standard_error
from pretrain.probes.features import Input, extract_features, set_statistics
from pretrain.probes.labelled import LabelledImages, labelled_splits

ARCH = "resnet18"
WEIGHT_DECAY = 1e-2  # of the linear probe; one for all, as a look must be cheap
NEIGHBOURS = 5


@dataclass(frozen=True)
class Look:
    """What the features of one backbone are worth.

    Attributes:
        iteration: after which it was taken; 0 for random weights.
        knn, linear: accuracy on the test images, percent.
        error: binomial standard error of ``knn``, percent.
        effective_rank: of the test images' features.
    """

    iteration: int
    knn: float
    linear: float
    error: float
    effective_rank: float


class Judge:
    """Judges backbones on one labelled set; the images are read once.

    Args:
        root: folder with train/CLASS and val/CLASS.
        size: side of the images, pixels.
        bank: training images that are learned from, at most; every k-th of them.
        batch: images in one forward pass.
    """

    def __init__(self, root: Path, size: int, bank: int = 5000, batch: int = 250) -> None:
        train, test = labelled_splits(root, None)
        self.batch = batch
        self.how = Input(size, size, IMAGENET_MEAN, IMAGENET_STD)
        self.train, self.test = _Memory(train, -(-len(train) // bank)), _Memory(test, 1)
        self.classes = len(train.classes)

    def look(self, backbone: nn.Module, iteration: int) -> Look:
        """Judge a backbone as it is, in eval mode."""
        bank, query = (self._features(backbone, images) for images in (self.train, self.test))
        n = len(self.test)
        nearest = knn_predict(bank, self.train.labels, query, classes=self.classes, k=NEIGHBOURS)
        knn = int((nearest == self.test.labels).sum()) / n
        mean, deviation = scaling(bank)
        probe = linear_probe(
            (bank - mean) / deviation, self.train.labels, classes=self.classes, weight_decay=WEIGHT_DECAY
        )
        linear = int(hits(probe.scores((query - mean) / deviation), self.test.labels).sum()) / n
        rank = float(effective_rank(query))
        return Look(iteration, 100 * knn, 100 * linear, 100 * standard_error(knn, n), rank)

    def with_statistics(self, backbone: nn.Module) -> nn.Module:
        """A copy whose batch norms have the statistics of the training images."""
        copied = copy.deepcopy(backbone)
        set_statistics(copied, self.train, self.how)
        return copied

    def _features(self, backbone: nn.Module, images: _Memory) -> Tensor:
        return extract_features(backbone, images, self.how, batch=self.batch).values


class _Memory:
    """Every k-th image of a labelled set, read once and kept."""

    def __init__(self, images: LabelledImages, step: int) -> None:
        chosen = range(0, len(images), step)
        self.labels = images.labels[list(chosen)]
        self._images: list[NDArray[np.uint8]] = []
        for k in chosen:
            image = images.read(k)
            assert image is not None, images.name(k)
            self._images.append(image)

    def __len__(self) -> int:
        return len(self._images)

    def read(self, k: int) -> NDArray[np.uint8]:
        """Image k, (H, W, 3) uint8 in RGB."""
        return self._images[k]


def random_backbone(seed: int, stem: str) -> nn.Module:
    """The network as it is before any training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_backbone(ARCH, stem)


def backbone_at(checkpoint: Path, stem: str) -> nn.Module:
    """The backbone inside one of pretraining's checkpoints."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    backbone = build_backbone(ARCH, stem)
    backbone.load_state_dict({k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")})
    return backbone


def iteration_of(checkpoint: Path) -> int:
    """The iteration in a checkpoint's file name."""
    return int(checkpoint.stem.rpartition("_")[2])


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean over seeds and its standard error; None where one seed shows no spread."""
    mean = float(np.mean(values))
    return mean, float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
