import math
from pathlib import Path

import pytest

from pretrain.errors import InputError
from pretrain.settings.config_files import config_text, read_config
from pretrain.settings.schema import Settings, as_plain, load_settings


def test_overrides_reach_into_sections(tmp_path):
    (tmp_path / "base.py").write_text("method = 'simclr'\noptimizer = dict(lr=0.1, momentum=0.8)\n")
    (tmp_path / "c.py").write_text("_base_ = 'base.py'\noptimizer = dict(lr=0.2)\n")
    overrides = ["data.batch=32", "views.size=48", "meta.base=none", "method=byol", "objective.balance=none"]
    config = read_config(tmp_path / "c.py", overrides)
    assert config["optimizer"] == {"lr": 0.2, "momentum": 0.8}
    s = load_settings(config)
    assert (s.data.batch, s.views.size, s.meta.base, s.method) == (32, 48, None, "byol")
    assert s.objective.balance == "none"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e400", math.inf),
        ("(1, 2)", (1, 2)),
        ("True", True),
        ("none", None),
        ("a=b", "a=b"),
        ("", ""),
        ("(" * 5000, "(" * 5000),
        ("-" * 5000 + "1", "-" * 5000 + "1"),
        ("{[]: 1}", "{[]: 1}"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_an_override_is_a_value_of_python_or_a_text(text, value):
    assert read_config({}, [f"run.seed={text}"]) == {"run": {"seed": value}}


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("method = ", [], "cannot be read"),
        ("method = nothing", [], "cannot be read"),
        ("raise SystemExit", [], "cannot be read: SystemExit; mend the file"),
        ("method = 'simclr'", ["data.batch"], "expected KEY=VALUE"),
        ("method = 'simclr'", ["method.name=1"], "expected a section"),
    ],
)
def test_unreadable_configs_are_one_line(tmp_path, text, overrides, message):
    (tmp_path / "c.py").write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(tmp_path / "c.py", overrides)


@pytest.mark.parametrize("name", ["base_r18_any", "base_r18_cifar10.py", "base_r50_imagenet"])
def test_a_config_that_others_are_built_on_runs_only_with_a_method(name):
    with pytest.raises(InputError, match=f"config {name}: expected one that names a method, found one that others"):
        read_config(Path(name), ["data.batch=32"])
    assert read_config(Path(name), ["method=simclr"])["method"] == "simclr"


def test_a_missing_config_says_where_configs_are(tmp_path):
    with pytest.raises(InputError, match="configs/pretrain"):
        read_config(tmp_path / "none.py")


def test_a_config_is_found_by_its_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("simclr_r18_any_100e", "configs/pretrain/simclr_r18_any_100e.py"):
        assert read_config(Path(name))["method"] == "simclr"


def test_a_whole_config_is_written_as_one_that_reads_the_same(tmp_path):
    settings = load_settings({"method": "simclr", "data": {"mean": [0.1, 0.2, 0.3]}, "meta": {"start": 7}})
    (tmp_path / "whole.py").write_text(config_text(as_plain(settings)))
    assert load_settings(read_config(tmp_path / "whole.py")) == settings != Settings()
