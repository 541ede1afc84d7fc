"""Count what a Detectron2 model really took from a converted file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transfer.checkpoints import names


@dataclass(frozen=True)
class LoadCount:
    """How many backbone tensors of a built detector hold the values of a file.

    Attributes:
        loaded, expected: of the detector's own backbone tensors (``num_batches_tracked`` left out).
        missing: names of the detector's backbone tensors that hold something else.
        unused: names of the file's tensors for which the detector has no place.
    """

    loaded: int
    expected: int
    missing: list[str]
    unused: list[str]

    @property
    def complete(self) -> bool:
        """Every backbone tensor was loaded, and there was a backbone."""
        return self.expected > 0 and self.loaded == self.expected

    def __str__(self) -> str:
        """``265/265``, as the run record shows it."""
        return f"{self.loaded}/{self.expected}"


def count_loaded(model: nn.Module, state: Mapping[str, Tensor]) -> LoadCount:
    """Count what a built and loaded Detectron2 model really took from a converted file, by comparing values.

    Detectron2 only warns about what it could not match, so its word is not taken for it.

    Args:
        model: a Detectron2 detector or backbone, on any device, before its first training step.
        state: the ``model`` dictionary of the converted file: bare Detectron2 names (``stem.conv1.weight``).
    """
    held = backbone_tensors(model)
    missing = [
        key
        for key, (bare, tensor) in held.items()
        if bare not in state
        or state[bare].shape != tensor.shape
        or not torch.equal(tensor.detach().cpu().float(), state[bare].cpu().float())
    ]
    taken = {bare for bare, _ in held.values()}
    return LoadCount(len(held) - len(missing), len(held), missing, [name for name in state if name not in taken])


def backbone_tensors(model: nn.Module) -> dict[str, tuple[str, Tensor]]:
    """Model key -> (bare Detectron2 name, tensor) of the residual network: bottom-up part, and res5 in a C4 head."""
    state = {names.strip_wrappers(key): tensor for key, tensor in model.state_dict().items()}
    home = next((p for p in ("backbone.bottom_up.", "backbone.", "") if any(k.startswith(p) for k in state)), "")
    found = {}
    for key, tensor in state.items():
        bare = key[len(home) :] if key.startswith(home) else None
        if key.startswith("roi_heads.res5."):
            bare = key.removeprefix("roi_heads.")
            # The protocol's extra norm after res5 is new with the detector: no backbone has it.
            bare = None if bare.startswith("res5.norm.") else bare
        if bare is not None and not bare.endswith("num_batches_tracked"):
            found[key] = (bare, tensor)
    return found
