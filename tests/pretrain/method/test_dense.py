"""DenseCL's matches on maps where they are known, and its loss against the formula written out with loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from pretrain.method.dense import best_matches, cells_of, dense_contrastive_loss

N, C, D, T = 3, 4, 5, 0.2


@pytest.fixture
def cells():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(N, C, D, dtype=torch.float64, generator=generator) for _ in range(2)]


def unit(x):
    return x / x.norm()


def loss_by_hand(a, b, t):
    """Wang et al. 2021, eq. 2, cell by cell, with the matches of the very embeddings; both directions averaged."""
    total = 0.0
    pooled = [[unit(view[n].mean(0)) for n in range(N)] for view in (a, b)]
    for query, key in ((a, b), (b, a)):
        for n in range(N):
            for i in range(C):
                r = unit(query[n, i])
                cosines = [float(r @ unit(key[n, j])) for j in range(C)]
                positive = math.exp(max(cosines) / t)
                others = sum(math.exp(float(r @ view[m]) / t) for view in pooled for m in range(N) if m != n)
                total += -math.log(positive / (positive + others)) / (2 * N * C)
    return total


def test_the_loss_is_the_formula(cells):
    a, b = cells
    assert float(dense_contrastive_loss(a, b, *best_matches(a, b), T)) == pytest.approx(
        loss_by_hand(a, b, T), rel=1e-12
    )


def test_matches_come_from_where_they_are_told(cells):
    """With the cells of view 2 in another order and the matches turned with them the loss is the same."""
    a, b = cells
    there, back = best_matches(a, b)
    order = torch.tensor([2, 0, 3, 1])
    place = order.argsort()
    turned = dense_contrastive_loss(a, b[:, order], place[there], back[:, order], T)
    assert float(turned) == pytest.approx(float(dense_contrastive_loss(a, b, there, back, T)), rel=1e-12)
    assert float(dense_contrastive_loss(a, b[:, order], there, back, T)) != pytest.approx(float(turned), rel=1e-3)


def test_a_shifted_crop_matches_the_cells_that_show_the_same():
    """A 3 by 3 map whose view 2 is shifted by one column: cells of columns 1, 2 reappear in columns 0, 1, brighter.

    Lengths do not count: view 2's features are three times as long.
    """
    features = torch.eye(12, 16).reshape(3, 4, 16)  # a scene of 3 rows and 4 columns, each place like no other
    scene = features.permute(2, 0, 1)[None]
    a, b = cells_of(scene[..., :3], 3), cells_of(3 * scene[..., 1:], 3)
    there, back = (match.reshape(3, 3) for match in best_matches(a, b))
    assert there[:, 1:].tolist() == [[0, 1], [3, 4], [6, 7]]
    assert back[:, :2].tolist() == [[1, 2], [4, 5], [7, 8]]


def test_cells_are_the_map_row_by_row_and_large_maps_are_pooled():
    maps = torch.arange(2 * 6 * 6, dtype=torch.float64).reshape(1, 2, 6, 6)
    assert torch.equal(cells_of(maps, 7), maps.flatten(2).transpose(1, 2))
    pooled = cells_of(maps[None], 3)
    assert pooled.shape == (1, 1, 9, 2)
    assert torch.equal(pooled[0], F.avg_pool2d(maps, 2).flatten(2).transpose(1, 2))


def test_cells_all_alike_give_the_log_of_the_candidates():
    z = torch.ones(8, C, D, dtype=torch.float64)
    match = torch.zeros(8, C, dtype=torch.long)
    assert float(dense_contrastive_loss(z, z, match, match)) == pytest.approx(math.log(2 * 8 - 1), rel=1e-12)


def test_an_image_is_no_negative_of_its_own_cells():
    """By hand, with the other image's mean alone as negative, once for each view."""
    a = torch.tensor([[[1.0, 0.0], [-1.0, 1e-3]], [[0.0, 1.0], [0.0, 1.0]]], dtype=torch.float64)
    match = torch.tensor([[0, 1], [0, 1]])
    loss = dense_contrastive_loss(a, a, match, match, 1.0)
    terms = []
    for n, i in ((0, 0), (0, 1), (1, 0), (1, 1)):
        other = unit(a[1 - n].mean(0))
        terms.append(math.log1p(2 * math.exp(float(unit(a[n, i]) @ other) - 1)))
    assert float(loss) == pytest.approx(sum(terms) / 4, rel=1e-12)


def test_no_gradient_flows_through_the_matches(cells):
    a, b = (z.requires_grad_() for z in cells)
    assert not any(match.requires_grad for match in best_matches(a, b))


@pytest.mark.parametrize(
    ("shapes", "match"),
    [
        (((3, 4, 5), (3, 4, 6)), (3, 4)),
        (((1, 4, 5), (1, 4, 5)), (1, 4)),
        (((3, 5), (3, 5)), (3,)),
        (((3, 4, 5), (3, 4, 5)), (3, 3)),
    ],
)
def test_wrong_shapes_are_named(shapes, match):
    index = torch.zeros(match, dtype=torch.long)
    with pytest.raises(ValueError, match=r"cells of two views: expected .* found \(") as error:
        dense_contrastive_loss(*(torch.zeros(s) for s in shapes), index, index)
    assert str(shapes[1]) in str(error.value)


def test_temperature_must_be_positive(cells):
    with pytest.raises(ValueError, match="temperature"):
        dense_contrastive_loss(*cells, *best_matches(*cells), 0.0)
