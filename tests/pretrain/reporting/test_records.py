import json

from pretrain.settings.config_files import config_text, read_config
from pretrain.settings.schema import Settings, as_plain, load_settings


def test_the_resolved_config_is_the_same_training(finished, tiny_images, tmp_path):
    settings = load_settings(read_config(finished / "resolved_config.py"))
    assert settings == load_settings(read_config(tiny_images / "tiny.py"))
    every = tmp_path / "every.py"
    every.write_text(config_text(as_plain(Settings())))
    assert load_settings(read_config(every)) == Settings()


def test_one_start_leaves_one_entry_and_no_litter(finished):
    """MMEngine's folder and config named after the time, and its log, are not among them."""
    assert len(json.loads((finished / "environment.json").read_text())) == 1
    names = {p.name for p in finished.iterdir()}
    assert names == {
        "backbone.safetensors",
        "checkpoints",
        "environment.json",
        "mask.json",
        "metrics.jsonl",
        "pretrain.md",
        "report",
        "resolved_config.py",
        "run.json",
        "tensorboard",
    }
