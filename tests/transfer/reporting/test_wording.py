import dataclasses

from tests.transfer.reporting.test_markdown import runs, summary
from transfer.reporting import wording

SEED = (15.0, 15.4, 15.2), (12.0, 12.1, 12.3)


def test_one_clear_difference_is_one_clear_sentence():
    starts = summary(*runs("metamask", *SEED[0]), *runs("random", *SEED[1]))
    assert wording.answer(starts) == (
        "metamask (+3.1 points, 95 % interval 2.5 to 3.6) is better than random in mask AP."
    )
    turned = summary(*runs("metamask", *SEED[1]), *runs("random", *SEED[0]))
    assert wording.answer(turned) == (
        "metamask (-3.1 points, 95 % interval -3.6 to -2.5) is worse than random in mask AP."
    )


def test_what_cannot_be_told_says_what_it_needs():
    starts = summary(*runs("metamask", 15.0), *runs("random", 12.0))
    assert wording.answer(starts) == (
        "metamask (+3.0) cannot be told from random in mask AP: needs at least 2 more seeds."
    )


def test_several_starts_and_label_fractions():
    few = [*runs("a", 6.0, label_fraction=0.1), *runs("random", 5.0, label_fraction=0.1)]
    starts = summary(*runs("a", *SEED[0]), *runs("b", 3.0, 3.1, 3.0), *runs("random", *SEED[1]), *few)
    assert wording.answer(starts) == (
        "With 100 % of the labels a (+3.1) is better than random in mask AP, b (-9.1) is worse than random in mask AP; "
        "with 10 % of the labels a (+1.0) cannot be told from random in mask AP: needs at least 2 more seeds."
    )
    assert wording.answers(starts) == [
        "With 100 % of the labels a (+3.1) is better than random in mask AP, b (-9.1) is worse than random in mask AP.",
        "With 10 % of the labels a (+1.0) cannot be told from random in mask AP: needs at least 2 more seeds.",
    ]
    assert starts.leading.init == "a"
    assert starts.inits == ["random", "a", "b"]


def test_one_start_that_cannot_be_told_at_any_label_fraction_is_named_once():
    few = [*runs("a", 6.0, label_fraction=0.1), *runs("random", 5.0, label_fraction=0.1)]
    assert wording.answer(summary(*runs("a", 9.0), *runs("random", 7.5), *few)) == (
        "a cannot be told from random in mask AP: with 100 % of the labels +1.5, needs at least 2 more seeds; "
        "with 10 % of the labels +1.0, needs at least 2 more seeds."
    )


def test_nothing_to_compare():
    assert wording.answer(summary(*runs("a", 1.0))) == "No run starts from random, so there is nothing to compare with."
    only = summary(*runs("random", 1.0))
    assert wording.answer(only) == "Every run starts from random, so there is nothing to compare with."
    assert only.leading is None


def test_a_page_has_the_sign_of_minus_before_numbers_alone():
    text = "a-1 (-9.1): -0.02 to +0.89, 2026-11-25, model_-, swav-2"
    assert wording.minus(text) == "a-1 (−9.1): −0.02 to +0.89, 2026-11-25, model_-, swav-2"


def test_caveats_tell_what_was_drawn_anew_from_what_was_left_out():
    record = runs("a", 1.0)[0]
    anew = dataclasses.replace(record.weights, loaded=94, expected=100, drawn_anew=6)
    less = dataclasses.replace(record.weights, loaded=93, expected=100, drawn_anew=6)
    base = runs("random", 1.0)
    (line,) = [c for c in wording.caveats(summary(dataclasses.replace(record, weights=anew), *base)) if "anew" in c]
    assert record.name in line
    lines = wording.caveats(summary(dataclasses.replace(record, weights=less), *base))
    assert any(line.startswith("Loaded only in part") for line in lines)
    assert not any(
        "only in part" in c for c in wording.caveats(summary(dataclasses.replace(record, weights=anew), *base))
    )


def test_caveats_name_partial_weights():
    record = runs("a", 1.0)[0]
    partial = dataclasses.replace(record, weights=dataclasses.replace(record.weights, loaded=60))
    assert "Loaded only in part, the rest is random: a0." in wording.caveats(summary(partial))
