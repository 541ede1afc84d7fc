from pathlib import Path

import pytest

from transfer.data.rules import CHANGED, COUNTED, COUNTED_ONLY, REFUSED, RULES, TOLERATED, Problems
from transfer.errors import InputError

FILE = Path("train.json")
(FIRST_COUNTED, SECOND_COUNTED, *_) = [name for name, rule in RULES.items() if rule.level == COUNTED]
(FIRST_REFUSED, *_) = [name for name, rule in RULES.items() if rule.level == REFUSED]


def test_every_rule_says_what_and_what_to_do_in_words_of_its_own():
    assert len({rule.what for rule in RULES.values()}) == len(RULES)
    for rule in RULES.values():
        assert rule.what
        assert rule.fix
        assert rule.level in (REFUSED, COUNTED, CHANGED, COUNTED_ONLY)
        assert not rule.what.endswith(".")
        assert not rule.fix.endswith(".")


def test_problems_are_counted_with_their_first_example():
    problems = Problems()
    problems.add(FIRST_REFUSED, "annotation 7")
    problems.add(FIRST_REFUSED, "annotation 9", 2)
    rule = RULES[FIRST_REFUSED]
    assert problems.lines(REFUSED) == [f"3 {rule.what} (first: annotation 7): {rule.fix}"]
    assert problems.lines(COUNTED) == []
    assert problems.of(REFUSED, COUNTED) == [FIRST_REFUSED]


def test_one_of_what_is_refused_is_enough():
    problems = Problems()
    problems.refuse(FILE, 10, 1000)
    problems.add(FIRST_REFUSED, "annotation 7")
    with pytest.raises(InputError) as error:
        problems.refuse(FILE, 10, 10**6)
    rule = RULES[FIRST_REFUSED]
    assert str(error.value) == (
        "train.json: expected a usable data set (10 images, 1000000 objects), found "
        f"1 {rule.what} (first: annotation 7): {rule.fix}"
    )


def test_what_is_tolerated_is_a_share_of_all_kinds_together():
    problems = Problems()
    problems.add(FIRST_COUNTED, "annotation 1", 6)
    problems.add(SECOND_COUNTED, "annotation 2", 4)
    problems.refuse(FILE, 10, round(10 / TOLERATED))
    with pytest.raises(InputError) as error:
        problems.refuse(FILE, 10, round(10 / TOLERATED) - 1)
    assert f"6 {RULES[FIRST_COUNTED].what}" in str(error.value)
    assert f"4 {RULES[SECOND_COUNTED].what}" in str(error.value)
