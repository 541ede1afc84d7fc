"""The words of ``python -m transfer predict``."""

from pathlib import Path

import pytest

from transfer import __main__ as transfer
from transfer.finetuning import predict


def test_the_words_reach_the_function_and_its_files_are_named(tmp_path, capsys, monkeypatch):
    calls = []

    def detected(run, images, **options):
        calls.append((run, images, options))
        drawings = predict.Drawings(limit=0.7, images=3, drawn=4, below=5, dimmed=1, empty=1)
        return predict.Predictions([{}, {}], {"images": [{}]}, {}, drawings)

    monkeypatch.setattr(predict, "predict", detected)
    words = ["predict", "run", "--images", "a", "--out", str(tmp_path / "f.json"), "--score", "0.2"]
    assert transfer.main([*words, "--overlays", "drawn", "--draw", "0.7"]) == 0
    options = {"score": 0.2, "out": tmp_path / "f.json", "overlays": Path("drawn"), "draw": 0.7}
    assert calls == [(Path("run"), Path("a"), options)]
    shown = capsys.readouterr().out.splitlines()
    assert shown.pop(1) == (
        "4 drawn; 5 more lie below a score of 0.7; on 1 of 3 images nothing reaches it: their best few are drawn "
        "dimmed; on 1 of 3 images nothing was detected"
    )
    assert shown == ["2 detections on 1 images", str(tmp_path / "f.json"), str(tmp_path / "f_images.json"), "drawn"]


def test_wrong_usage_exits_with_2(capsys):
    with pytest.raises(SystemExit) as raised:
        transfer.main(["predict", "run"])
    assert raised.value.code == 2
    assert "--images" in capsys.readouterr().err
