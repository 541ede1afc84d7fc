import re

import numpy as np
import pytest
from PIL import Image

from transfer.__main__ import main

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def show(three_runs, out, *flags):
    return main(["show", str(three_runs / "metamask"), "--out", str(out), *flags])


def test_chosen_images_become_pictures(three_runs, tmp_path, capsys):
    assert show(three_runs, tmp_path / "out", "--images", "val_000002.jpg", "val_000000.jpg", "--score", "0") == 0
    paths = [str(tmp_path / "out" / name) for name in ("val_000002.jpg", "val_000000.jpg")]
    assert capsys.readouterr().out.splitlines() == paths
    pixels = np.asarray(Image.open(paths[0])).astype(int)
    side = min(pixels.shape[0], pixels.shape[1] // 2) - 40  # titles above, a gap between
    left, right = pixels[-side:, :side], pixels[-side:, -side:]
    assert side > 350
    assert np.abs(left - right).max() > 50  # detections lie elsewhere than the truth


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--images", "val_0000.jpg"], "no such image: .* found val_0000.jpg .close: val_0000"),
        (["--random", "0"], "--random"),
        (["--random", "1", "--score", "2"], "--score"),
    ],
)
def test_bad_input_gets_one_line_and_writes_nothing(three_runs, tmp_path, capsys, flags, message):
    assert show(three_runs, tmp_path / "out", *flags) == 1
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
