"""``transfer study``: its flags reach the study as they are meant, and its exit code and lines say how it went."""

import argparse
from pathlib import Path

import pytest

from transfer.__main__ import main
from transfer.commands import study as command
from transfer.studies import study
from transfer.studies.study import Outcome


@pytest.fixture
def calls(monkeypatch):
    """What the study would have been called with; nothing is run."""
    noted = []

    def run(*args, **options):
        noted.append((args, options))
        return Outcome(("a/0/1%", "b/0/1%"), ("a/0/1%",), (), Path("out/report"))

    monkeypatch.setattr(study, "run", run)
    monkeypatch.setattr(study, "plan", lambda *args, **options: noted.append((args, options)) or "the plan")
    return noted


def test_every_flag_reaches_the_study(calls, capsys):
    words = ["study", "s.yaml", "--out", "out", "--only", "a", "b/1", "--shard", "1/3", "--jobs", "4"]
    slurm = ["--executor", "slurm", "--slurm", "timeout_min=60", "slurm_partition=gpu"]
    assert main([*words, *slurm]) == 0
    ((args, options),) = calls
    assert args == ("s.yaml", Path("out"))
    assert options == {
        "only": ["a", "b/1"],
        "shard": (1, 3),
        "jobs": 4,
        "executor": "slurm",
        "slurm": {"timeout_min": 60, "slurm_partition": "gpu"},
        "report_only": False,
    }
    assert capsys.readouterr().out.splitlines() == ["1 of 2 cells done", "out/report/report.html"]


def test_a_dry_run_prints_the_plan_and_runs_nothing(calls, capsys):
    assert main(["study", "s.yaml", "--out", "out", "--dry-run", "--only", "a"]) == 0
    assert capsys.readouterr().out == "the plan\n"
    assert calls == [(("s.yaml", Path("out")), {"only": ["a"], "shard": (0, 1), "jobs": None})]


def test_failures_are_lines_and_the_exit_code(monkeypatch, capsys):
    outcome = Outcome(("a/0/1%",), (), ("a/0/1%: pretrain: too big; see log",), None, "no cell is done")
    monkeypatch.setattr(study, "run", lambda *args, **options: outcome)
    assert main(["study", "s.yaml", "--out", "out"]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "transfer study: failed: a/0/1%: pretrain: too big; see log",
        "transfer study: no report yet: no cell is done",
    ]
    assert captured.out == "0 of 1 cells done\n"


def test_parameters_of_a_queue_need_the_queue(calls, capsys):
    assert main(["study", "s.yaml", "--out", "out", "--slurm", "timeout_min=60"]) == 1
    assert "--slurm: expected --executor slurm beside it, found local" in capsys.readouterr().err
    assert calls == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard", "2/2"], "expected I/N with I from 0 to N - 1"),
        (["--shard", "a"], "expected I/N"),
        (["--shard", "-1/2"], "expected"),
        (["--jobs", "0"], "expected at least 1, found 0"),
        (["--executor", "slurm", "--slurm", "timeout"], "expected KEY=VALUE, found timeout"),
        (["--executor", "pbs"], "invalid choice: 'pbs'"),
        (["--dry-run", "--report-only"], "not allowed with argument"),
    ],
)
def test_flags_that_mean_nothing_are_refused(words, message, capsys):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(SystemExit) as error:
        parser.parse_args(["s.yaml", "--out", "out", *words])
    assert error.value.code == 2
    assert message in capsys.readouterr().err
