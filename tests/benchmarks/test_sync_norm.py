"""The benchmark of the synchronised norm measures this project's on a CPU and leaves PyTorch's out."""

import json

from benchmarks import sync_norm


def test_a_row_for_each_shape_of_a_resnet50(tmp_path, capsys):
    assert sync_norm.main(["--quick", "--json", str(tmp_path / "out.json")]) == 0
    figures = json.loads((tmp_path / "out.json").read_text())
    assert sum(row["norms"] for row in figures["rows"]) == 53
    assert all(row["ours"]["median"] > 0 and "stock" not in row for row in figures["rows"])
    assert " – |" in capsys.readouterr().out
