"""What the site is made of: its hook for links, and the API page, which names all that the packages offer.

`make check` builds the site itself, strictly.
"""

import importlib.util
from pathlib import Path

import pytest
import yaml

import pretrain
import transfer

ROOT = Path(__file__).parents[1]
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("links", ROOT / "docs/links.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.on_page_markdown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("see [`examples/study.py`](../examples/study.py).", "see `examples/study.py`."),
        ("[README](../README.md)", "`README.md`"),
        (
            "[a first look](../benchmarks/results/evidence/README.md)",
            "a first look (`benchmarks/results/evidence/README.md`)",
        ),
        ("[evidence](../../docs/x.md#part)", "evidence (`docs/x.md`)"),
        ("[report](report.md) ![it](report.png) [page](https://example.org/../x)", None),
    ],
)
def test_links_out_of_the_docs_become_names_and_others_stay(hook, written, shown):
    assert hook(written, page=None) == (written if shown is None else shown)


@pytest.mark.parametrize("package", [pretrain, transfer], ids=lambda p: p.__name__)
def test_the_api_page_has_every_public_name(package):
    names = [name for name in package.__all__ if name != "__version__"]
    assert len(names) > 6
    for name in names:
        value = getattr(package, name)
        assert f"::: {value.__module__}.{value.__qualname__}\n" in API, name
        assert value.__name__ == name or f"heading: {name}\n" in API


def test_every_page_is_reached_from_the_menu():
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    listed = [page for part in menu for pages in part.values() for page in pages]
    assert sorted(listed) == sorted(p.name for p in (ROOT / "docs").iterdir() if p.suffix in (".md", ".ipynb"))
