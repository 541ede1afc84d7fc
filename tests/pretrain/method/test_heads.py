import pytest
import torch
from torch import nn

from pretrain.method.heads import DimensionalMask, ViewFusion, mlp


def test_mlp_has_a_norm_after_every_layer_but_the_last():
    kinds = [type(layer) for layer in mlp([4, 5, 6, 7])]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert [type(layer) for layer in mlp([4, 5, 6], last_norm=True)][-1] is nn.BatchNorm1d


def test_a_layer_followed_by_a_norm_has_no_bias():
    layers = [layer for layer in mlp([4, 5, 6]) if isinstance(layer, nn.Linear)]
    assert [layer.bias is None for layer in layers] == [True, False]


@pytest.mark.parametrize(("form", "start"), [("sigmoid", 0.5), ("identity", 1.0)])
def test_the_mask_starts_neutral(form, start):
    h = torch.randn(2, 3, 4)
    assert torch.equal(DimensionalMask(width=4, form=form)(h), h * start)


def test_a_common_scale_of_the_mask_cancels_in_the_head():
    """Linear then batch norm: only ratios of mask weights count, so that dL/dM is orthogonal to M."""
    torch.manual_seed(0)
    head = mlp([6, 8, 4], last_norm=True).double()
    for layer in head:
        if isinstance(layer, nn.BatchNorm1d):
            layer.eps = 1e-14
    h, m = torch.randn(16, 6).double(), torch.rand(6).double().add(0.1).requires_grad_()
    (gradient,) = torch.autograd.grad(head(h * m).square().sin().sum(), m)
    m = m.detach()
    assert abs(float(gradient @ m)) < 1e-10 * float(gradient.norm() * m.norm())


def test_wrong_width_is_named():
    with pytest.raises(ValueError, match=r"width 4, found \(2, 3, 5\)"):
        DimensionalMask(width=4)(torch.zeros(2, 3, 5))
    with pytest.raises(ValueError, match="'tanh'"):
        DimensionalMask(width=4, form="tanh")


def test_the_fusion_sees_both_views():
    torch.manual_seed(0)
    fusion, h = ViewFusion(width=4, out=3), torch.randn(2, 5, 4)
    assert fusion(h).shape == (5, 3)
    assert not torch.allclose(fusion(h), fusion(torch.stack([h[0], h[0]])))
