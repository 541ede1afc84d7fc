"""Trackers are the same in both packages, which import nothing of each other; only what hands them numbers differs."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def shared_part(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    return text[text.index('FILE = "tracking.json"') : text.rindex("\n\nclass ")]


def test_a_mend_in_one_is_made_in_the_other():
    shared = shared_part("pretrain/training/tracking.py")
    assert "class Mlflow" in shared
    assert shared == shared_part("transfer/finetuning/tracking.py")
