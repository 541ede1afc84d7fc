"""Features of places in images: one forward pass an image, the maps of res3 to res5 pooled inside each region."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.ops import roi_align

from pretrain.data.pixels import Image, read_image
from pretrain.errors import InputError
from pretrain.probes.features import Input, central_square, evaluating, single_thread
from pretrain.probes.object_set import ObjectSet
from pretrain.probes.regions import Region, objects_and_background
from pretrain.progress import progress

STAGES = ("res3", "res4", "res5")  # Detectron2's names of layer2, layer3 and layer4
BACKGROUND = -1  # in place of a class
STATISTICS_SIDE = 224  # pixels, at most, of the squares that batch norms get their statistics from
_DIVISIBLE = 32  # sides are filled up to a multiple, as detectors do, so that each map's cells cover the image
_BINS = 7  # of RoIAlign, as in box heads
_AT_ONCE = 64  # regions whose weights for every cell of a map are held


@dataclass(frozen=True)
class WholeInput:
    """How a whole image becomes the backbone's input.

    Attributes:
        size: length that the image's shorter side is brought to, pixels; None for the images as they are.
        mean, std: of the normalisation, RGB, for pixels in 0-1.
    """

    size: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Scale:
    """Cells of a map per pixel of the image, down and across."""

    down: float
    across: float


@dataclass(frozen=True)
class RegionFeatures:
    """Features of regions, R of them: objects, and places without one.

    Attributes:
        values: stage -> (R, D) float32, on the CPU.
        labels: (R,) the object's class, `BACKGROUND` for none.
        images: (R,) number of the image in the set.
        paired: (R,) whether the object has a place of its shape without an object, or is such a place.
    """

    values: dict[str, Tensor]
    labels: Tensor
    images: Tensor
    paired: Tensor


def extract_region_features(
    backbone: nn.Module,
    data: ObjectSet,
    chosen: Sequence[int],
    how: WholeInput,
    *,
    masked: bool,
    seed: int,
    most: int,
    workers: int = 0,
    name: str | None = None,
) -> RegionFeatures:
    """Pooled features of the objects of some images and of as many places without an object, in eval mode.

    Inside a mask the map's cells are averaged, each weighted by the area of the mask that it covers; inside a box they
    are RoI-aligned (He et al. 2017) to 7 x 7 and averaged. A cell is taken to cover the square of ``stride`` pixels
    that begins at its number times ``stride``, which is how detectors place boxes on maps.

    The places without an object depend on ``seed`` and the images alone, so two backbones are asked about the same
    ones. The backbone is left as it was, and the global random state is neither read nor moved.

    Args:
        backbone: a torchvision ResNet.
        data: images with objects.
        chosen: numbers of the images to look at.
        how: resizing and normalisation.
        masked: by masks, which every object must have; else by boxes.
        seed: of the places and of the objects that are left out where there are more than ``most``.
        most: objects, at most.
        workers: loader processes; 0 reads in the main process.
        name: what to call the images beside a bar of progress; None for no bar.

    Raises:
        InputError: an image cannot be read or is not of the size that the annotations say, there is no object in any,
            or features are not finite.
    """
    wanted = _wanted(data, chosen, most, seed)
    device = next(backbone.parameters()).device
    looked_at = [k for k in chosen if wanted[k].any()]
    values: dict[str, list[Tensor]] = {stage: [] for stage in STAGES}
    labels, images, paired = [], [], []
    pool = pool_masks if masked else pool_boxes
    with evaluating(backbone), torch.no_grad():
        loaded = zip(looked_at, _loaded(data, looked_at, how, workers), strict=True)
        for k, pixels in progress(loaded, name and f"objects of {name}", unit="img", total=len(looked_at)):
            item = data.items[k]
            kept = np.flatnonzero(wanted[k])
            objects, places = objects_and_background(item, kept, np.random.default_rng((seed, k)), masked=masked)
            there = [place is not None for place in places]
            regions = objects + [place for place in places if place is not None]
            labels += item.labels[kept].tolist() + [BACKGROUND] * sum(there)
            paired += there + [True] * sum(there)
            images += [k] * len(regions)
            for stage, (cells, scale) in _maps(backbone, pixels.to(device), how, item.size).items():
                values[stage].append(pool(cells, regions, scale).cpu())
    features = {stage: torch.cat(parts) for stage, parts in values.items()}
    return RegionFeatures(features, torch.tensor(labels), torch.tensor(images), torch.tensor(paired))


def stage_maps(backbone: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The maps of `STAGES` of a torchvision ResNet: (N, 3, H, W) -> (N, D, h, w) each."""
    net: Any = backbone
    x = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(images)))))
    maps = {}
    for stage, layer in zip(STAGES, (net.layer2, net.layer3, net.layer4), strict=True):
        maps[stage] = x = layer(x)
    return maps


def pool_masks(cells: Tensor, regions: Sequence[Region], scale: Scale) -> Tensor:
    """Mean of a map over each region's shape: (D, h, w) -> (R, D); a cell counts by the area that lies in the shape.

    Args:
        cells: the map.
        regions: in pixels of the image.
        scale: from those pixels to cells.
    """
    flat = cells.flatten(1).T
    parts = [regions[start : start + _AT_ONCE] for start in range(0, len(regions), _AT_ONCE)]
    height, width = cells.shape[1:]
    return torch.cat([_weights(part, scale, height, width).to(cells) @ flat for part in parts])


def _weights(regions: Sequence[Region], scale: Scale, height: int, width: int) -> Tensor:
    """Share of each region's area that lies in each cell, (R, height * width)."""
    weights = np.zeros((len(regions), height, width), np.float32)
    for weight, region in zip(weights, regions, strict=True):
        rows = _overlaps(region.top, region.shape.shape[0], scale.down, height)
        columns = _overlaps(region.left, region.shape.shape[1], scale.across, width)
        areas = rows.overlap @ region.shape.astype(np.float64) @ columns.overlap.T
        weight[rows.cells, columns.cells] = areas / areas.sum()
    return torch.from_numpy(weights).flatten(1)


def pool_boxes(cells: Tensor, regions: Sequence[Region], scale: Scale) -> Tensor:
    """Mean of a map over each region's box by RoIAlign with 7 x 7 bins: (D, h, w) -> (R, D)."""
    boxes = torch.tensor([region.box for region in regions], dtype=cells.dtype, device=cells.device)
    boxes = boxes * torch.tensor([scale.across, scale.down] * 2).to(cells)
    aligned: Tensor = roi_align(cells[None], [boxes], _BINS, spatial_scale=1.0, sampling_ratio=-1, aligned=True)
    return aligned.mean(dim=(2, 3))


@dataclass(frozen=True)
class _Overlaps:
    """Which cells a row of pixels touches, and the length that each shares with each pixel, (cells, pixels)."""

    cells: slice
    overlap: NDArray[np.float64]


def _overlaps(start: int, pixels: int, scale: float, cells: int) -> _Overlaps:
    edges = np.minimum(np.arange(start, start + pixels + 1) * scale, cells)
    first, last = int(edges[0]), min(cells, math.ceil(edges[-1]))
    cell = np.arange(first, last)[:, None]
    overlap = np.minimum(edges[None, 1:], cell + 1) - np.maximum(edges[None, :-1], cell)
    return _Overlaps(slice(first, last), np.maximum(overlap, 0))


def statistics_input(data: ObjectSet, how: WholeInput) -> tuple[Crops, Input]:
    """What `pretrain.probes.features.set_statistics` needs to look at these images at the size of the probe."""
    smallest = how.size or min(min(item.size) for item in data.items)
    side = min(STATISTICS_SIDE, smallest)
    return Crops(data, how, side), Input(side, side, how.mean, how.std)


class Crops:
    """Central squares of a set's images at the size of the probe; `pretrain.probes.features.Images`."""

    def __init__(self, data: ObjectSet, how: WholeInput, side: int) -> None:
        self.data, self.how, self.side = data, how, side

    def __len__(self) -> int:
        """The number of images."""
        return len(self.data.items)

    def read(self, k: int) -> Image | None:
        """The square of image k, (side, side, 3) uint8 in RGB; None when it cannot be read."""
        image = read_image(self.data.items[k].file)
        if image is None:
            return None
        image = resized(image, self.how.size)
        return central_square(image, self.side, min(image.shape[:2]))


def resized(image: Image, size: int | None) -> Image:
    """The shorter side brought to ``size`` (area filter down, linear up), the proportions kept; None for as it is."""
    height, width = image.shape[:2]
    short = min(height, width)
    if size is None or size == short:
        return image
    to = (max(1, round(width * size / short)), max(1, round(height * size / short)))
    return cv2.resize(image, to, interpolation=cv2.INTER_AREA if short > size else cv2.INTER_LINEAR)


def _wanted(data: ObjectSet, chosen: Sequence[int], most: int, seed: int) -> dict[int, NDArray[np.bool_]]:
    """Which objects of each image are looked at: all, or a random part of them where they are too many."""
    counts = [len(data.items[k].labels) for k in chosen]
    total = sum(counts)
    if not total:
        raise InputError(f"--coco {data.annotations}: expected objects in {len(chosen)} images, found none; add some")
    kept = np.zeros(total, np.bool_)
    kept[np.random.default_rng(seed).permutation(total)[:most]] = True
    return dict(zip(chosen, np.split(kept, np.cumsum(counts)[:-1]), strict=True))


def _maps(
    backbone: nn.Module, pixels: Tensor, how: WholeInput, size: tuple[int, int]
) -> dict[str, tuple[Tensor, Scale]]:
    """Each stage's map of one image, (D, h, w), and its scale; below and to the right the mean colour is added."""
    height, width = pixels.shape[:2]
    mean, std = (torch.tensor(c, device=pixels.device).view(3, 1, 1) * 255 for c in (how.mean, how.std))
    x = (pixels.permute(2, 0, 1).float() - mean) / std
    x = F.pad(x, (0, -width % _DIVISIBLE, 0, -height % _DIVISIBLE))[None]
    maps = {stage: cells[0].float() for stage, cells in stage_maps(backbone, x).items()}
    if not all(bool(cells.isfinite().all()) for cells in maps.values()):
        raise InputError("the features: expected finite numbers, found NaN or infinity; the training has diverged")
    return {
        stage: (
            cells,
            Scale(
                cells.shape[1] / x.shape[2] * height / size[0],
                cells.shape[2] / x.shape[3] * width / size[1],
            ),
        )
        for stage, cells in maps.items()
    }


def _loaded(data: ObjectSet, chosen: Sequence[int], how: WholeInput, workers: int) -> Iterator[Tensor]:
    """The images' pixels, (H, W, 3) uint8 after resizing."""
    loader: DataLoader[tuple[Tensor, str]] = DataLoader(
        _Whole(data, how),
        batch_size=None,  # images differ in size
        sampler=chosen,
        num_workers=workers,
        worker_init_fn=single_thread,
        generator=torch.Generator(),  # without one of its own, a loader draws from the global random state
    )
    for pixels, fault in loader:
        if fault:
            raise InputError(fault)
        yield pixels


class _Whole(Dataset[tuple[Tensor, str]]):
    def __init__(self, data: ObjectSet, how: WholeInput) -> None:
        self.data, self.how = data, how

    def __len__(self) -> int:
        return len(self.data.items)

    def __getitem__(self, k: int) -> tuple[Tensor, str]:
        item = self.data.items[k]
        image = read_image(item.file)
        if image is None:
            return torch.empty(0), f"{item.file}: expected a readable image, found none; repair or remove it"
        if image.shape[:2] != item.size:
            (height, width), (high, wide) = item.size, image.shape[:2]
            return torch.empty(0), (
                f"{item.file}: expected {width}x{height} pixels, as {self.data.annotations} says, found {wide}x{high} "
                "(upright); mend the annotations"
            )
        return torch.from_numpy(np.ascontiguousarray(resized(image, self.how.size))), ""
