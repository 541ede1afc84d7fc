"""Every command and link in README and docs: the commands' flags exist, and the links lead somewhere."""

import argparse
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from pretrain.commands.verbs import VERBS as PRETRAIN
from transfer.commands.verbs import VERBS as TRANSFER

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
HEADERS = sorted(p for p in (ROOT / "configs").rglob("*") if p.suffix in (".py", ".yaml"))


def text_of(page):
    """A page, or a config's comment lines without their marks."""
    text = page.read_text(encoding="utf-8")
    return text if page.suffix == ".md" else "\n".join(re.findall(r"^# ?(.*)$", text, flags=re.MULTILINE))


def commands(page):
    """Words after ``python -m`` of each command that stands on lines of its own, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", text_of(page))
    for line in text.splitlines():
        match = re.match(r"^\s*(?:torchrun .*-m|python -m) (\S+)(.*)$", line)
        if match and match[1].split(".")[0] in ("pretrain", "transfer", "benchmarks"):
            yield match[1], line.strip(), re.split(r"\s{3,}|\s#\s|$", match[2].strip())[0]


def words(text):
    """A command's words; an abbreviated one (``...``) is checked as far as it is written out."""
    return [word for word in shlex.split(text) if word not in ("...", "…")]


def flags_of(module, arguments):
    """All flags that the command knows; None where the module is no command of the two packages."""
    first = arguments[0]
    if module == "transfer.train_net":
        place = "transfer.commands.finetune"
    elif module == "pretrain":
        place = f"pretrain.commands.{first if first in PRETRAIN else 'train'}"
    elif module == "transfer":
        assert first in TRANSFER, first
        place = f"transfer.commands.{first}"
    else:
        return None
    parser = argparse.ArgumentParser()
    importlib.import_module(place).add_arguments(parser)
    return {flag for action in parser._actions for flag in action.option_strings}


@pytest.mark.parametrize("page", [*PAGES, *HEADERS], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_command_has_the_flags_that_it_is_shown_with(page):
    for module, line, rest in commands(page):
        assert importlib.util.find_spec(module) is not None, line
        arguments = words(rest)
        flags = flags_of(module, arguments) if arguments else None
        if flags is not None:
            unknown = [w for w in arguments if w.startswith("--") and w.split("=")[0] not in flags]
            assert not unknown, f"{line}: {unknown}"


def test_there_are_commands_to_look_at():
    assert sum(len(list(commands(page))) for page in PAGES) > 30


def anchors(page):
    """What leads to the headings of a page, by the rule of GitHub and MkDocs."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            path, _, anchor = target.partition("#")
            there = page.parent / path if path else page
            assert there.exists(), target
            assert not anchor or there.suffix != ".md" or anchor in anchors(there), target
