"""A term of the loss without a say in the step is warned of once."""

import pytest
import torch

from pretrain.training.term_shares import PATIENCE, TermShares, shares_of


def warned(caplog, shares):
    """The warnings after these shares of two terms, one pair an iteration."""
    hook = TermShares()
    for k, (contrastive, redundancy) in enumerate(shares):
        outputs = {"loss": torch.tensor(1.0), "share_contrastive": torch.tensor(contrastive)}
        hook.after_train_iter(None, k, outputs=outputs | {"share_redundancy": torch.tensor(redundancy)})
    return [record.getMessage() for record in caplog.records]


def test_shares_are_read_out_of_what_a_step_returns():
    outputs = {"loss": torch.tensor(2.0), "share_a": torch.tensor(0.25), "share_b": torch.tensor(0.75), "shares": 9}
    assert shares_of(outputs) == {"a": 0.25, "b": 0.75}


def test_a_weak_term_is_named_once_with_what_to_do(caplog):
    (line,) = warned(caplog, [(0.995, 0.005)] * (3 * PATIENCE))
    assert line.startswith(
        "redundancy is 0.005 of the real step's gradient, and has been below 0.01 for 200 iterations"
    )
    assert line.endswith("raise its weight, or use objective.balance=gradient")


def test_each_weak_term_is_named(caplog):
    assert [line.split()[0] for line in warned(caplog, [(0.001, 0.0)] * PATIENCE)] == ["contrastive", "redundancy"]


@pytest.mark.parametrize(
    "shares",
    [
        [(0.98, 0.02)] * (2 * PATIENCE),  # just enough of a say
        [(1.0, 0.0)] * (PATIENCE - 1),
        ([(1.0, 0.0)] * (PATIENCE - 1) + [(0.5, 0.5)]) * 3,  # never so long in a row
    ],
)
def test_what_is_no_weak_term(caplog, shares):
    assert warned(caplog, shares) == []


def test_the_other_processes_are_silent(caplog, monkeypatch):
    monkeypatch.setattr("pretrain.distributed.ranks.rank", lambda: 1)
    assert warned(caplog, [(1.0, 0.0)] * PATIENCE) == []
