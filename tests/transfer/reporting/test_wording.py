import dataclasses

from tests.transfer.reporting.test_markdown import runs, summary
from transfer.reporting import wording

SEED = (15.0, 15.4, 15.2), (12.0, 12.1, 12.3)


def test_one_clear_difference_is_one_clear_sentence():
    starts = summary(*runs("metamask", *SEED[0]), *runs("random", *SEED[1]))
    assert wording.answer(starts) == (
        "metamask: +3.1 mask AP over random on these 10 images; 3 seeds, 95 % interval 2.5 to 3.6: better."
    )
    turned = summary(*runs("metamask", *SEED[1]), *runs("random", *SEED[0]))
    assert wording.answer(turned) == (
        "metamask: -3.1 mask AP against random on these 10 images; 3 seeds, 95 % interval -3.6 to -2.5: worse."
    )


def test_without_a_verdict_the_difference_comes_first_and_then_what_decides():
    starts = summary(*runs("metamask", 15.0), *runs("random", 12.0))
    assert wording.answer(starts) == (
        "metamask: +3.0 mask AP over random on these 10 images; one seed, so no verdict: 2 more seeds decide."
    )
    two = summary(*runs("metamask", 15.0, 14.0), *runs("random", 12.0, 12.5))
    assert wording.answer(two).endswith("; two seeds, so no verdict: 1 more seed decides.")
    three = summary(*runs("a", 11.0, 10.2, 12.5), *runs("random", 10.0, 10.0, 10.0))
    assert wording.answer(three) == (
        "a: +1.2 mask AP over random on these 10 images; 3 seeds, 95 % interval -1.7 to 4.1: it may be chance, "
        "about 7 more seeds decide."
    )


def test_several_starts_and_label_fractions():
    few = [*runs("a", 6.0, label_fraction=0.1), *runs("random", 5.0, label_fraction=0.1)]
    starts = summary(*runs("b", 3.0, 3.1, 3.0), *runs("a", *SEED[0]), *runs("random", *SEED[1]), *few)
    assert wording.answers(starts) == [
        "Mask AP over random on these 10 images with 100 % of the labels: a +3.1 (better), b -9.1 (worse).",
        "a: +1.0 mask AP over random on these 10 images with 10 % of the labels; one seed, so no verdict: "
        "2 more seeds decide.",
    ]
    assert wording.answer(starts) == " ".join(wording.answers(starts))
    assert starts.leading.init == "a"
    assert starts.inits == ["random", "b", "a"]


def test_several_starts_of_which_some_may_be_chance():
    one = summary(*runs("a", 9.0), *runs("b", 8.0), *runs("random", 7.0))
    assert wording.answer(one) == (
        "Mask AP over random on these 10 images: a +2.0, b +1.0; one seed, so no verdict: 2 more seeds decide."
    )
    mixed = summary(*runs("a", 9.0), *runs("b", 8.0, 8.5), *runs("random", 7.0, 7.0))
    assert wording.answer(mixed) == ("Mask AP over random on these 10 images: a +2.0, b +1.2; one seed, so no verdict.")
    some = summary(*runs("a", *SEED[0]), *runs("b", 11.0, 12.2, 14.5), *runs("random", *SEED[1]))
    assert wording.answer(some) == ("Mask AP over random on these 10 images: a +3.1 (better), b +0.4 (may be chance).")


def test_one_start_with_the_same_answer_at_every_label_fraction_is_named_once():
    few = [*runs("a", 6.0, label_fraction=0.1), *runs("random", 5.0, label_fraction=0.1)]
    assert wording.answer(summary(*runs("a", 9.0), *runs("random", 7.5), *few)) == (
        "a, mask AP over random on these 10 images: +1.5 with 100 % of the labels, +1.0 with 10 % of the labels; "
        "one seed, so no verdict: 2 more seeds decide."
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
