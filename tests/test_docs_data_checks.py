"""docs/data-checks.md is made from the tables that the checks themselves use.

``python -m tests.test_docs_data_checks`` writes the tables anew between their marks.
"""

import re
from pathlib import Path

import pytest

from transfer.data.rules import CHANGED, COUNTED, COUNTED_ONLY, REFUSED, RULES
from transfer.evaluation.detection_fields import FIELDS
from transfer.evaluation.detections import PLACES
from transfer.files.json_files import REFUSALS

PAGE = Path(__file__).parent.parent / "docs/data-checks.md"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)])


def rules(level):
    return table(
        ("what the line counts", "what to do" if level in (REFUSED, COUNTED) else "what was or can be done"),
        [(rule.what, rule.fix) for rule in RULES.values() if rule.level == level],
    )


def tables():
    return {
        "file": table(("the line says that the file", "because"), REFUSALS.items()),
        "refused": rules(REFUSED),
        "counted": rules(COUNTED),
        "changed": rules(CHANGED),
        "told": rules(COUNTED_ONLY),
        "detections": table(("field", "expected"), [(f"`{field}`", text) for field, text in FIELDS.items()]),
        "places": table(("of the boxes together", "expected"), PLACES.items()),
    }


def written(page):
    for name, text in tables().items():
        mark = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
        page, count = re.subn(mark, lambda m, text=text: f"{m[1]}\n{text}\n{m[2]}", page, flags=re.DOTALL)
        assert count == 1, name
    return page


@pytest.mark.parametrize("name", tables())
def test_the_page_shows_the_table_of_the_checks(name):
    assert tables()[name] in PAGE.read_text(encoding="utf-8")


def test_every_rule_stands_in_exactly_one_table():
    assert {rule.level for rule in RULES.values()} == {REFUSED, COUNTED, CHANGED, COUNTED_ONLY}
    assert written(PAGE.read_text(encoding="utf-8")) == PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
