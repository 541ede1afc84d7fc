import pytest

from transfer.checkpoints.printable import LONGEST, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("layer1.0.conv1.weight", "layer1.0.conv1.weight"),
        ("a\nconvertible    yes", "a\\nconvertible    yes"),
        ("\x1b[2Jb", "\\x1b[2Jb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b", "a\\u2028b"),
        ("\ud800", "\\ud800"),
        ("卷积.weight", "卷积.weight"),
        (3, "3"),
    ],
)
def test_what_a_terminal_shows(text, shown):
    assert printable(text) == shown


def test_long_text_is_cut():
    assert len(printable("x" * 10_000)) == LONGEST
    assert len(printable("\n" * 10_000)) == LONGEST
