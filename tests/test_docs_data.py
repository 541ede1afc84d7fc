"""docs/data.md says what the import says: its tables are made from the tally's, its example by the command.

``python -m tests.test_docs_data`` writes the tables anew between their marks.
"""

import re
from pathlib import Path

import pytest

from tests.cases import tool_folders
from transfer.__main__ import main
from transfer.importing.tally import LEFT_OUT, NOTED, PUT_RIGHT, RULES

PAGE = Path(__file__).parent.parent / "docs/data.md"


def table(level):
    return "\n".join(f"* {what}" for own, what in RULES.values() if own == level)


def between(name, text):
    return re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, flags=re.DOTALL)[1]


@pytest.mark.parametrize("level", [LEFT_OUT, PUT_RIGHT, NOTED])
def test_the_page_lists_what_the_tally_counts(level):
    assert between(level, PAGE.read_text(encoding="utf-8")).strip() == table(level)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_the_example_is_what_the_command_prints(tmp_path, monkeypatch, capsys):
    tool_folders.yolo(tmp_path / "SOURCE", segment=True)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "SOURCE", "--to", "OUT"]) == 0
    printed = "".join(f"    {line}\n" for line in capsys.readouterr().out.splitlines())
    assert between("example", PAGE.read_text(encoding="utf-8")).strip("\n") == printed.strip("\n")


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for level in (LEFT_OUT, PUT_RIGHT, NOTED):
        page = page.replace(f"<!-- {level} -->\n{between(level, page)}", f"<!-- {level} -->\n\n{table(level)}\n\n")
    PAGE.write_text(page, encoding="utf-8")
