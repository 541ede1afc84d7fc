"""One process here; what several compute together is compared in test_ranks.py, step by step."""

import pytest
import torch
from torch import nn

from pretrain.backbones import build_backbone
from pretrain.distributed.sync_norm import SyncBatchNorm2d, synchronise


def test_every_norm_is_replaced_and_keeps_weights_and_statistics():
    torch.manual_seed(0)
    plain = build_backbone("resnet18")
    for norm in plain.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
    names = {k: v.clone() for k, v in plain.state_dict().items()}
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    synchronise(plain)
    assert sum(isinstance(m, SyncBatchNorm2d) for m in plain.modules()) == norms == 20
    assert all(torch.equal(v, names[k]) for k, v in plain.state_dict().items())
    assert plain.state_dict().keys() == names.keys()


@pytest.mark.parametrize("training", [True, False])
def test_one_process_is_the_stock_norm_to_the_bit(training):
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5, 5)
    stock, ours = nn.BatchNorm2d(3).train(training), SyncBatchNorm2d(3).train(training)
    assert torch.equal(stock(x), ours(x))
    assert torch.equal(stock.running_var, ours.running_var)


def test_a_norm_without_what_is_shared_is_refused():
    with pytest.raises(ValueError, match="expected weights, running statistics and a momentum"):
        synchronise(nn.Sequential(nn.BatchNorm2d(3, affine=False)))
