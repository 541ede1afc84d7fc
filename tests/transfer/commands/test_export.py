"""The words of ``python -m transfer export``."""

from pathlib import Path

from transfer import __main__ as transfer
from transfer.finetuning import export


def test_the_words_reach_the_function_and_its_files_are_named(capsys, monkeypatch):
    calls = []

    def exported(run, out, **options):
        calls.append((run, out, options))
        return export.Exported(out, {}, 1e-7, [3, 0])

    monkeypatch.setattr(export, "export", exported)
    assert transfer.main(["export", "run", "--out", "x.ts", "--images", "a"]) == 0
    assert calls == [(Path("run"), Path("x.ts"), {"images": Path("a")})]
    shown = capsys.readouterr().out.splitlines()
    assert shown == ["the same on 2 images (3, 0 detections): max rel 1.00e-07", "x.ts", "x.ts.json"]
