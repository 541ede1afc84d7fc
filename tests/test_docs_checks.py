"""docs/checks.md is made from the tables that the checks themselves use.

``python -m tests.test_docs_checks`` writes the tables anew between their marks.
"""

import dataclasses
import re
import typing
from pathlib import Path

import pytest

from pretrain.ranges import ranges, words
from pretrain.settings.schema import Settings
from transfer.checkpoints import archives, claims, contents, locate, metadata, rebuild, unpickle
from transfer.data.rules import CHANGED, COUNTED, COUNTED_ONLY, REFUSED, RULES
from transfer.detectors.ranges import RANGES
from transfer.evaluation.detection_doubts import DOUBTS
from transfer.evaluation.detection_fields import FIELDS
from transfer.evaluation.detections import PLACES
from transfer.exit_codes import OUTSIDE
from transfer.files.json_files import REFUSALS

PAGE = Path(__file__).parent.parent / "docs/checks.md"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)])


def rules(level):
    return table(
        ("what the line counts", "what to do" if level in (REFUSED, COUNTED) else "what was or can be done"),
        [(rule.what, rule.fix) for rule in RULES.values() if rule.level == level],
    )


def limits():
    """What reading a checkpoint may take, from the constants that the reader counts with."""
    mebibytes = {
        "bytes of a safetensors file's header": contents.MOST_SAFETENSORS_HEADER,
        "bytes of a zip archive's directory": archives.LARGEST_DIRECTORY,
        "characters of the metadata": metadata.LONGEST,
    }
    return [
        ("pickle instructions", f"{unpickle.FREE_INSTRUCTIONS:,} and one for each 16 bytes of the file"),
        ("pickle instructions of any file", f"{unpickle.MOST_INSTRUCTIONS:,}"),
        ("bits of a whole number", f"{unpickle.MOST_BITS:,}"),
        ("entries of a tuple as a key", f"{unpickle.LONGEST_KEY}"),
        ("tensors", f"{locate.MOST_TENSORS:,}"),
        ("dictionaries within each other on the way to a tensor", f"{locate.MAX_DEPTH}"),
        ("dimensions of a tensor", f"{rebuild.MOST_DIMENSIONS}"),
        *((what, f"{number >> 20} Mi") for what, number in mebibytes.items()),
    ]


def settings_that_change_a_network():
    """Key of a setting -> the values that leave a ResNet as it is, as the reader compares them."""
    in_block = {f"{key} (of a backbone's block)": values for key, values in claims.PLAIN_OF_BLOCK.items()}
    rows = {**claims.PLAIN, **in_block}
    return [(f"`{key}`", ", ".join(f"`{value!r}`" for value in values)) for key, values in rows.items()]


def pretraining_settings():
    hints = typing.get_type_hints(Settings)
    rows = []
    for field in dataclasses.fields(Settings):
        kind = hints[field.name]
        inner = {field.name: (kind, field)}
        if dataclasses.is_dataclass(kind):
            inner = {f"{field.name}.{f.name}": (kind, f) for f in dataclasses.fields(kind)}
        for name, (owner, one) in inner.items():
            allowed, optional = ranges(owner if dataclasses.is_dataclass(owner) else Settings)[one.name]
            rows.append((f"`{name}`", words(allowed, optional) or "True or False", f"`{one.default!r}`"))
    return rows


def tables():
    return {
        "file": table(("the line says that the file", "because"), REFUSALS.items()),
        "refused": rules(REFUSED),
        "counted": rules(COUNTED),
        "changed": rules(CHANGED),
        "told": rules(COUNTED_ONLY),
        "detections": table(("field", "expected"), [(f"`{field}`", text) for field, text in FIELDS.items()]),
        "places": table(("of the boxes together", "expected"), PLACES.items()),
        "doubts": table(("what the line counts", "what it may come of"), DOUBTS.items()),
        "contents": table(("the file is", "what to do"), contents.KINDS.items()),
        "unreadable": table(
            ("a tensor that has no numbers of its own",), [(why,) for why in rebuild.UNREADABLE.values()]
        ),
        "limits": table(("of one file", "at most"), limits()),
        "network": table(("setting beside the tensors", "leaves a ResNet as it is"), settings_that_change_a_network()),
        "pretraining": table(("setting", "expected", "default"), pretraining_settings()),
        "detector": table(("key", "expected"), [(f"`{key}`", f"{allowed}") for key, allowed in RANGES.items()]),
        "outside": table(("expected", "what to do"), dict.fromkeys(OUTSIDE.values())),
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
