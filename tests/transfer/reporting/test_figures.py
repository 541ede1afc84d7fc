import re

import pytest

from tests.cases.records import make_record
from transfer.comparison.bootstrap import ImageResamples
from transfer.records.record import Data, Split, Tide
from transfer.reporting import figures
from transfer.reporting.curves import Finetuning, Pretraining
from transfer.reporting.summary import summarise

TIDE = Tide(50.0, 5.0, 12.0, 1.0, 0.5, 3.0, 20.0, 9.0, 30.0)


def runs(init, *aps, **changes):
    fraction = changes.get("label_fraction", 1.0)
    per_class = {"bbox": {}, "segm": {"zero": aps[0], "one": None}}
    tide = {"bbox": None, "segm": TIDE}
    return [
        make_record(init, i, segm={"AP": ap}, name=f"{init}{i}{fraction}", per_class=per_class, tide=tide, **changes)
        for i, ap in enumerate(aps)
    ]


@pytest.fixture
def summary():
    some = [*runs("b", 15.0, 15.4, 15.2), *runs("a", 3.0, 3.1, 3.0), *runs("random", 12.0, 12.1, 12.3)]
    few = [*runs("b", 5.0, label_fraction=0.1), *runs("random", 4.0, label_fraction=0.1)]
    return summarise([*some, *few], None, ImageResamples(10))


def curves(summary):
    points = ((1.0, 5.0), (2.0, 4.0))
    return {id(run): Finetuning(points, {"segm": points}) for run in summary.records}


def all_figures(summary):
    made = figures.Figures(summary)
    task = "segm"
    return [*made.evidence(task), made.classes(task), made.tide(task), *made.finetuning(curves(summary))]


def test_every_figure_says_n_its_data_and_its_unit(summary):
    found = all_figures(summary)
    assert len(found) == 7
    for figure in found:
        assert re.search(r"n\W=\W\d", figure.note), figure.title
        assert "images" in figure.note
        units = re.findall(r'class="unit"[^>]*>([^<]+)<', figure.svg)
        assert units, figure.title
        assert figure.title in figure.svg  # said to those who cannot see it


def test_a_start_has_one_colour_and_mark_in_all_figures(summary):
    for figure in all_figures(summary):
        for mark, name in figure.legend:
            assert f"s{['random', 'b', 'a'].index(name)}" in mark


def test_verdicts_colour_the_differences(summary):
    svg = figures.Figures(summary).differences("segm").svg
    kinds = re.findall(r'class="mark (better|worse|unknown)"|class="mark (?:\w+) ?', svg)
    assert kinds == ["better", "worse", "unknown"]


def test_what_was_not_measured_has_no_figure():
    alone = summarise(runs("random", 12.0), None, ImageResamples(10))
    made = figures.Figures(alone)
    assert made.differences("segm") is made.classes("segm") is made.labels("segm") is made.tide("bbox") is None
    assert made.finetuning({}) == []
    none = figures.Figures(summarise([make_record(segm={"AP": None})], None, ImageResamples(10)))
    assert none.ap("segm") is None


def test_many_classes_are_cut_to_those_that_changed_most():
    names = [f"class{i}" for i in range(60)]
    split = Split("images", "ann.json", "f" * 64, 10, 20, names)

    def record(init, aps):
        per_class = {"bbox": {}, "segm": dict(zip(names, aps, strict=True))}
        return make_record(init, per_class=per_class, data=Data(split, split))

    found = figures.Figures(
        summarise(
            [record("random", [20.0] * 60), record("a", [20.0 + i - 30 for i in range(50)] + [20.0] * 10)],
            None,
            ImageResamples(10),
        )
    ).classes("segm")
    assert "The 24 of 60 classes that changed most." in found.note
    shown = re.findall(r"<title>(class\d+)</title>", found.svg)
    assert shown[0] == "class49"
    assert shown[-1] == "class0"
    assert len(shown) == 24


def test_pretraining_runs_of_one_method_are_told_apart():
    points = ((1.0, 5.0), (2.0, 4.0))
    some = [Pretraining(name, "metamask", {"contrastive": points}, (0.4, 0.5, 0.6)) for name in ("x", "y")]
    found = figures.pretraining(some)
    assert [figure.title for figure in found] == ["Contrastive loss", "Mask of metamask, x", "Mask of metamask, y"]
    assert [name for _, name in found[0].legend] == ["metamask, x", "metamask, y"]
    assert "3 feature dimensions; 0.5 at the start" in found[1].note


def test_a_mask_without_a_sigmoid_is_not_said_to_lie_between_0_and_1():
    found = figures.pretraining([Pretraining("x", "metamask", {}, (-0.5, 1.5), "identity")])
    assert "1 at the start" in found[0].note
    assert "0–1" not in found[0].svg


def test_nearest_neighbours_are_a_curve_of_their_own_images():
    found = figures.pretraining([Pretraining("x", "simclr", {"knn": ((1.0, 50.0), (2.0, 60.0))}, ())])
    assert [figure.title for figure in found] == ["kNN accuracy of the frozen features"]
    assert "held-out training images" in found[0].note
