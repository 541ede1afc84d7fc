"""Curves and masks of pretraining runs as figures."""

from transfer.reporting.curves import Pretraining
from transfer.reporting.pretraining_figures import pretraining


def test_pretraining_runs_of_one_method_are_told_apart():
    points = ((1.0, 5.0), (2.0, 4.0))
    some = [Pretraining(name, "metamask", {"contrastive": points}, (0.4, 0.5, 0.6)) for name in ("x", "y")]
    drawn = pretraining(some)
    assert [figure.title for figure in drawn] == ["Contrastive loss", "Mask of metamask, x", "Mask of metamask, y"]
    assert [name for _, name in drawn[0].legend] == ["metamask, x", "metamask, y"]
    assert "3 feature dimensions; 0.5 at the start" in drawn[1].note


def test_a_mask_without_a_sigmoid_is_not_said_to_lie_between_0_and_1():
    drawn = pretraining([Pretraining("x", "metamask", {}, (-0.5, 1.5), "identity")])
    assert "1 at the start" in drawn[0].note
    assert "0–1" not in drawn[0].svg


def test_nearest_neighbours_are_a_curve_of_their_own_images():
    drawn = pretraining([Pretraining("x", "simclr", {"knn": ((1.0, 50.0), (2.0, 60.0))}, ())])
    assert [figure.title for figure in drawn] == ["kNN accuracy of the frozen features"]
    assert "held-out training images" in drawn[0].note
