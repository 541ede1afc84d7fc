"""What README tells a newcomer to paste is pasted here: into an empty folder, with tiny data and a few iterations."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pretrain.settings.config_files import read_config
from tests.cases.coco_sets import write_coco
from tests.cases.finetuning import TINY

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORT = ["schedule.iterations=2", "data.batch=8", "data.workers=0", "views.size=32"]
# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def block(heading, language):
    """The last block of a language below a heading."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    return [text for marked, text in blocks if marked == language][-1]


def environment():
    """Where ``python`` is this interpreter and the packages are this checkout's."""
    bin_folder = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def photographs(tmp_path):
    """The tree that README draws, below an empty folder."""
    for part, count, seed in (("train", 6, 0), ("val", 2, 1), ("unlabelled", 16, 2)):
        images, ann = write_coco(tmp_path / "made" / part, count, seed=seed)
        folder = tmp_path / "photographs"
        folder.mkdir(exist_ok=True)
        Path(images).rename(folder / part)
        if part != "unlabelled":
            Path(ann).rename(folder / f"{part}.json")
    return tmp_path


def test_the_tree_has_what_the_commands_name():
    tree = block("On your own data", "")
    for name in ("unlabelled/", "train/", "train.json", "val/", "val.json"):
        assert name in tree
        assert f"$DATA/{name.rstrip('/')}" in block("On your own data", "sh")


@pytest.mark.slow
def test_the_block_for_own_data_ends_in_a_report(photographs):
    """As it stands, but for a few iterations and two seeds less."""
    text = re.sub(r"\\\n\s*", " ", block("On your own data", "sh"))
    lines, shortened = text.replace("for seed in 0 1 2", "for seed in 0").splitlines(), 0
    for i, line in enumerate(lines):
        if "-m pretrain train" in line:
            lines[i] += f" --cfg-options {shlex.join(SHORT)}"
        elif "-m transfer finetune" in line:
            lines[i] += f" {shlex.join(TINY)}"
        else:
            continue
        shortened += 1
    assert shortened == 3
    done = subprocess.run(
        ["bash", "-e"], input="\n".join(lines), cwd=photographs, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (photographs / "runs/first/report/report.html").stat().st_size > 10_000
    assert "metamask" in (photographs / "runs/first/report/report.md").read_text()


@pytest.mark.slow
def test_the_python_block_runs(photographs, monkeypatch, capsys):
    code = block("On your own data", "python")
    assert len(code.splitlines()) <= 12
    code = code.replace('["schedule.epochs=20"]', repr(SHORT))
    code = code.replace('{"SOLVER.MAX_ITER": 1500}', repr(dict(zip(TINY[::2], TINY[1::2], strict=True))))
    assert "views.size" in code
    assert "IMS_PER_BATCH" in code
    monkeypatch.chdir(photographs)
    exec(compile(code, "README.md", "exec"), {})
    assert (photographs / "runs/a/report/report.html").is_file()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[:6] in ("metama", "random")]


def test_the_lines_that_install_are_those_of_the_setup():
    """Detectron2's wheel by the very words of requirements/setup.sh."""
    commands = [line for line in re.sub(r"\\\n\s*", " ", block("Install", "sh")).splitlines() if "pip install" in line]
    setup = re.sub(r"\\\n\s*", " ", (ROOT / "requirements/setup.sh").read_text())
    flags = r"--(?:require-hashes|only-binary=\S+|python-version \S+|no-build-isolation|no-deps)"
    for line in commands:
        assert all(flag in setup for flag in re.findall(flags, line)), line
    assert any("-r requirements/detectron2.txt" in line for line in commands)
    assert (ROOT / "requirements/detectron2.txt").is_file()
    assert (ROOT / "requirements/constraints.txt").is_file()


def test_the_config_that_is_named_alone_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_config(Path("metamask_r18_any_100e"), [])["method"] == "metamask"


def test_the_papers_in_the_bibtex_are_those_of_the_citation_file():
    entries = block("Citing", "bibtex")
    citation = (ROOT / "CITATION.cff").read_text()
    for number in re.findall(r"arXiv:([\d.]+)", citation):
        assert f"arXiv:{number}" in entries
    for family in re.findall(r"family-names: (\w+)", citation):
        assert f"{family}, " in entries
    assert re.search(r"^version: (.*)$", citation, flags=re.MULTILINE)[1] in entries
