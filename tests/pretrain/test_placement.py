"""Whole steps on a device on which nothing of the host may be mixed in and no value can be read.

Every wait of the host for the device is listed here: one an iteration, where the step's scalars are fetched.
"""

import copy

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from pretrain.algorithm import lower, pretraining, target, trial_steps, upper
from pretrain.backbones import build_backbone, feature_width
from pretrain.method import balance, bilevel, coding, objective
from pretrain.method.methods import METHODS
from pretrain.probes.features import Input
from pretrain.training import online_knn
from pretrain.training.loop import on_host
from pretrain.training.optimizers import build_optimizers
from tests.cases.placement import DEVICE, Misplaced, Watch, without_autocast
from tests.cases.pretrainings import OPTIMIZERS, batch, settings

# Beyond these an iteration waits for nothing; `log` are those of the iterations that write a line.
LOG = {
    "pretrain/method/health.py:_finite",  # a decomposition of what is not finite would raise
    "pretrain/method/health.py:mask_summary",  # three quantiles, uploaded
}
ITERATION = ["pretrain/training/loop.py:on_host"]
# method, then sections of the settings
MODES = {
    "post, exact": ("metamask_compmod", {"meta": {"hypergradient": "forward_mode"}}),
    "post, difference of gradients": ("metamask_compmod", {"meta": {"hypergradient": "finite_difference"}}),
    "post, first order": ("metamask_compmod", {"meta": {"hypergradient": "first_order"}}),
    "single level": ("metamask_compmod", {"meta": {"hypergradient": "single_level"}}),
    "the release's trial step": ("metamask_compmod", {"meta": {"trial": "meta"}}),
    "inline": ("metamask_compmod", {"meta": {"base": "inline"}}),
    "inline, the release's trial step": ("metamask_compmod", {"meta": {"base": "inline", "trial": "meta"}}),
    "inline, clipped": ("metamask_compmod", {"meta": {"base": "inline"}, "optimizer": {"lr": 0.01, "clip": 0.1}}),
    "every other": ("metamask_compmod", {"meta": {"every": 2}}),
    "micro-batches": (
        "metamask_compmod",
        {"optimizer": {"lr": 0.01, "accumulate": 2}, "objective": {"coding_distortion": 0.7}},
    ),
    "plain sum": ("metamask_compmod", {"objective": {"balance": "none"}}),
    **{name: ("byol_compmod", {"optimizer": {"lr": 0.01, **row}}) for name, row in OPTIMIZERS.items()},
}


@pytest.fixture(autouse=True)
def _on_the_device(monkeypatch):
    without_autocast(monkeypatch)
    monkeypatch.setattr(pretraining, "build_backbone", small)
    monkeypatch.setattr(pretraining, "feature_width", lambda arch: 8)


def small(arch, stem, *, maps=False):
    """Every kind of layer that a ResNet has, once: what an operation costs here is Python."""
    norm = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
    pool = [] if maps else [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), norm, *pool)


def trainee(method, **sections):
    torch.manual_seed(0)
    wanted = settings(method, sections.pop("objective", None), **{"run": {"log_every": 100}, **sections})
    model = pretraining.Pretraining(settings=wanted, iterations=200).train().to(DEVICE)
    return model, build_optimizers(model)


def steps(model, optimizers, count=2):
    """Take steps as the loop does; return where the host waited."""
    with Watch() as watch:
        for k in range(count):
            log = on_host(model.train_step(batch(k), optimizers))
    assert all(value.device.type == "cpu" for value in log.values())
    return watch.waits


@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_every_method_waits_for_the_log_alone(method):
    assert steps(*trainee(method)) == 2 * ITERATION


@pytest.mark.parametrize("mode", MODES)
def test_a_step_of_every_mode_waits_for_the_log_alone(mode):
    method, sections = MODES[mode]
    assert steps(*trainee(method, **sections)) == 2 * ITERATION


def test_a_step_of_a_whole_resnet(monkeypatch):
    monkeypatch.setattr(pretraining, "build_backbone", build_backbone)
    monkeypatch.setattr(pretraining, "feature_width", feature_width)
    assert steps(*trainee("metamask_compmod"), count=1) == ITERATION


def test_what_an_iteration_with_a_line_of_the_log_waits_for():
    for method in ("metamask_compmod", "byol"):
        assert set(steps(*trainee(method, run={"log_every": 1}))) <= LOG | set(ITERATION)


@pytest.mark.filterwarnings("ignore:for .* which is a no-op:UserWarning")  # there is no value to copy
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars"])
def test_a_state_that_was_saved_on_the_host_goes_on_on_the_device(optimizer):
    on_host_, optimizers = trainee("metamask_compmod", optimizer={"name": optimizer, "lr": 0.01})
    torch.manual_seed(0)
    saved = pretraining.Pretraining(settings=on_host_.settings, iterations=200).train()
    own = build_optimizers(saved)
    for k in range(2):
        saved.train_step(batch(k), own)
    weights, states = copy.deepcopy(saved.state_dict()), copy.deepcopy(own.state_dict())
    with Watch():
        on_host_.load_state_dict(weights)
        optimizers.load_state_dict(states)
    # What was read from the device is one there; the host's own counts tell the truth.
    on_host_.iterations_done, on_host_.objective.balance.times_measured = 2, 2
    assert steps(on_host_, optimizers) == 2 * ITERATION


def test_the_look_at_the_neighbours(tmp_path, monkeypatch):
    model, _ = trainee("simclr")
    look = online_knn.OnlineKnn.__new__(online_knn.OnlineKnn)
    Hook.__init__(look)
    images = _Images()
    look.bank, look.query, look.classes = images, images, ("a", "b")
    look.how, look.batch, look.workers = Input(16, 16, (0.5,) * 3, (0.2,) * 3), 4, 0
    with Watch() as watch:
        values = look.look(model.backbone)
    assert values["knn"] >= 0
    assert set(watch.waits) <= {f"pretrain/probes/features.py:{name}" for name in ("extract_features", "_batches")}


class _Images:
    labels = torch.tensor([0, 1, 0, 1, 0, 1])

    def __len__(self):
        return len(self.labels)

    def read(self, k):
        return torch.full((20, 24, 3), k, dtype=torch.uint8).numpy()


# What a fault looks like: a tensor made without a device, in each part that a step is made of.
def _loss(m):
    real = objective.nt_xent_loss
    m.setattr(objective, "nt_xent_loss", lambda a, b, t: real(a, b * torch.ones(b.shape[1]), t))


def _objective(m):
    real = objective.Objective.masked
    m.setattr(objective.Objective, "masked", lambda self, h: real(self, h) * torch.ones(h.shape[-1]))


def _trial_step(m):
    real = trial_steps.TrialStep

    def planted(lr, momentum=0.0, decay=0.0, buffers=None, *rest, **more):
        return real(lr, momentum, decay, [torch.zeros(b.shape) for b in buffers] if buffers else None, *rest, **more)

    m.setattr(trial_steps, "TrialStep", planted)


def _jvp(m):
    real = bilevel.feature_tangent
    m.setattr(bilevel, "feature_tangent", lambda *args: real(*args) + torch.zeros(6, 1))


def _ema(m):
    def follow(self, net, projector, momentum):
        online = [torch.zeros(p.shape) for p in (*net.parameters(), *projector.parameters())]
        with torch.no_grad():
            torch._foreach_lerp_(list(self.parameters()), online, 1 - momentum)

    m.setattr(target.Target, "follow", follow)


def _coding(m):
    real = coding._trace_of_log_series
    m.setattr(coding, "_trace_of_log_series", lambda x, order: real(x + torch.eye(len(x)), order))


def _balance(m):
    def update(self, value):
        self.total = torch.zeros(()).add_(value.detach())

    m.setattr(balance.RunningMean, "update", update)


def _real_step(m):
    real = lower.Gradients.add

    def add(self, loss, optim, inputs=None):
        real(self, loss, optim, inputs)
        for p in self.backbone.parameters():
            p.grad.add_(torch.ones(p.shape))

    m.setattr(lower.Gradients, "add", add)


def _wait(m):
    real = upper.back_through

    def waiting(v, gradient, step):
        assert float(v.tensors()[0].sum())
        return real(v, gradient, step)

    m.setattr(upper, "back_through", waiting)


PLANTED = [_loss, _objective, _trial_step, _jvp, _ema, _coding, _balance, _real_step]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__.strip("_"))
def test_a_tensor_of_the_host_in_any_part_is_seen(plant, monkeypatch):
    method = "byol_compmod" if plant is _ema else "metamask_compmod"
    model, optimizers = trainee(method)
    plant(monkeypatch)
    with pytest.raises(Misplaced):
        steps(model, optimizers, 3)


def test_a_hidden_wait_is_seen(monkeypatch):
    model, optimizers = trainee("metamask_compmod", meta={"base": "inline"})
    _wait(monkeypatch)
    assert len(steps(model, optimizers)) > 2
