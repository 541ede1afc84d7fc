import pytest
import torch

from pretrain.method.trial_step import TrialStep, Weights, take


@pytest.mark.parametrize("clip", [None, 1.5])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_trial_step_is_torchs_sgd(momentum, clip):
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(5, dtype=torch.float64))
    optimizer = torch.optim.SGD([p], lr=0.1, momentum=momentum, weight_decay=0.01)
    for _ in range(3):
        gradient = torch.randn(5, dtype=torch.float64)
        buffer = optimizer.state[p].get("momentum_buffer")
        step = TrialStep(0.1, momentum, 0.01, None if buffer is None else [buffer.clone()], clip)
        ahead = take(Weights({"p": p.detach().clone()}, {}), [gradient.clone()], step)
        p.grad = gradient
        if clip is not None:
            torch.nn.utils.clip_grad_norm_([p], clip)
        optimizer.step()
        assert torch.allclose(ahead.backbone["p"], p.detach(), rtol=1e-14)
