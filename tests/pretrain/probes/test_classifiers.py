"""Nearest neighbours and the linear probe against scikit-learn, and what scikit-learn does not have against by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from pretrain.probes.classifiers import (
    grouped_accuracy,
    hits,
    holdout,
    holdout_groups,
    knn_predict,
    knn_scores,
    linear_probe,
    scaling,
    standard_error,
    validate_weight_decays,
)


def clusters(n, seed, classes=4, width=6, spread=1.5, dtype=torch.float64):
    """Overlapping Gaussian clusters around fixed centres: features (n, width) and labels (n,)."""
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(7), dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (n,), generator=generator)
    return centres[labels] + spread * torch.randn(n, width, generator=generator, dtype=dtype), labels


@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("temperature", [0.07, 0.5, None])
def test_knn_is_scikit_learns_with_cosine_distance(k, temperature):
    bank, labels = clusters(300, 0)
    query, _ = clusters(200, 1)
    weights = "uniform" if temperature is None else lambda distance: np.exp((1 - distance) / temperature)
    reference = KNeighborsClassifier(k, metric="cosine", weights=weights, algorithm="brute").fit(bank, labels)
    predictions = knn_predict(bank, labels, query, classes=4, k=k, temperature=temperature)
    assert predictions.tolist() == reference.predict(query).tolist()
    votes = knn_scores(bank, labels, query, classes=4, k=k, temperature=temperature).clamp_min(0)
    assert np.allclose(votes / votes.sum(dim=1, keepdim=True), reference.predict_proba(query))


def test_weighted_and_majority_votes_differ_where_they_should():
    bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    labels, query = torch.tensor([0, 1, 1]), torch.tensor([[1.0, 0.2]])
    assert knn_predict(bank, labels, query, classes=2, k=3, temperature=0.07).tolist() == [0]
    assert knn_predict(bank, labels, query, classes=2, k=3, temperature=None).tolist() == [1]


def test_a_small_temperature_neither_overflows_nor_loses_the_nearest():
    bank, labels = clusters(50, 0, dtype=torch.float32)
    scores = knn_scores(bank, labels, bank, classes=4, k=5, temperature=1e-4)
    assert not scores.isnan().any()
    assert scores.argmax(dim=1).equal(labels)


def test_large_sets_are_compared_in_parts_with_the_same_result(monkeypatch):
    bank, labels = clusters(60, 0)
    query, _ = clusters(31, 1)
    whole = knn_scores(bank, labels, query, classes=4)
    monkeypatch.setattr("pretrain.probes.classifiers._SIMILARITIES", 60 * 7)
    assert torch.allclose(knn_scores(bank, labels, query, classes=4), whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k from 1"),
        ({"k": 4}, "k from 1"),
        ({"temperature": 0.0}, "above 0"),
        ({"width": 3}, "knn: expected"),
    ],
)
def test_knn_refuses_what_cannot_be(change, message):
    query = torch.ones(1, change.pop("width", 2))
    with pytest.raises(ValueError, match=message):
        knn_scores(torch.ones(3, 2), torch.zeros(3, dtype=torch.long), query, classes=1, **{"k": 1, **change})


@pytest.mark.parametrize("weight_decay", [1.0, 1e-2, 1e-4])
def test_the_linear_probe_is_scikit_learns_logistic_regression(weight_decay):
    features, labels = clusters(200, 0)
    reference = LogisticRegression(C=1 / (len(labels) * weight_decay), tol=1e-10, max_iter=5000).fit(features, labels)
    probe = linear_probe(features, labels, classes=4, weight_decay=weight_decay)
    assert np.allclose(probe.weight, reference.coef_, atol=1e-4)
    assert np.allclose(probe.scores(features).softmax(dim=1), reference.predict_proba(features), atol=1e-4)
    assert probe.gradient < 1e-5


def test_the_linear_probe_in_float32_gives_the_same_classes():
    features, labels = clusters(200, 0)
    exact = linear_probe(features, labels, classes=4, weight_decay=1e-2).scores(features)
    single = linear_probe(features.float(), labels, classes=4, weight_decay=1e-2).scores(features.float())
    assert torch.allclose(single.double(), exact, atol=1e-2)


def test_a_fit_that_was_cut_short_says_so():
    features, labels = clusters(200, 0)
    assert linear_probe(features, labels, classes=4, weight_decay=1e-4, iterations=2).gradient > 1e-4


def test_the_weight_decay_is_judged_on_images_that_the_fit_did_not_see():
    """Random labels: fitted images would be right, held-out ones are right by chance."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(120, 200, generator=generator)
    labels = torch.randint(0, 4, (120,), generator=generator)
    assert hits(linear_probe(features, labels, classes=4, weight_decay=1e-4).scores(features), labels).all()
    errors = validate_weight_decays(features, labels, [1e-4, 1.0], classes=4)
    assert list(errors) == [1.0, 1e-4]
    assert max(errors.values()) < 0.6


def test_scaling_gives_unit_variance_and_leaves_constants_finite():
    features = torch.randn(500, 3) * torch.tensor([5.0, 0.1, 0.0]) + 2
    mean, deviation = scaling(features)
    scaled = (features - mean) / deviation
    assert scaled.std(dim=0, correction=0).tolist() == pytest.approx([1, 1, 0], abs=1e-3)


def test_hits_count_the_best_scored_and_never_a_class_without_a_vote():
    scores = torch.tensor([[0.1, 0.5, 0.4], [0.5, 0.5, 0.0], [1.0, -math.inf, -math.inf]])
    labels = torch.tensor([2, 1, 1])
    assert hits(scores, labels).tolist() == [False, False, False]
    assert hits(scores, labels, top=2).tolist() == [True, True, False]
    assert hits(scores, scores.argmax(dim=1)).all()


def test_standard_error_is_binomial():
    assert standard_error(0.5, 100) == pytest.approx(0.05)
    assert standard_error(1.0, 100) == 0


def test_the_holdout_takes_from_every_class_and_leaves_the_random_state_alone():
    labels = torch.tensor([0] * 50 + [1] * 10 + [2] * 2 + [3])
    state = torch.get_rng_state()
    train, held = holdout(labels, 0.2, seed=3)
    assert torch.equal(state, torch.get_rng_state())
    assert sorted([*train.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert labels[held].bincount(minlength=4).tolist() == [10, 2, 1, 0]
    assert holdout(labels, 0.2, seed=3)[1].equal(held)
    assert not holdout(labels, 0.2, seed=4)[1].equal(held)


def test_a_holdout_that_would_be_empty_is_refused():
    with pytest.raises(ValueError, match="two images"):
        holdout(torch.arange(5), 0.2, seed=0)
    with pytest.raises(ValueError, match="share"):
        holdout(torch.zeros(5), 1.0, seed=0)


def test_groups_are_held_out_whole():
    groups = torch.arange(10).repeat_interleave(3)
    rest, held = holdout_groups(groups, 0.2, seed=0)
    assert sorted([*rest.tolist(), *held.tolist()]) == list(range(30))
    assert len(held) == 6
    assert not set(groups[rest].tolist()) & set(groups[held].tolist())
    assert held.tolist() == holdout_groups(groups, 0.2, seed=0)[1].tolist()
    with pytest.raises(ValueError, match="at least two groups, found 1"):
        holdout_groups(torch.zeros(4), 0.5, seed=0)


def test_the_error_of_groups_of_one_is_that_of_independent_rows():
    right = torch.arange(50) % 5 > 0
    accuracy = grouped_accuracy(right, torch.arange(50))
    assert accuracy.value == pytest.approx(0.8)
    assert accuracy.standard_error == pytest.approx(math.sqrt(0.8 * 0.2 / 49))


def test_rows_that_repeat_each_other_make_nothing_surer():
    right = torch.arange(50) % 5 > 0
    once = grouped_accuracy(right, torch.arange(50))
    tenfold = grouped_accuracy(right.repeat(10), torch.arange(50).repeat(10))
    assert tenfold.standard_error == pytest.approx(once.standard_error)


def test_the_error_is_that_of_drawing_groups_anew():
    """Against the spread of the accuracy over 2,000 sets of groups of different sizes and difficulty."""
    rng = np.random.default_rng(0)

    def drawn():
        sizes = rng.integers(1, 20, 40)
        rights = [rng.random(n) < p for n, p in zip(sizes, rng.choice([0.3, 0.9], 40), strict=True)]
        groups = np.repeat(np.arange(40), sizes)
        return grouped_accuracy(torch.from_numpy(np.concatenate(rights)), torch.from_numpy(groups))

    sets = [drawn() for _ in range(2000)]
    spread = np.std([one.value for one in sets])
    assert np.mean([one.standard_error for one in sets]) == pytest.approx(spread, rel=0.05)


def test_differences_are_paired_and_refuse_other_rows():
    groups = torch.arange(20).repeat_interleave(4)
    worse = torch.rand(80, generator=torch.Generator().manual_seed(0)) < 0.5
    a, b = (
        grouped_accuracy(worse | (torch.arange(80) % 4 == 0), groups),
        grouped_accuracy(worse, groups),
    )
    difference, error = a.above(b)
    assert difference == pytest.approx(a.value - b.value)
    assert error < math.hypot(a.standard_error, b.standard_error)
    with pytest.raises(ValueError, match="answers to the same rows"):
        a.above(grouped_accuracy(worse[:40], groups[:40]))
