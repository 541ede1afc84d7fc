import math

import pytest

from pretrain.errors import InputError
from pretrain.probes.protocol import WEIGHT_DECAYS, KnnProtocol, LinearProtocol, named_protocol


def test_a_name_is_its_protocol_with_the_defaults():
    assert named_protocol("knn") == KnnProtocol(k=5, temperature=0.07)
    assert named_protocol("linear") == LinearProtocol(WEIGHT_DECAYS)
    assert named_protocol(KnnProtocol(3)) == KnnProtocol(3)
    with pytest.raises(InputError, match="expected one of knn, linear, objects, found 'svm'"):
        named_protocol("svm")


@pytest.mark.parametrize("k", [0, -1, 10**20])
def test_fewer_than_one_neighbour_is_refused(k):
    with pytest.raises(InputError, match="--k: expected a whole number from 1 to"):
        KnnProtocol(k=k)


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e-320, math.nan, math.inf])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(InputError, match="--temperature: expected a number from 1e-06 to 1000000"):
        KnnProtocol(temperature=temperature)


@pytest.mark.parametrize("weight_decays", [(), (-1.0,), (0.1, math.nan), (math.inf,), (1e308,)])
def test_weight_decays_that_are_none_are_refused(weight_decays):
    with pytest.raises(InputError, match="--weight-decays: expected 1 to 100 numbers, each a number from 0 to 1000000"):
        LinearProtocol(weight_decays)
