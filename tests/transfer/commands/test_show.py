import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.cases.fake_runs import make_run
from transfer.__main__ import main
from transfer.demo import digits

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    digits.write(folder / "data", digits.Settings(size=48, train=1, val=4, unlabeled=1))
    make_run(folder / "metamask", folder / "data", "metamask", shift=1)
    return folder


def show(folder, out, *flags):
    return main(["show", str(folder / "metamask"), "--out", str(out), *flags])


def test_chosen_images_become_pictures(folder, tmp_path, capsys):
    assert show(folder, tmp_path / "out", "--images", "val_000002.jpg", "val_000000.jpg", "--score", "0") == 0
    paths = [str(tmp_path / "out" / name) for name in ("val_000002.png", "val_000000.png")]
    assert capsys.readouterr().out.splitlines() == paths
    pixels = np.asarray(Image.open(paths[0]).convert("RGB")).astype(int)
    assert 1200 < pixels.shape[1] < 1260  # two images of 5 inches at 120 dots each, and margins
    left, right = pixels[100:-80, 12:612], pixels[100:-80, 621:1221]  # margin, image, gap, image
    assert np.abs(left - right).max() > 50  # detections lie elsewhere than the truth


def test_random_images_depend_on_the_seed_alone(folder, tmp_path, capsys):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert show(folder, tmp_path / name, "--random", "2", "--seed", seed) == 0
    names = [sorted(path.name for path in (tmp_path / out).iterdir()) for out in "abc"]
    assert names[0] == names[1]
    assert len(names[0]) == len(names[2]) == 2
    capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--images", "val_0000.jpg"], "no such image: .* found val_0000.jpg .close: val_0000"),
        (["--random", "0"], "--random"),
        (["--random", "1", "--score", "2"], "--score"),
    ],
)
def test_bad_input_gets_one_line_and_writes_nothing(folder, tmp_path, capsys, flags, said):
    assert show(folder, tmp_path / "out", *flags) == 1
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_run_without_detections_or_with_another_val_set_is_refused(folder, tmp_path, capsys):
    run = make_run(tmp_path / "run", folder / "data")
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"detections": None}))
    assert main(["show", str(run), "--random", "1", "--out", str(tmp_path / "out")]) == 1
    assert "expected a run that kept its detections" in capsys.readouterr().err
    images = record["data"]["val"]["images"]
    record["data"]["val"]["images"] = ""
    (run / "record.json").write_text(json.dumps(record))
    assert main(["show", str(run), "--random", "1", "--out", str(tmp_path / "out")]) == 1
    assert "expected a record that says where its val images are" in capsys.readouterr().err
    record["data"]["val"] |= {"images": images, "fingerprint": "0" * 64}
    (run / "record.json").write_text(json.dumps(record))
    assert main(["show", str(run), "--random", "1", "--out", str(tmp_path / "out")]) == 1
    assert "is not the file that the runs were measured on any more; restore it" in capsys.readouterr().err
