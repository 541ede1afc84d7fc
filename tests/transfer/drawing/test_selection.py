from transfer.drawing.selection import Selection, choose
from transfer.evaluation.instances import Instance


def boxes(*scores):
    return [Instance("zero", (0, 0, 9, 9), None, score) for score in scores]


def test_those_below_the_limit_are_counted_and_not_drawn():
    choice = choose(boxes(0.9, 0.4, 0.5), 0.5)
    assert [one.score for one in choice.drawn] == [0.9, 0.5]
    assert (choice.below, choice.dimmed, choice.note) == (1, False, "")


def test_where_nothing_reaches_the_limit_the_best_few_are_drawn_dimmed_and_the_note_says_so():
    choice = choose(boxes(0.1, 0.3, 0.2, 0.4), 0.5)
    assert [one.score for one in choice.drawn] == [0.4, 0.3, 0.2]
    assert (choice.below, choice.dimmed, choice.note) == (4, True, "nothing reaches 0.5: dimmed, the best 3")


def test_without_detections_the_note_says_so():
    assert choose([], 0.5) == Selection([], note="nothing detected")
