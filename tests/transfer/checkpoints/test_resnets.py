import pytest
import torch
import torchvision

from transfer.checkpoints import resnets
from transfer.checkpoints.resnets import SPECS


@pytest.mark.parametrize("arch", SPECS)
def test_names_shapes_and_order_are_torchvisions(arch):
    with torch.device("meta"):
        model = torchvision.models.get_model(arch, weights=None)
    wanted = {
        name: tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }
    assert list(resnets.expected(SPECS[arch]).items()) == list(wanted.items())


@pytest.mark.parametrize(("arch", "tensors"), [("resnet18", 100), ("resnet50", 265)])
def test_published_counts(arch, tensors):
    assert len(resnets.expected(SPECS[arch])) == tensors


@pytest.mark.parametrize("stem", resnets.STEMS)
@pytest.mark.parametrize("arch", SPECS)
def test_each_architecture_is_recognised_among_all(arch, stem):
    shapes = dict(resnets.expected(SPECS[arch], stem))
    assert resnets.recognise(shapes) == (SPECS[arch], stem)
    del shapes["layer4.1.bn2.bias"]
    assert resnets.recognise(shapes) == (SPECS[arch], stem)


def test_a_strange_network_is_not_recognised():
    assert resnets.recognise({"patch_embed.weight": (768, 3, 16, 16)}) is None
    assert resnets.recognise({}) is None
