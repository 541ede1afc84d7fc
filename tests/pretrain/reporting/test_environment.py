import json
import platform

from pretrain import __version__
from pretrain.reporting.environment import save_environment
from pretrain.versions import PACKAGES


def test_every_start_adds_an_entry_that_says_with_what_it_ran(tmp_path):
    path = tmp_path / "environment.json"
    for _ in range(2):
        save_environment(path)
    first, second = json.loads(path.read_text())
    assert (second["pretrain"], second["python"]) == (__version__, platform.python_version())
    assert second["packages"].keys() == set(PACKAGES)
    assert first["started"] <= second["started"]
    assert second["threads"] >= 1
