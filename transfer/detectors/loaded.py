"""Load a file into a Detectron2 model by Detectron2's own loader, and count what the model really took from it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transfer.checkpoints import names
from transfer.checkpoints.completeness import listed
from transfer.log_levels import errors_only


@dataclass(frozen=True)
class Loaded:
    """How many of a network's tensors hold the values of a file (``num_batches_tracked`` is not counted).

    Attributes:
        expected: the network's own: of the backbone, or of the whole detector.
        missing: names of those that hold something else.
        unused: names of the file's tensors for which the network has no place.
        misshapen: names, among ``missing``, of those that the file has in another shape.
    """

    expected: int
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()

    @property
    def loaded(self) -> int:
        """Tensors that hold the file's values."""
        return self.expected - len(self.missing)

    @property
    def complete(self) -> bool:
        """Every tensor was loaded, and there was one."""
        return self.expected > 0 and not self.missing

    def __str__(self) -> str:
        """``98/100 tensors``, and by name what was not loaded and not used."""
        parts = [f"{self.loaded}/{self.expected} tensors"]
        for kind in ("missing", "unused", "misshapen"):
            if tensors := getattr(self, kind):
                parts.append(f"{len(tensors)} {kind} ({listed(tensors)})")
        return ", ".join(parts)


def load_counted(
    model: nn.Module,
    file: str,
    state: Mapping[str, Tensor] | None = None,
    *,
    file_names: Collection[str] = (),
    whole: bool = False,
) -> Loaded:
    """Load ``file`` into a model of NaNs by Detectron2's own loader, and count what arrived.

    Names are no proof: the loader matches suffixes and skips what does not fit with a warning. What it leaves alone
    stays NaN and cannot pass for a lucky initialisation (norms start at 1 and 0).

    Args:
        model: a detector, or its backbone and heads under the names they have there; all its tensors are replaced.
        file: what the loader is given.
        state: what a converted file holds, under bare Detectron2 names: values are compared too. None counts what is
            no longer NaN.
        file_names: without ``state``, the bare names in a converted file.
        whole: without ``state``, count the whole detector rather than the backbone.
    """
    from detectron2.checkpoint import DetectionCheckpointer

    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.fill_(math.nan if tensor.is_floating_point() else 0)
    # Detectron2 logs every tensor that it skips; the count says it in one line, and exactly.
    with errors_only("fvcore.common.checkpoint", "detectron2.checkpoint.c2_model_loading"):
        DetectionCheckpointer(model).load(file, checkpointables=[])
    if state is not None:
        return count_loaded(model, state)
    backbone = backbone_tensors(model)
    counted = {k: t for k, t in model.state_dict().items() if t.is_floating_point() and (whole or k in backbone)}
    places = {bare for bare, _ in backbone.values()}
    return Loaded(
        len(counted),
        tuple(name for name, tensor in counted.items() if bool(tensor.isnan().any())),
        tuple(name for name in file_names if name not in places),
    )


def count_loaded(model: nn.Module, state: Mapping[str, Tensor]) -> Loaded:
    """Count what a built and loaded Detectron2 model really took from a converted file, by comparing values.

    Detectron2 only warns about what it could not match, so its word is not taken for it.

    Args:
        model: a Detectron2 detector or backbone, on any device, before its first training step.
        state: the ``model`` dictionary of the converted file: bare Detectron2 names (``stem.conv1.weight``).
    """
    tensors = backbone_tensors(model)
    misshapen = {k for k, (bare, tensor) in tensors.items() if bare in state and state[bare].shape != tensor.shape}
    missing = [
        key
        for key, (bare, tensor) in tensors.items()
        if bare not in state
        or key in misshapen
        or not torch.equal(tensor.detach().cpu().float(), state[bare].cpu().float())
    ]
    places = {bare for bare, _ in tensors.values()}
    return Loaded(
        len(tensors),
        tuple(missing),
        tuple(name for name in state if name not in places),
        tuple(key for key in missing if key in misshapen),
    )


def backbone_tensors(model: nn.Module) -> dict[str, tuple[str, Tensor]]:
    """Model key -> (bare Detectron2 name, tensor) of the residual network: bottom-up part, and res5 in a C4 head."""
    state = {names.strip_wrappers(key): tensor for key, tensor in model.state_dict().items()}
    home = next((p for p in ("backbone.bottom_up.", "backbone.", "") if any(k.startswith(p) for k in state)), "")
    tensors = {}
    for key, tensor in state.items():
        bare = key[len(home) :] if key.startswith(home) else None
        if key.startswith("roi_heads.res5."):
            bare = key.removeprefix("roi_heads.")
            # The protocol's extra norm after res5 is new with the detector: no backbone has it.
            bare = None if bare.startswith("res5.norm.") else bare
        if bare is not None and not bare.endswith("num_batches_tracked"):
            tensors[key] = (bare, tensor)
    return tensors
