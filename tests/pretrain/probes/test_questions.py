"""Questions with known answers: features that are the class, features that are noise, one class, one direction."""

import pytest
import torch

from pretrain.probes import questions as module
from pretrain.probes.protocol import ObjectsProtocol
from pretrain.probes.questions import CLASSES, OBJECTNESS, as_results, measure, questions, report
from pretrain.probes.region_features import BACKGROUND, STAGES
from tests.cases.object_sets import regions, with_background

PROTOCOL = ObjectsProtocol()


def made(rule, images=30, classes=2, seed=0, d=6):
    """Four objects an image and as many places, with features ``rule(labels, noise)``."""
    generator = torch.Generator().manual_seed(seed)
    objects = torch.randint(0, classes, (4 * images,), generator=generator).tolist()
    labels = torch.tensor(with_background(objects))
    noise = torch.randn(len(labels), d, generator=generator)
    of = torch.arange(images).repeat_interleave(4).repeat(2)
    return regions(labels, of, rule(labels, noise))


def coded(labels, noise):
    return torch.nn.functional.one_hot(labels + 1, noise.shape[1]) * 10 + noise


def test_features_that_are_the_class_answer_everything():
    measured = measure(made(coded), made(coded, seed=1), 2, PROTOCOL)
    for stage in STAGES:
        assert measured.answers[stage].keys() == {CLASSES, OBJECTNESS}
        for answers in measured.answers[stage].values():
            assert answers.knn.value == answers.linear.value == 1
            assert answers.class_means == {"knn": 1, "linear": 1}
            assert answers.knn.standard_error == 0


def test_noise_answers_nothing():
    """Chance is a half, within three standard errors over images."""
    train, test = (made(lambda labels, noise: noise, images=200, seed=s) for s in (0, 1))
    measured = measure(train, test, 2, PROTOCOL)
    for answers in measured.answers["res4"].values():
        for accuracy in (answers.knn, answers.linear):
            assert abs(accuracy.value - 0.5) < 3 * accuracy.standard_error
            assert 0.005 < accuracy.standard_error < 0.03
    good = measure(made(coded), made(coded, seed=1), 2, PROTOCOL)
    assert all(good.answers["res4"][q].logme > measured.answers["res4"][q].logme + 1 for q in (CLASSES, OBJECTNESS))


def test_one_class_leaves_the_question_whether_it_is_an_object():
    train, test = made(coded, classes=1), made(coded, classes=1, seed=1)
    assert questions(train, test, 1).keys() == {OBJECTNESS}
    asked = questions(train, test, 1)[OBJECTNESS]
    assert asked.train_labels.tolist() == [1] * 120 + [0] * 120


def test_objects_without_a_place_are_asked_for_their_class_alone():
    labels, images = [0, 1, 0, BACKGROUND], [0, 0, 1, 1]
    part = regions(labels, images, torch.eye(4), paired=[False, False, True, True])
    asked = questions(part, part, 2)
    assert asked[CLASSES].train.tolist() == [0, 1, 2]
    assert asked[OBJECTNESS].train.tolist() == [2, 3]
    none = regions([0, 1], [0, 1], torch.eye(2), paired=[False, False])
    assert questions(none, none, 2).keys() == {CLASSES}


def test_rare_classes_count_as_much_as_frequent_ones_in_the_mean_over_classes():
    def blind(labels, noise):
        return torch.ones_like(noise)  # everything is alike: the neighbours are of the frequent class

    labels, images = torch.tensor([0] * 9 + [1]), torch.arange(10)
    one = regions(labels, images, blind(labels, torch.zeros(10, 3)), paired=[False] * 10)
    answers = measure(one, one, 2, PROTOCOL, linear=False).answers["res3"][CLASSES]
    assert (answers.knn.value, answers.class_means["knn"]) == (0.9, 0.5)


def test_the_weight_decay_is_chosen_on_other_images(monkeypatch):
    seen = []
    validate = module.validate_weight_decays

    def watched(features, labels, decays, *, groups, **kwargs):
        seen.append(groups)
        return validate(features, labels, decays, groups=groups, **kwargs)

    monkeypatch.setattr(module, "validate_weight_decays", watched)
    train = made(coded)
    measure(train, made(coded, seed=1), 2, PROTOCOL)
    assert torch.equal(seen[1], train.images)
    results = as_results(measure(train, made(coded, seed=1), 2, PROTOCOL))
    assert results["res5"][CLASSES]["linear"]["weight_decay"] in PROTOCOL.weight_decays


def test_the_alarm_is_1_for_features_of_one_direction(caplog):
    def one_direction(labels, noise):
        return (1 + labels[:, None].abs()) * torch.ones(6)

    measured = measure(made(one_direction), made(one_direction, seed=1), 2, PROTOCOL, linear=False)
    assert measured.alarm["res5"]["effective_rank"] == pytest.approx(1, abs=1e-3)
    assert measured.alarm["res5"]["spread"] == pytest.approx(0, abs=1e-6)
    results = as_results(measured)
    assert "linear" not in results["res5"][CLASSES]
    caplog.set_level("INFO", "pretrain")
    report(results, measured.alarm)
    assert "collapse alarm at res5: effective rank 1.0 of 6" in caplog.text


def test_the_record_counts_in_percent():
    entry = as_results(measure(made(coded), made(coded, seed=1), 2, PROTOCOL))["res3"][OBJECTNESS]
    assert entry["knn"]["accuracy"] == entry["linear"]["class_mean"] == 100
    assert entry["knn"]["n"] == entry["knn"]["correct"] == 240
