"""The packages work when installed and used outside a checkout, configs included."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ["pretrain", "transfer", "configs", "pyproject.toml", "setup.py", "README.md", "LICENSE"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the installed packages, built from a copy of the sources."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-deps", "--no-compile"]
    done = subprocess.run([*pip, "--no-build-isolation", "--target", site, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return site


def python(site, code):
    """Run code with the installed packages, far from the checkout; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {code}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=site, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_is_installed(site):
    for package in ("pretrain", "transfer"):
        modules = {p.relative_to(ROOT) for p in (ROOT / package).rglob("*.py")}
        assert len(modules) > 50
        assert modules == {p.relative_to(site) for p in (site / package).rglob("*.py") if "configs" not in p.parts}


def test_every_config_travels_inside_the_packages(site):
    for folder, place in (("pretrain", "pretrain/configs"), ("detection", "transfer/configs/detection")):
        names = {p.name for p in (ROOT / "configs" / folder).iterdir() if p.suffix in (".py", ".yaml")}
        assert names <= {p.name for p in (site / place).iterdir()}
    assert (site / "transfer/configs/segmentation/any_mask_rcnn_R_18_FPN_small.yaml").is_file()


def test_the_commands_of_the_readme_find_their_configs(site):
    code = "from pathlib import Path; import pretrain; from pretrain.settings.config_files import read_config; "
    code += "print(pretrain.__file__, read_config(Path('configs/pretrain/metamask_r18_any_100e.py'))['method'])"
    assert python(site, code).split() == [str(site / "pretrain/__init__.py"), "metamask"]
    code = "from transfer.detectors import config; "
    code += "f = config.find_config('configs/segmentation/any_mask_rcnn_R_18_FPN_small.yaml'); "
    code += "print(f, config.read_config(f).SOLVER.MAX_ITER)"
    file, iterations = python(site, code).split()
    assert Path(file).is_relative_to(site)
    assert iterations == "600"
