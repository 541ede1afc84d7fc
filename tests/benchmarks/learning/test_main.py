"""The whole comparison in miniature: it prints its table, keeps what it has, and says what fails."""

import json

import pytest

from benchmarks.learning.__main__ import main

SMALL = ["--seeds", "0", "--iterations", "2", "--batch", "4", "--train", "20", "--test", "8", "--looks", "2"]


def test_table_and_a_second_call(cifar10, tmp_path, capsys):
    words = ["--cifar10", str(cifar10), "--out", str(tmp_path / "out"), "--methods", "simclr", "metamask", *SMALL]
    assert main([*words, "--json", str(tmp_path / "figures.json")]) == 0
    printed = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads((tmp_path / "figures.json").read_text())["rows"]}
    assert list(rows) == ["random weights, statistics of the data", "random weights, as they are", "simclr", "metamask"]
    assert [look["iteration"] for look in rows["metamask"]["looks"]["0"]] == [1, 2]
    assert sum(rows["metamask"]["shares"].values()) == pytest.approx(100)
    low, high = rows["metamask"]["mask"]["0"]
    assert 0 < low <= high < 1
    assert (tmp_path / "out" / "learning.png").is_file()
    again = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "out" / "cells").rglob("*"))
    assert main(words) == 0
    assert capsys.readouterr().out == printed
    assert sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "out" / "cells").rglob("*")) == again


def test_too_few_images_are_one_line(cifar10, tmp_path, capsys):
    words = ["--cifar10", str(cifar10), "--out", str(tmp_path), *SMALL, "--train", "2000"]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert "expected at least 1000 images, found 12" in error
    assert len(error.splitlines()) == 1


def test_another_stem_is_trained_and_judged(cifar10, tmp_path, capsys):
    words = ["--cifar10", str(cifar10), "--out", str(tmp_path / "out"), "--methods", "densecl", *SMALL]
    assert main([*words, "--stem", "small"]) == 0
    assert "| densecl" in capsys.readouterr().out
    cell = json.loads((tmp_path / "out/cells/densecl_seed0/cell.json").read_text())
    assert "backbone.stem=small" in cell["options"]
