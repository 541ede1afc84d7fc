"""The loop of docs/hypergradient.md runs as it stands, and both levels learn."""

import re
from pathlib import Path

import torch

DOCUMENT = Path(__file__).parent.parent / "docs" / "hypergradient.md"
LONGEST = 40  # lines of code


def code_block():
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1, "one loop, complete"
    return blocks[0]


def test_the_loop_is_short_and_plain():
    lines = [line for line in code_block().splitlines() if line.strip()]
    assert len(lines) <= LONGEST
    assert "mmengine" not in code_block()


def test_the_loop_runs_and_both_levels_learn():
    with torch.random.fork_rng(devices=[]):
        names = {}
        exec(compile(code_block(), str(DOCUMENT), "exec"), names)
    losses, mask = names["losses"], names["psi"]["mask"].detach()
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    assert mask.std() > 0.01, "some features are kept and others are not"
    second = names["gradient"].second_order["mask"]
    assert torch.isfinite(second).all()
    assert second.norm() > 0
