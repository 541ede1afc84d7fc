"""The table of methods: weights in both kinds of sum, L_meta, and what is refused."""

from dataclasses import replace

import pytest

from pretrain.errors import InputError
from pretrain.method.methods import (
    GLOBAL,
    LOSSES,
    METHODS,
    ObjectiveSettings,
    compared_width,
    meta_head,
    meta_weights,
    resolve_method,
)

PLAIN = ObjectiveSettings(balance="none")


@pytest.mark.parametrize("name", METHODS)
def test_a_plain_sum_weighs_as_the_table_and_shares_are_one_for_each_loss(name):
    row, shares = METHODS[name], resolve_method(name, ObjectiveSettings())
    assert resolve_method(name, PLAIN) == row
    assert [getattr(shares, loss) for loss in LOSSES] == [float(getattr(row, loss) > 0) for loss in LOSSES]
    assert (shares.mask, shares.comp, shares.base) == (row.mask, row.comp, row.base)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_loss_of_pooled_features_and_an_upper_level_where_it_has_upper_variables(name):
    row = METHODS[name]
    assert any(getattr(row, loss) for loss in GLOBAL)
    assert (row.base is not None) == (row.mask or row.comp)


@pytest.mark.parametrize(
    ("name", "head", "weights"),
    [
        ("metamask", "contrastive", {"contrastive": 1}),
        ("barlow_compmod", "redundancy", {"redundancy": 1}),
        ("byol", "bootstrap", {"bootstrap": 1}),
        ("densecl_compmod", "contrastive", {"contrastive": 0.5, "dense": 0.5}),
        ("metamask_densecl", "contrastive", {"contrastive": 0.5, "dense": 0.5}),
    ],
)
def test_the_meta_loss_is_the_tables(name, head, weights):
    for settings in (PLAIN, ObjectiveSettings()):
        method = resolve_method(name, settings)
        assert meta_head(method) == head
        assert meta_weights(method) == weights


def test_weights_of_the_meta_loss_follow_those_that_are_set():
    method = resolve_method("densecl", ObjectiveSettings(contrastive=1.0, dense=3.0))
    assert meta_weights(method) == {"contrastive": 0.25, "dense": 0.75}


def test_compmods_network_is_as_wide_as_the_head_it_is_compared_with():
    settings = ObjectiveSettings(contrastive_widths=(8, 3), bootstrap_widths=(8, 5), redundancy_widths=(8, 7))
    widths = [compared_width(METHODS[name], settings) for name in ("simclr", "byol", "barlow_twins", "densecl")]
    assert widths == [3, 5, 7, 3]


def test_loss_weights_can_be_changed_but_not_all_switched_off():
    assert resolve_method("metamask", ObjectiveSettings(contrastive=3.0)).contrastive == 3
    assert resolve_method("metamask", ObjectiveSettings()) == replace(METHODS["metamask"], contrastive=1.0)
    with pytest.raises(InputError, match="at least one of"):
        resolve_method("simclr", ObjectiveSettings(contrastive=0.0))
    with pytest.raises(InputError, match=r"at least one of .* dense 0\.5"):
        resolve_method("densecl", ObjectiveSettings(balance="none", contrastive=0.0))
    with pytest.raises(InputError, match="expected a number >= 0"):
        resolve_method("metamask", ObjectiveSettings(redundancy=-1.0))
    with pytest.raises(InputError, match="found 'moco'"):
        resolve_method("moco", ObjectiveSettings())


@pytest.mark.parametrize("order", [1, 3])
def test_odd_coding_orders_are_refused(order):
    with pytest.raises(InputError, match="even number"):
        ObjectiveSettings(coding_order=order)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"balance": "equal"}, "objective.balance"),
        ({"balance_every": 0}, "objective.balance_every"),
        ({"mcr_weight": -0.1}, "objective.mcr_weight"),
        ({"temperature": 0.0}, "objective.temperature"),
        ({"dense_temperature": 0.0}, "objective.dense_temperature"),
        ({"dense_grid": 0}, "objective.dense_grid"),
        ({"mask": "softmax"}, "objective.mask"),
        ({"comp_input": "z"}, "objective.comp_input"),
        ({"comp_fusion": "sum"}, "objective.comp_fusion"),
        ({"comp_mix": 1.5}, "objective.comp_mix"),
        ({"coding_mu": "n"}, "objective.coding_mu"),
        ({"coding_limit": 0.0}, "objective.coding_limit"),
        ({"coding_distortion": 0.0}, "objective.coding_distortion"),
    ],
)
def test_settings_out_of_range_are_named(values, message):
    with pytest.raises(InputError, match=message):
        ObjectiveSettings(**values)


@pytest.mark.parametrize(("balance", "weights"), [("gradient", (0.25, 0.1)), ("none", (0.1, 0.01))])
def test_compmods_weights_are_shares_or_the_papers_best(balance, weights):
    s = ObjectiveSettings(balance=balance)
    assert (s.mcr, s.compactness) == weights
    s = ObjectiveSettings(balance=balance, mcr_weight=0.0, comp_weight=3.0)
    assert (s.mcr, s.compactness) == (0, 3)
