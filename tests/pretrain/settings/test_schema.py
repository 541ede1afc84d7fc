import re
from pathlib import Path

import pytest
import torch

from pretrain.algorithm.pretraining import Pretraining
from pretrain.errors import InputError
from pretrain.method.methods import METHODS
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import ADAM_LR, Settings, load_settings
from pretrain.training.optimizers import build_optimizers

CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "pretrain").glob("*.py"))


def test_sections_are_filled_and_numbers_converted():
    s = load_settings({"method": "simclr", "optimizer": {"lr": 1}, "data": {"mean": [0, 0, 0]}})
    assert s.optimizer.lr == 1.0
    assert s.data.mean == (0.0, 0.0, 0.0)
    assert s.objective == Settings().objective


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"optimiser": {}}, "did you mean optimizer"),
        ({"optimizer": {"learning_rate": 1}}, "optimizer.learning_rate"),
        ({"optimizer": {"lr": "fast"}}, "optimizer.lr: expected float, found 'fast'"),
        ({"optimizer": 3}, "expected a section"),
        ({"data": {"batch": 1}}, "data.batch: expected at least 2"),
        ({"data": {"batch": True}}, "data.batch: expected int, found True"),
        ({"data": {"std": [0, 1, 1]}}, "std > 0"),
        ({"method": "moco"}, "method: expected one of"),
        ({"objective": {"contrastive": 0, "redundancy": 0}}, "at least one of"),
        ({"objective": {"coding_order": 3}}, "even number"),
        ({"objective": {"coding_distortion": 0.001}}, r"expected more than 1 / min\(batch, width\)"),
        ({"objective": {"temperature": 0}}, "temperature"),
        ({"meta": {"hypergradient": "exact"}}, "meta.hypergradient"),
        ({"optimizer": {"clip": 0.0}}, "optimizer.clip"),
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
        ({"meta": {"betas": [0.5]}}, "meta.betas: expected two numbers"),
        ({"meta": {"clip": 0}}, "meta.clip: expected a number above 0"),
        ({"objective": {"balance": "norm"}}, "objective.balance: expected one of gradient, none"),
        ({"objective": {"balance_every": 0}}, "objective.balance_every"),
        ({"objective": {"comp_weight": -1}}, "objective.mcr_weight, comp_weight: expected numbers >= 0"),
        ({"schedule": {"warmup_share": 1.5}}, "schedule.warmup_share"),
        (
            {"method": "simclr_compmod", "objective": {"comp_weight": 0}, "meta": {"hypergradient": "first_order"}},
            "would get no gradient",
        ),
        ({"run": {"precision": "fp8"}}, "run.precision: expected one of fp32, bf16, fp16"),
        ({"run": {"compile": 1}}, "run.compile: expected bool, found 1"),
        ({"meta": {"precision": "fp16"}}, "meta.precision: expected one of fp32, bf16"),
        ({"meta": {"precision": "bf16", "hypergradient": "finite_difference"}}, "meta.precision=bf16: expected fp32"),
        ({"views": {"colour": "gpu"}}, "views.colour: expected one of loader, device, found 'gpu'"),
        ({"views": {"blur_min": 3.0}}, "views.blur_min, blur_max: expected 0 <= min <= max"),
        ({"run": {"knn_every": -1}}, "run.knn_every: expected a whole number of epochs"),
        ({"meta": {"every": 0}}, "meta.every"),
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


def test_overrides_reach_into_sections(tmp_path):
    (tmp_path / "base.py").write_text("method = 'simclr'\noptimizer = dict(lr=0.1, momentum=0.8)\n")
    (tmp_path / "c.py").write_text("_base_ = 'base.py'\noptimizer = dict(lr=0.2)\n")
    config = read_config(tmp_path / "c.py", ["data.batch=32", "views.size=48", "meta.base=none", "method=byol"])
    assert config["optimizer"] == {"lr": 0.2, "momentum": 0.8}
    s = load_settings(config)
    assert (s.data.batch, s.views.size, s.meta.base, s.method) == (32, 48, None, "byol")


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("method = ", [], "cannot be read"),
        ("method = nothing", [], "cannot be read"),
        ("method = 'simclr'", ["data.batch"], "expected KEY=VALUE"),
        ("method = 'simclr'", ["method.name=1"], "expected a section"),
    ],
)
def test_unreadable_configs_are_one_line(tmp_path, text, overrides, message):
    (tmp_path / "c.py").write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(tmp_path / "c.py", overrides)


def test_a_missing_config_says_where_configs_are(tmp_path):
    with pytest.raises(InputError, match="configs/pretrain"):
        read_config(tmp_path / "none.py")


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


def test_a_config_is_found_by_its_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("simclr_r18_any_100e", "configs/pretrain/simclr_r18_any_100e.py"):
        assert read_config(Path(name))["method"] == "simclr"


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("schedule", {"epochs": 0}),
        ("schedule", {"epochs": -1}),
        ("schedule", {"iterations": 0}),
        ("schedule", {"iterations": -3}),
        ("schedule", {"warmup_epochs": -0.5}),
        ("schedule", {"warmup_epochs": float("nan")}),
        ("schedule", {"warmup_epochs": float("inf")}),
        ("data", {"workers": -1}),
        ("data", {"max_unreadable": -0.1}),
        ("data", {"max_unreadable": float("nan")}),
        ("data", {"mean": [float("nan"), 0, 0]}),
        ("data", {"std": [1, 1, float("inf")]}),
        ("views", {"ratio": 0.5}),
        ("views", {"ratio": float("nan")}),
        ("views", {"crop_min": float("nan")}),
        ("views", {"jitter": float("nan")}),
        ("views", {"hue": float("nan")}),
        ("views", {"blur_max": float("inf")}),
        ("run", {"seed": -1}),
        ("run", {"seed": 2**32}),
        ("run", {"target_momentum": 1.5}),
        ("run", {"target_momentum": float("nan")}),
        ("run", {"log_every": 0}),
    ],
)
def test_numbers_out_of_range_are_one_line_before_anything_is_built(section, values):
    with pytest.raises(InputError, match=f"{section}") as error:
        load_settings({section: values})
    assert "\n" not in str(error.value)
