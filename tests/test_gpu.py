"""On a CUDA device: every method takes the same first step as on the CPU, and the modes of the upper level run."""

import copy

import pytest
import torch

from pretrain.method.methods import METHODS
from pretrain.training.optimizers import build_optimizers
from tests.cases.pretrainings import batch, start

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def exact_arithmetic():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("method", METHODS)
def test_the_first_step_is_the_cpus(method):
    on_cpu, cpu_optimizers = start(method, resnet18=True)
    on_gpu = copy.deepcopy(on_cpu).cuda()
    if on_gpu.upper is not None:
        on_gpu.upper.backbone, on_gpu.upper.objective = on_gpu.backbone, on_gpu.objective
    logs = [on_cpu.train_step(batch(0), cpu_optimizers), on_gpu.train_step(batch(0), build_optimizers(on_gpu))]
    for name in ("loss", "redundancy", "contrastive", "bootstrap", "dense", "mcr"):
        if name in logs[0]:
            assert float(logs[1][name]) == pytest.approx(float(logs[0][name]), rel=1e-3)


@pytest.mark.parametrize("mode", ["feature_difference", "forward_mode", "finite_difference", "first_order"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_mode_runs(mode, precision):
    model, _ = start("metamask_compmod", resnet18=True, meta={"hypergradient": mode}, run={"precision": precision})
    model = model.cuda()
    optimizers = build_optimizers(model)
    for k in range(3):
        log = model.train_step(batch(k), optimizers)
        assert all(torch.isfinite(v) for v in log.values())
