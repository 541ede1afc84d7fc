import io
import json
import subprocess
import sys

from pretrain.settings import resolve
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import as_plain, load_settings

CONFIG = "configs/pretrain/simclr_r18_any_100e.py"


def resolved(monkeypatch, capsys, asked):
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asked)))
    code = resolve.main()
    return code, capsys.readouterr()


def test_settings_come_in_the_order_asked_for_with_defaults_and_overrides(monkeypatch, capsys):
    code, output = resolved(monkeypatch, capsys, [[CONFIG, []], [CONFIG, ["data.batch=32", "meta.start=5"]]])
    plain, overridden = json.loads(output.out)
    assert code == 0
    assert plain == json.loads(json.dumps(as_plain(load_settings(read_config(CONFIG)))))
    assert (overridden["data"]["batch"], overridden["meta"]["start"], overridden["method"]) == (32, 5, "simclr")


def test_a_config_that_cannot_be_used_is_one_line(monkeypatch, capsys):
    code, output = resolved(monkeypatch, capsys, [[CONFIG, []], [CONFIG, ["optimizer.lr=nan"]]])
    assert (code, output.out) == (1, "")
    assert output.err == f"{CONFIG}: config optimizer.lr: expected float, found 'nan'\n"
    code, output = resolved(monkeypatch, capsys, [["none.py", []]])
    assert code == 1
    assert output.err.startswith("none.py: config: expected a file")


def test_the_process_that_the_other_package_starts():
    done = subprocess.run(
        [sys.executable, "-m", "pretrain.settings.resolve"],
        input=json.dumps([[CONFIG, ["optimizer.lr=-1"]]]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{CONFIG}: optimizer.lr: expected a number above 0, found -1.0\n"
