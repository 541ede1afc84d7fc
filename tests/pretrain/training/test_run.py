"""One training from its settings: what stops it, and what it begins with."""

import json
from pathlib import Path

import pytest

from pretrain.__main__ import main
from pretrain.backbones import load_backbone
from pretrain.distributed import ranks
from pretrain.errors import InputError
from pretrain.settings.schema import load_settings
from pretrain.training.checkpoint_files import find_checkpoints
from pretrain.training.run import check_processes
from pretrain.versions import PACKAGES
from tests.cases.finished_runs import SHORT, one_line, same_weights
from tests.cases.runs import arguments


def test_a_non_finite_loss_names_its_files_and_the_last_good_checkpoint(finished, tmp_path, capsys):
    options = [*SHORT, "optimizer.lr=1e30", "schedule.warmup_epochs=0", "run.checkpoint_every=1"]
    assert main(arguments(finished[0], tmp_path / "run", options=options)) == 1
    line = one_line(capsys)
    assert "the loss became nan at iteration" in line
    assert "the last good checkpoint is" in line
    (listed,) = (tmp_path / "run").glob("nonfinite_*.txt")
    names = listed.read_text().splitlines()
    assert len(names) == 4
    assert all(Path(name).is_file() for name in names)


def test_resume_begins_where_nothing_was_saved_and_mends_a_torn_log(finished, tmp_path, caplog):
    work = tmp_path / "run"
    assert main(arguments(finished[0], work, "--resume", options=SHORT)) == 0
    assert "starting at the beginning" in caplog.text
    assert same_weights(work, finished[1])
    find_checkpoints(work / "checkpoints")[-1].unlink()
    with (work / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 3, "lo')  # as a kill leaves it
    assert main(arguments(finished[0], work, "--resume", options=SHORT)) == 0
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3]


def test_the_file_says_with_what_it_was_made(finished):
    metadata = load_backbone(finished[1] / "backbone.safetensors")[1]
    assert metadata["versions"].keys() == {"pretrain", "python", *PACKAGES}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"data": {"batch": 5}}, r"multiple of the 2 processes times optimizer.accumulate = 2 .* found 5; use 4"),
        ({"data": {"batch": 6}, "optimizer": {"accumulate": 2}}, "accumulate = 4 .* found 6; use 4"),
        ({"meta": {"hypergradient": "forward_mode"}}, "meta.hypergradient=forward_mode: expected one process, found 2"),
        ({"run": {"compile": True}}, "run.compile=True: expected one process, found 2"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(config, message, monkeypatch):
    settings = load_settings({"method": "metamask", **config})
    if "optimizer" not in config:
        check_processes(settings)  # one can
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    with pytest.raises(InputError, match=message):
        check_processes(settings)
