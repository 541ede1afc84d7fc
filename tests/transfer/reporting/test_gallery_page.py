import numpy as np

from transfer.evaluation.instance_errors import Detected
from transfer.evaluation.instances import Instance
from transfer.reporting.gallery import Gallery, Shown, Strip
from transfer.reporting.gallery_page import KINDS, gallery_data


def one(label, score=None):
    return Instance(label, (5, 5, 20, 20), None, score)


def data(*scores, score=0.5, f1=0.25):
    found = [one("b", value) for value in scores]
    run = Detected(found, ["right", "", "duplicate", "wrong class"][: len(found)], [0.8, None])
    image = Shown("x.jpg", np.zeros((40, 60, 3), np.uint8), [one("a"), one("b")], [run], [f1], -0.125)
    strips = [Strip("Most improved", "c", [image]), Strip("Drawn at random", "d", [image])]
    return gallery_data(Gallery(["random, seed 0"], ["a", "b"], strips), score)


def overlays(content):
    (cards, _) = content["strips"]
    return [cell["overlay"] for cell in cards["images"][0]["cells"]]


def test_an_image_stands_in_the_page_once():
    content = data(0.9)
    assert len(content["pictures"]) == 1
    assert {strip["images"][0]["id"] for strip in content["strips"]} == {"image-0"}
    assert content["strips"][0]["images"][0]["change"] == "−0.12"


def test_what_lies_below_the_limit_is_there_but_hidden():
    _, run = overlays(data(0.9, 0.5, 0.4, 0.2))
    for score, kind, state in (
        ("90", "0", ""),
        ("50", "-1", ""),
        ("40", "4", ' class="low"'),
        ("20", "1", ' class="low"'),
    ):
        assert run.count(f'<g{state} data-s="{score}" data-c="1" data-k="{kind}">') == 2  # shape and label
    assert KINDS[4] == "duplicate"


def test_where_nothing_reaches_the_limit_the_best_few_are_dimmed_and_it_is_said():
    content = data(0.4, 0.3, 0.2, 0.15)
    _, run = overlays(content)
    assert run.count('class="dim"') == 6
    assert run.count('class="low"') == 2
    assert content["strips"][0]["images"][0]["cells"][1]["none"] == "nothing reaches the limit"
    assert data(0.9)["strips"][0]["images"][0]["cells"][1]["none"] == ""
    assert data()["strips"][0]["images"][0]["cells"][1]["none"] == "nothing reaches the limit"


def test_objects_say_which_score_stands_for_them_in_each_run():
    truth, _ = overlays(data(0.9))
    assert 'data-c="0" data-f="80"' in truth
    assert 'data-c="1" data-f="-1"' in truth


def test_pictures_say_what_they_show():
    cells = data(0.9, 0.8, 0.1)["strips"][0]["images"][0]["cells"]
    assert [cell["says"] for cell in cells] == ["1 a, 1 b", "2 b"]
    assert data(f1=None)["strips"][0]["images"][0]["cells"][1]["f1"] == "–"
