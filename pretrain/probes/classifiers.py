"""What frozen features are worth: nearest neighbours and a linear classifier. Tensors in, tensors out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_SIMILARITIES = 2**25  # query rows times bank rows held at once: 128 MiB in float32


def knn_scores(
    bank: Tensor, bank_labels: Tensor, query: Tensor, *, classes: int, k: int = 5, temperature: float | None = 0.07
) -> Tensor:
    """Votes of the k nearest bank images for each class: (Q, C).

    Nearest by cosine similarity s; each neighbour votes for its class with exp((s - s_1) / τ), s_1 being the nearest
    one's similarity, or with 1 (Wu et al. 2018, section 3.4, whose exp(s / τ) differs by a factor per query only).

    Args:
        bank: features, (N, D).
        bank_labels: classes 0 to C - 1, (N,).
        query: features, (Q, D).
        classes: C.
        k: neighbours, 1 to N; 5 in CompMod's and MetaMask's tables.
        temperature: τ > 0, or None for the plain majority.

    Returns:
        Tensor: votes, -inf for a class that none of the k neighbours has.

    Raises:
        ValueError: shapes do not fit, k or the temperature is out of range.
    """
    if bank.ndim != 2 or query.ndim != 2 or bank.shape[1] != query.shape[1] or bank_labels.shape != bank.shape[:1]:
        raise ValueError(
            f"knn: expected bank (N, D), labels (N,) and query (Q, D), found {tuple(bank.shape)}, "
            f"{tuple(bank_labels.shape)} and {tuple(query.shape)}"
        )
    if not 1 <= k <= len(bank):
        raise ValueError(f"knn: expected k from 1 to the bank's {len(bank)} rows, found {k}")
    if temperature is not None and temperature <= 0:
        raise ValueError(f"knn: expected a temperature above 0, found {temperature}")
    bank, query = F.normalize(bank, dim=1), F.normalize(query, dim=1)
    rows = max(1, _SIMILARITIES // len(bank))
    return torch.cat([_votes(part @ bank.T, bank_labels, classes, k, temperature) for part in query.split(rows)])


def _votes(similarity: Tensor, labels: Tensor, classes: int, k: int, temperature: float | None) -> Tensor:
    nearest, index = similarity.topk(k, dim=1)
    weight = torch.ones_like(nearest) if temperature is None else ((nearest - nearest[:, :1]) / temperature).exp()
    voted = labels[index]
    scores = similarity.new_zeros(len(similarity), classes).scatter_add_(1, voted, weight)
    return scores.masked_fill(~torch.zeros_like(scores, dtype=torch.bool).scatter_(1, voted, True), -math.inf)


def knn_predict(
    bank: Tensor, bank_labels: Tensor, query: Tensor, *, classes: int, k: int = 5, temperature: float | None = 0.07
) -> Tensor:
    """The class with the most votes of `knn_scores`, (Q,); the lowest of several with equally many."""
    return knn_scores(bank, bank_labels, query, classes=classes, k=k, temperature=temperature).argmax(dim=1)


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier: ``features @ weight.T + bias``.

    Attributes:
        weight: (C, D).
        bias: (C,).
        gradient: largest absolute entry of the loss's gradient where the fit stopped; near 0 when it converged.
    """

    weight: Tensor
    bias: Tensor
    gradient: float

    def scores(self, features: Tensor) -> Tensor:
        """Logits, (N, D) -> (N, C)."""
        return features @ self.weight.T + self.bias


def linear_probe(
    features: Tensor,
    labels: Tensor,
    *,
    classes: int,
    weight_decay: float,
    start: LinearProbe | None = None,
    iterations: int = 500,
) -> LinearProbe:
    """Softmax regression by L-BFGS on the whole set: ``mean cross-entropy + weight_decay / 2 · ‖weight‖²``.

    The bias is free. The minimum is the one of scikit-learn's LogisticRegression with C = 1 / (N weight_decay).

    Args:
        features: (N, D), best of about unit variance per dimension (`scaling`).
        labels: classes 0 to C - 1, (N,).
        classes: C.
        weight_decay: >= 0.
        start: where to begin; zeros when None.
        iterations: largest number of L-BFGS iterations.

    Raises:
        ValueError: shapes do not fit or the weight decay is below 0.
    """
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"linear probe: expected features (N, D) and labels (N,), found {tuple(features.shape)} and "
            f"{tuple(labels.shape)}"
        )
    if weight_decay < 0:
        raise ValueError(f"linear probe: expected a weight decay >= 0, found {weight_decay}")
    weight = features.new_zeros(classes, features.shape[1]) if start is None else start.weight.clone()
    bias = features.new_zeros(classes) if start is None else start.bias.clone()
    fitted = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.LBFGS(
        fitted,
        max_iter=iterations,
        history_size=20,
        tolerance_grad=1e-6,
        tolerance_change=4 * torch.finfo(features.dtype).eps,  # the rounding of a loss of a few nats
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(features @ weight.T + bias, labels) + weight_decay / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    loss()  # the gradients that the line search leaves are those of its last trial
    gradient = max(float(p.grad.abs().max()) for p in fitted if p.grad is not None)
    return LinearProbe(weight.detach(), bias.detach(), gradient)


def validate_weight_decays(
    features: Tensor,
    labels: Tensor,
    grid: Sequence[float],
    *,
    classes: int,
    share: float = 0.2,
    seed: int = 0,
    groups: Tensor | None = None,
) -> dict[float, float]:
    """Accuracy (0-1) of each weight decay on a share of the training set that was held out of the fit.

    Args:
        features: (N, D).
        labels: (N,).
        grid: weight decays; fitted from the largest to the smallest, each from where the last one ended.
        classes: C.
        share: held out, in (0, 1), from every class, or of the groups.
        seed: of the split.
        groups: (N,) which rows must stay together, such as the objects of an image; None for none.

    Returns:
        dict: weight decay -> accuracy, the largest weight decay first.
    """
    split = holdout(labels.cpu(), share, seed) if groups is None else holdout_groups(groups.cpu(), share, seed)
    rest, held = (part.to(features.device) for part in split)
    accuracies: dict[float, float] = {}
    probe: LinearProbe | None = None
    for weight_decay in sorted(grid, reverse=True):
        probe = linear_probe(features[rest], labels[rest], classes=classes, weight_decay=weight_decay, start=probe)
        accuracies[weight_decay] = int(hits(probe.scores(features[held]), labels[held]).sum()) / len(held)
    return accuracies


def scaling(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension, (D,) both; the deviation of a constant dimension counts as 1."""
    deviation, mean = torch.std_mean(features, dim=0, correction=0)
    constant = deviation <= 1e-6 * features.abs().amax(dim=0)
    return mean, deviation.masked_fill(constant, 1.0)


def hits(scores: Tensor, labels: Tensor, top: int = 1) -> Tensor:
    """Whether the right class is among the ``top`` best scored: (N, C), (N,) -> (N,) bool.

    Of equal scores the lower class goes first, as in argmax; a class scored -inf is never a hit.
    """
    own = scores.gather(1, labels[:, None])
    earlier = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
    rank = ((scores > own) | ((scores == own) & earlier)).sum(dim=1)
    return (rank < top) & ~own[:, 0].isneginf() & ~own[:, 0].isnan()


def standard_error(accuracy: float, n: int) -> float:
    """Binomial standard error ``sqrt(p (1 - p) / n)`` of an accuracy in 0-1 over n independent images."""
    return math.sqrt(accuracy * (1 - accuracy) / n)


def holdout(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split images at random, class by class: indices (rest, held out), both ascending.

    Each class gives round(share · its images), but at least one and never its last one.

    Args:
        labels: (N,), on the CPU.
        share: of the images to hold out, in (0, 1).
        seed: of the split; the global random state is neither read nor moved.

    Raises:
        ValueError: share out of range, or no class has two images.
    """
    if not 0 < share < 1:
        raise ValueError(f"holdout: expected a share in (0, 1), found {share}")
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        number = min(max(1, round(share * len(members))), len(members) - 1)
        held[members[torch.randperm(len(members), generator=generator)[:number]]] = True
    if not held.any():
        raise ValueError("holdout: expected a class with at least two images, found none")
    return (~held).nonzero()[:, 0], held.nonzero()[:, 0]


def holdout_groups(groups: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split rows at random, whole groups at a time: indices (rest, held out), both ascending.

    Args:
        groups: (N,) number of each row's group, on the CPU.
        share: of the groups to hold out, in (0, 1); at least one, and never the last one.
        seed: of the split; the global random state is neither read nor moved.

    Raises:
        ValueError: share out of range, or fewer than two groups.
    """
    if not 0 < share < 1:
        raise ValueError(f"holdout: expected a share in (0, 1), found {share}")
    names = groups.unique()
    if len(names) < 2:
        raise ValueError(f"holdout: expected at least two groups, found {len(names)}")
    number = min(max(1, round(share * len(names))), len(names) - 1)
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    held = torch.isin(groups, names[order[:number]])
    return (~held).nonzero()[:, 0], held.nonzero()[:, 0]


@dataclass(frozen=True)
class GroupedAccuracy:
    """Accuracy over rows that hang together in groups, such as the objects of one image.

    Attributes:
        hits: (G,) right answers in each group.
        rows: (G,) answers in each group.
    """

    hits: Tensor
    rows: Tensor

    @property
    def value(self) -> float:
        """Share of right answers over all rows, 0-1."""
        return float(self.hits.sum() / self.rows.sum())

    @property
    def standard_error(self) -> float | None:
        """Of ``value``, 0-1, over a new draw of groups; None of a single group."""
        return _ratio_error(self.hits, self.rows)

    def above(self, other: GroupedAccuracy) -> tuple[float, float | None]:
        """Difference to another classifier's accuracy on the same rows, and its standard error, both 0-1."""
        if not torch.equal(self.rows, other.rows):
            raise ValueError("difference of accuracies: expected answers to the same rows, found others")
        return self.value - other.value, _ratio_error(self.hits - other.hits, self.rows)


def grouped_accuracy(right: Tensor, groups: Tensor) -> GroupedAccuracy:
    """Right answers (N,) bool, counted by group (N,); the groups in ascending order."""
    _, group = groups.unique(return_inverse=True)
    rows = group.bincount()
    return GroupedAccuracy(torch.bincount(group, right.double(), len(rows)), rows)


def _ratio_error(sums: Tensor, rows: Tensor) -> float | None:
    """Standard error of ``sum(sums) / sum(rows)``, the groups drawn independently (Cochran 1977, equation 2.45).

    sqrt(G / (G - 1) Σ (s_g - r n_g)²) / Σ n_g; that of independent rows would be too small, as rows of a group are
    alike.
    """
    groups = len(rows)
    if groups < 2:
        return None
    residuals = sums - sums.sum() / rows.sum() * rows
    return float((groups / (groups - 1) * residuals.square().sum()).sqrt() / rows.sum())
