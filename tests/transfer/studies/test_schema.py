"""What a study says where its file says nothing."""

import dataclasses

import pytest

from transfer.demo import chain
from transfer.studies import schema


def test_the_digits_of_a_study_are_the_demos():
    digits = schema.Digits()
    assert (digits.train, digits.val, digits.unlabeled) == (chain.TRAIN, chain.VAL, chain.UNLABELED)


def test_a_start_of_which_nothing_is_said_has_random_weights():
    start = schema.Start()
    assert (start.pretrain, start.file, start.detector) == (None, None, None)
    assert not start.allow_partial


@pytest.mark.parametrize("part", [schema.Digits(), schema.Data(), schema.Start(), schema.Search(), schema.Terms()])
def test_a_study_that_was_read_stays_as_it_is(part):
    name = dataclasses.fields(part)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(part, name, None)
