"""A compiled backbone: the same training up to rounding, under the same names; and what happens without a compiler.

Compiling takes minutes on a busy machine, so all but the last is slow.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from pretrain.__main__ import main
from pretrain.algorithm.compilation import Compiled
from pretrain.backbones import load_backbone
from pretrain.errors import InputError
from pretrain.settings.schema import load_settings
from pretrain.training import changes
from pretrain.training.checkpoint_files import find_checkpoints
from pretrain.training.optimizers import build_optimizers
from tests.cases.bilevel_cases import relative_error
from tests.cases.rank_cases import model_of, share_of
from tests.cases.runs import arguments, write_inputs

ROOT = Path(__file__).parents[3]
WAYS = {
    "post": {},
    "inline": {"base": "inline"},
    "inline, trial=meta": {"base": "inline", "trial": "meta"},
}


def trained(method, **sections):
    model = model_of(method, **sections).double()
    optimizers = build_optimizers(model)
    return model, [model.train_step(share_of(k, size=32), optimizers) for k in range(3)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on its way through inductor
@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_same_training_under_the_same_names(quick, way):
    """In float64, where another order of the sums is all that may differ."""
    sections = {"meta": WAYS[way], "optimizer": {"lr": 0.01, "clip": 0.5}}
    plain, plain_logs = trained("metamask_compmod", **sections)
    model, logs = trained("metamask_compmod", **sections, run={"compile": True})
    assert list(model.state_dict()) == list(plain.state_dict())
    assert relative_error(model.state_dict(), plain.state_dict()) < 1e-9
    for log, other in zip(logs, plain_logs, strict=True):
        for name in other:
            assert float(log[name]) == pytest.approx(float(other[name]), rel=1e-8), name
    differ = [k for k, t in plain.state_dict().items() if not torch.equal(t, model.state_dict()[k])]
    assert differ, "it was not compiled"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_one_graph_is_one_line(quick):
    class Breaks(nn.Module):
        def forward(self, x):
            torch._dynamo.graph_break()
            return x + 1

    with pytest.raises(InputError, match="expected the backbone as one compiled graph, found that Unsupported") as e:
        Compiled(Breaks())(torch.ones(3))
    assert "\n" not in str(e.value)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_run_leaves_what_a_plain_one_leaves(quick, tmp_path, capsys):
    """A resumed one ends to the bit as it would have; and neither goes on from the other as if that changed nothing."""
    write_inputs(tmp_path)
    options = ["method=simclr", "schedule.iterations=3", "run.checkpoint_every=1"]
    work = tmp_path / "run"
    assert main(arguments(tmp_path, work, options=[*options, "run.compile=True"])) == 0
    assert main(arguments(tmp_path, tmp_path / "plain", options=options)) == 0
    found, plain = (load_backbone(w / "backbone.safetensors")[0].state_dict() for w in (work, tmp_path / "plain"))
    assert found.keys() == plain.keys()
    first = [json.loads((w / "metrics.jsonl").read_text().splitlines()[0]) for w in (work, tmp_path / "plain")]
    assert first[0]["loss"] == pytest.approx(first[1]["loss"], rel=1e-2)  # norms over 4 pixels
    saved = [torch.load(find_checkpoints(w / "checkpoints")[-1], weights_only=True) for w in (work, tmp_path / "plain")]
    assert saved[0]["state_dict"].keys() == saved[1]["state_dict"].keys()
    find_checkpoints(work / "checkpoints")[-1].unlink()
    (work / "backbone.safetensors").unlink()
    assert main(arguments(tmp_path, work, "--resume", options=[*options, "run.compile=True"])) == 0
    again = torch.load(find_checkpoints(work / "checkpoints")[-1], weights_only=True)["state_dict"]
    assert all(torch.equal(again[k], t) for k, t in saved[0]["state_dict"].items())
    capsys.readouterr()
    assert main(arguments(tmp_path, tmp_path / "plain", "--resume", options=[*options, "run.compile=True"])) == 1
    assert "run.compile (False then, True now)" in capsys.readouterr().err


@pytest.mark.slow
def test_without_a_compiler_the_run_does_not_begin(tmp_path):
    write_inputs(tmp_path)
    environment = {"CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "pretrain", *arguments(tmp_path, tmp_path / "run", options=["run.compile=True"])]
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, cwd=ROOT
    )
    lines = [line for line in ended.stderr.splitlines() if line.startswith("pretrain: ")]
    assert (ended.returncode, len(lines)) == (1, 1), ended.stderr
    assert "run.compile=True: expected a compiler that torch.compile can use on cpu, found none" in lines[0]
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", ["run.compile", "run.precision", "meta.precision"])
def test_another_arithmetic_is_a_change_that_matters(setting):
    section, key = setting.split(".")
    config = {"method": "metamask", section: {key: True if key == "compile" else "bf16"}}
    images = {"path": "images", "images": 1, "fingerprint": "0"}
    before, now = (changes.run_record(load_settings(c), images) for c in ({"method": "metamask"}, config))
    (change,) = changes.changes(before, now)
    assert (change.what, change.matters) == (setting, True)
    assert setting not in changes.FIXED
    assert [c.what for c in changes.changes(now, before)] == [setting]
