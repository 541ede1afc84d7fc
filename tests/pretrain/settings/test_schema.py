import re
from pathlib import Path

import pytest
import torch

from pretrain.algorithm.pretraining import Pretraining
from pretrain.errors import InputError
from pretrain.method.methods import METHODS
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import ADAM_LR, load_settings
from pretrain.training.optimizers import build_optimizers

CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "pretrain").glob("*.py"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"optimiser": {}}, "did you mean optimizer"),
        ({"optimizer": {"learning_rate": 1}}, "optimizer.learning_rate"),
        ({"optimizer": 3}, "expected a section"),
        ({"data": {"batch": 1}}, "data.batch: expected a whole number from 2"),
        ({"method": "moco"}, "method: expected one of"),
        ({"objective": {"contrastive": 0, "redundancy": 0}}, "at least one of"),
        ({"objective": {"coding_order": 3}}, "even number"),
        ({"objective": {"coding_distortion": 0.001}}, r"expected more than 1 / min\(batch, width\)"),
        ({"optimizer": {"name": "lars"}, "meta": {"optimizer": "sgd"}}, "meta.mask_lr, meta.fusion_lr: expected"),
        (
            {"method": "metamask", "optimizer": {"name": "adamw"}, "meta": {"optimizer": "sgd"}},
            "meta.mask_lr: expected a number",
        ),
        (
            {"method": "simclr_compmod", "optimizer": {"name": "adamw"}, "meta": {"trial": "meta"}},
            "use meta.trial=lower",
        ),
        ({"meta": {"optimizer": "lars"}}, "meta.optimizer: expected one of adam, sgd"),
        ({"objective": {"balance": "norm"}}, "objective.balance: expected one of gradient, none"),
        (
            {"method": "simclr_compmod", "objective": {"comp_weight": 0}, "meta": {"hypergradient": "first_order"}},
            "would get no gradient",
        ),
        ({"run": {"precision": "fp8"}}, "run.precision: expected one of fp32, bf16, fp16"),
        ({"run": {"compile": 1}}, "run.compile: expected bool, found 1"),
        ({"meta": {"precision": "fp16"}}, "meta.precision: expected one of fp32, bf16"),
        ({"meta": {"precision": "bf16", "hypergradient": "finite_difference"}}, "meta.precision=bf16: expected fp32"),
        ({"views": {"colour": "gpu"}}, "views.colour: expected one of loader, device, found 'gpu'"),
    ],
)
def test_what_cannot_work_is_one_line(config, message):
    with pytest.raises(InputError, match=message) as error:
        load_settings(config)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "config",
    [
        {"optimizer": {"momentum": 0}},
        {"method": "simclr_compmod", "optimizer": {"clip": 1.0}},
        {"method": "simclr_compmod", "objective": {"mcr_weight": 0}},
        {"meta": {"hypergradient": "first_order"}},
        {"meta": {"hypergradient": "single_level"}, "optimizer": {"name": "adamw"}},
        {"optimizer": {"name": "lars"}, "meta": {"trial_lr": 0.03}},
        {"optimizer": {"name": "adamw"}, "meta": {"optimizer": "sgd", "mask_lr": 0.03, "fusion_lr": 0.03}},
        {"method": "simclr", "optimizer": {"name": "adamw"}, "meta": {"optimizer": "sgd"}},
        {"run": {"precision": "fp16", "compile": True}, "meta": {"precision": "bf16"}},
    ],
)
def test_unusual_but_meaningful_settings_are_accepted(config):
    load_settings(config)


@pytest.mark.parametrize("path", [p for p in CONFIGS if "_cifar10_" in p.name], ids=lambda p: p.stem)
def test_the_papers_configs_keep_the_papers_objective(path):
    s = load_settings(read_config(path))
    assert (s.objective.balance, s.objective.mcr, s.objective.compactness) == ("none", 0.1, 0.01)
    assert (s.meta.trial, s.meta.optimizer, s.optimizer.name, s.meta.clip) == ("meta", "sgd", "sgd", None)
    row = METHODS[s.method]
    assert s.resolved_method() == row
    assert s.upper_lr("mask") == s.optimizer.lr


def test_rates_of_the_upper_level_are_adams_or_ws():
    assert load_settings({}).upper_lr("mask") == ADAM_LR["mask"]
    assert load_settings({"meta": {"fusion_lr": 0.5}}).upper_lr("fusion") == 0.5
    assert load_settings({"meta": {"optimizer": "sgd"}, "optimizer": {"lr": 0.2}}).upper_lr("fusion") == 0.2


@pytest.mark.parametrize("path", [p for p in CONFIGS if not p.name.startswith("base_")], ids=lambda p: p.stem)
def test_every_config_loads_and_says_how_to_run_it(path):
    settings = load_settings(read_config(path))
    assert path.stem.startswith(f"{settings.method}_{settings.backbone.arch.replace('resnet', 'r')}_")
    header = path.read_text().split("\n_base_")[0]
    assert re.search(rf"_{settings.schedule.epochs}e|_demo$", path.stem)
    assert f"python -m pretrain configs/pretrain/{path.name}" in header
    assert "Hardware:" in header


@pytest.mark.parametrize("path", [p for p in CONFIGS if not p.name.startswith("base_")], ids=lambda p: p.stem)
def test_every_config_can_be_built(path):
    """Every tensor's shape, on a device that holds none of them."""
    settings = load_settings(read_config(path))
    with torch.device("meta"):
        model = Pretraining(settings=settings, iterations=10)
        optimizers = build_optimizers(model)
    assert sum(p.numel() for p in model.lower_parameters()) > 1e7
    assert ("mask" in optimizers) == settings.resolved_method().mask
