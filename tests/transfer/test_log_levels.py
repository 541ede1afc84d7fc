import logging

import pytest

from transfer.log_levels import errors_only

NAME = "transfer.test_log_levels"


@pytest.fixture
def logger():
    logger = logging.getLogger(NAME)
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(logging.NOTSET)


def test_only_errors_pass(logger, caplog):
    with errors_only("transfer", NAME):
        assert logging.getLogger("transfer.anything").getEffectiveLevel() == logging.ERROR
        logger.warning("not this")
        logger.error("this")
    assert [record.getMessage() for record in caplog.records] == ["this"]


def test_the_levels_come_back_whatever_happens_within(logger):
    @errors_only("transfer", NAME)
    def fails():
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fails()
        assert logger.level == logging.INFO
        assert logging.getLogger("transfer").level == logging.NOTSET
