import math

import pytest

from pretrain.errors import InputError
from pretrain.settings.decode import decode
from pretrain.settings.schema import Settings, load_settings


def test_sections_are_filled_and_numbers_converted():
    s = load_settings({"method": "simclr", "optimizer": {"lr": 1}, "data": {"mean": [0, 0, 0]}})
    assert s.optimizer.lr == 1.0
    assert s.data.mean == (0.0, 0.0, 0.0)
    assert s.objective == Settings().objective


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({1: 2}, "config: expected a known key, found 1; known: method,"),
        ({"a\nb": 2}, r"config: expected a known key, found 'a\\nb'; known: method,"),
        ({"optimizer": {"lrs": 2}}, "config: expected a known key, found optimizer.lrs; did you mean optimizer.lr[?]"),
        ({"optimizer": {None: 2}}, "found optimizer.None; known: name, lr"),
        ({"optimizer": {"lr": 10**400}}, "config optimizer.lr: expected a number, found one of 1329 bits"),
        ({"optimizer": {"lr": "x" * 10**6}}, "config optimizer.lr: expected float, found 'x{76}[.]{3}$"),
        ({"optimizer": "x\ny"}, r"config optimizer: expected a section \(a dictionary\), found 'x\\ny'"),
        ({"data": {"batch": 32.0}}, "config data.batch: expected int, found 32.0"),
        ({"data": {"batch": None}}, "config data.batch: expected int, found None"),
        ({"data": {"mean": 0.5}}, "config data.mean: expected tuple, found 0.5"),
        ({"data": {"mean": [0.5, "a", 0.5]}}, "config data.mean: expected float, found 'a'"),
        ({"meta": {"clip": "none"}}, "config meta.clip: expected float or NoneType, found 'none'"),
        ({"run": {"compile": "yes"}}, "config run.compile: expected bool, found 'yes'"),
    ],
)
def test_a_key_or_a_type_that_is_wrong_is_one_short_line(config, message):
    with pytest.raises(InputError, match=message) as error:
        decode(Settings, config)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_none_is_a_word_where_words_are_chosen():
    assert load_settings({"objective": {"balance": None}}).objective.balance == "none"


def test_infinity_is_a_number_for_the_type_and_none_for_the_range():
    with pytest.raises(InputError, match=r"^optimizer.lr: expected a number above 0, found inf$"):
        decode(Settings, {"optimizer": {"lr": math.inf}})
