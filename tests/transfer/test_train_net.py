"""``python -m transfer.train_net`` is ``python -m transfer finetune`` under the name that Detectron2 users know."""

import pytest

from transfer import __main__ as verbs
from transfer import train_net


def ended(main, words, capsys):
    """The exit code of a command line, and what it printed."""
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["--no-such-flag"], 2),
        (["--config-file", "absent.yaml", "--dry-run"], 1),
        (["--config-file", "any_mask_rcnn_R_18_FPN_small", "--init", "random", "--seed", "-1"], 1),
    ],
)
def test_it_takes_the_same_words_and_ends_the_same_way(words, code, capsys):
    own = ended(train_net.main, words, capsys)
    verb = ended(verbs.main, ["finetune", *words], capsys)
    assert own[0] == verb[0] == code
    for mine, theirs in zip(own[1:], verb[1:], strict=True):
        assert mine.replace("transfer.train_net", "transfer finetune").split() == theirs.split()
    assert "transfer.train_net" in own[1] + own[2]
