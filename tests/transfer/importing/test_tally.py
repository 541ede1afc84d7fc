import pytest

from transfer.importing.tally import LEFT_OUT, NOTED, PUT_RIGHT, RULES, Tally


def test_lines_have_the_count_and_the_first_example_in_the_tables_order():
    tally = Tally()
    tally.add("empty box", "b", 3)
    tally.add("short", "a")
    tally.add("short", "z", 4)
    tally.add("clipped", "c")
    assert tally.lines(LEFT_OUT) == [
        "5 parts of fewer than three points (first: a)",
        "3 boxes without area (first: b)",
    ]
    assert len(tally.lines(PUT_RIGHT)) == 1
    assert tally.lines(NOTED) == []


def test_every_rule_has_a_known_level_and_no_other_is_counted():
    assert {level for level, _ in RULES.values()} == {LEFT_OUT, PUT_RIGHT, NOTED}
    with pytest.raises(AssertionError):
        Tally().add("nonsense", "")
