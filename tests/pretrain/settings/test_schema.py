import re
from pathlib import Path

import pytest
import torch

from pretrain.algorithm.pretraining import Pretraining
from pretrain.errors import InputError
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import Settings, load_settings
from pretrain.training.optimizers import build_optimizers


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
        ({"meta": {"look_ahead": True}}, "meta.trial=lower"),
        ({"meta": {"base": "inline", "fraction": 0.5}}, "expected 1 with base=inline"),
        ({"optimizer": {"name": "lars"}}, "meta.trial_lr: expected a number"),
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
        {"meta": {"look_ahead": True, "trial": "lower", "upper": "lower", "every": 4}},
        {"run": {"precision": "fp16"}, "meta": {"look_ahead": True, "trial": "lower"}},
        {"run": {"precision": "fp16", "compile": True}, "meta": {"precision": "bf16"}},
    ],
)
def test_unusual_but_meaningful_settings_are_accepted(config):
    load_settings(config)


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


CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "pretrain").glob("*.py"))


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
