"""Images that look as if they were frames of one experiment, film or burst: by their colours and their sharpness."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

LIMIT = 0.12  # distance of two descriptors, in [0, √2]; found on the nuclei of the Data Science Bowl 2018
MOST = 20_000  # images of one size: every pair is compared, 8 bytes each
_LARGEST_LOG_EDGE = 6.0  # log(1 + |Laplacian|) of 8-bit pixels that ends the sharpness histogram

Floats = NDArray[np.float64]


def descriptor(image: NDArray[np.uint8]) -> Floats:
    """Return what two frames of one experiment have in common: colours, and the strength of edges.

    Args:
        image: RGB, (H, W, 3).

    Returns:
        square roots of four histograms, each summing to 1/4, (112,): 32 bins of blue, green and red, 16 of the edges.
        So the distance of two descriptors is √2 times that of Hellinger, in [0, √2].
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = np.log1p(np.abs(cv2.Laplacian(grey, cv2.CV_32F)))
    histograms = [np.histogram(image[..., c], bins=32, range=(0, 256))[0] for c in (2, 1, 0)]
    histograms.append(np.histogram(edges, bins=16, range=(0, _LARGEST_LOG_EDGE))[0])
    return np.concatenate([np.sqrt(h / max(1, h.sum())) for h in histograms]) / 2


def group(sizes: Sequence[tuple[int, int]], descriptors: Sequence[Floats], limit: float = LIMIT) -> list[list[int]]:
    """Return the numbers of the images that must stay together, the largest group first.

    Images of one size belong together when their descriptors are closer than ``limit``, and so do all that a chain of
    such pairs connects (single linkage), so that no pair across two groups is closer.
    """
    from scipy.cluster.hierarchy import fcluster, linkage  # slow to import, as cdist is

    groups: list[list[int]] = []
    for size in sorted(set(sizes)):
        members = [k for k, own in enumerate(sizes) if own == size]
        labels = [1]
        if len(members) > 1:
            distances = linkage(np.stack([descriptors[k] for k in members]), "single")
            labels = fcluster(distances, limit, "distance").tolist()
        groups += [[k for k, one in zip(members, labels, strict=True) if one == label] for label in sorted(set(labels))]
    return sorted(groups, key=lambda g: (-len(g), g[0]))


def nearest(one: Sequence[Floats], other: Sequence[Floats]) -> tuple[int, int, float]:
    """Return the most alike pair across two lists of descriptors, at least one each: their numbers and distance."""
    from scipy.spatial.distance import cdist

    distances = cdist(np.stack(one), np.stack(other))
    a, b = np.unravel_index(int(distances.argmin()), distances.shape)
    return int(a), int(b), float(distances[a, b])
