"""Damages of every file of every tool's folder: one line and nothing written, or a set that reads back.

``tests/cases/damages.py`` makes them; each case damages one file, chosen by the seed.
"""

import shutil

import pytest

from tests.cases import damages
from tests.cases.tool_folders import TOOLS
from transfer.__main__ import main
from transfer.data import check, coco

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

FAST, SLOW = 6, 100  # cases of each tool


def damage(file, rng):
    raw = file.read_bytes()
    if file.suffix == ".json":
        import json

        return damages.json_bytes(json.loads(raw), rng)
    if file.suffix == ".xml":
        return damages.xml_text(raw, rng)
    if file.suffix == ".png" and rng.integers(8) == 5:  # a change of encoding is for texts
        return b""
    try:
        return damages.bytes_of(raw, rng)
    except UnicodeDecodeError:
        return raw[:9]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged images
@pytest.mark.parametrize("part", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("tool", TOOLS)
def test_a_damaged_folder_is_one_line_or_a_set_that_reads_back(tmp_path, capsys, tool, part):
    whole = TOOLS[tool][0](tmp_path / "whole")
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    labels = [file for file in files if file.suffix != ".png" or "mask" in str(file) or "Segmentation" in str(file)]
    refused = 0
    for case in range(FAST) if part == 0 else range(FAST, FAST + SLOW):
        rng = damages.generator(case, sorted(TOOLS).index(tool))
        source, out = tmp_path / f"{case}", tmp_path / f"{case}_out"
        shutil.copytree(whole, source)
        chosen = files if case % 4 == 0 else labels
        file = source / chosen[rng.integers(len(chosen))]
        if file.stat().st_size:
            file.write_bytes(damage(file, rng))
        code = main(["data", str(source), "--to", str(out)])
        printed = capsys.readouterr()
        if code == 0:
            for written in out.glob("*.json"):
                data = coco.read_coco(out / "images", written)
                assert data.changes == ()
                drawn = data.content["annotations"]
                check.check(data, masks=all("segmentation" in a or a["iscrowd"] for a in drawn))
        else:
            refused += 1
            assert code == 1
            assert len(printed.err.splitlines()) == 1, (case, file, printed.err)
            assert printed.err.startswith("transfer data: "), (case, file)
            assert not out.exists()
            assert sorted(path.name for path in tmp_path.iterdir()) == [str(case), "whole"], case
        shutil.rmtree(source)
        shutil.rmtree(out, ignore_errors=True)
    assert refused or part == 0
