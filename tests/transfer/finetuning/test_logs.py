import logging
import warnings

import pytest

from transfer.finetuning import logs


def test_the_log_has_everything_and_the_terminal_what_a_user_can_act_on(tmp_path, capsys):
    with logs.logging_to(tmp_path):
        logging.getLogger("transfer.finetuning.plan").info("seen")
        logging.getLogger("detectron2.checkpoint.c2").warning("names")
    logging.getLogger("transfer.finetuning.plan").info("after")
    text = (tmp_path / "log.txt").read_text()
    out = capsys.readouterr().out
    assert "seen" in text
    assert "names" in text
    assert "seen" in out
    assert "names" not in out
    assert "after" not in text + out


def test_only_named_warnings_are_silenced():
    with logs.quiet():
        warnings.warn("torch.meshgrid: in an upcoming release", UserWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="another"):  # warnings are errors in these tests
            warnings.warn("another", UserWarning, stacklevel=1)
