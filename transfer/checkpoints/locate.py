"""Find the backbones in an opened checkpoint: which layout, under which prefix, and what would be dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transfer.checkpoints import names
from transfer.checkpoints.layouts import LAYOUTS, Layout
from transfer.errors import CheckpointError

MAX_DEPTH = 8  # VISSL nests its tensors four deep; a file that nests deeper than this is up to something
ENOUGH = 10  # a backbone has at least 40 tensors: fewer than this under a prefix is a coincidence of names
_LATE = "layer4.0.conv1.weight"  # every torchvision ResNet has it once
TONGUES = ("torchvision", "detectron2", "caffe2", "sequential")


@dataclass
class Located:
    """One backbone in a file.

    Attributes:
        layout: the row of the table it was recognised by.
        container: names of the dictionaries on the way to the tensors, joined by dots; "" for the top.
        state: torchvision name -> tensor, as found: not yet checked against any architecture.
        dropped: keys of the container that are no part of this backbone.
        strange: keys under the prefix that are neither backbone nor a known head: a fault.
    """

    layout: Layout
    container: str
    state: dict[str, Tensor] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        """What ``--prefix`` has to say to get this one."""
        return f"{self.container}/{self.layout.prefix}" if self.container else self.layout.prefix


Group = dict[str, Tensor]


def groups(tree: object) -> dict[str, Group]:
    """Every dictionary in the tree that directly holds tensors: dotted way to it -> {key: tensor}.

    Exponential averages come last, so that the trained weights are found before their average.
    """
    found = dict(_walk(tree, (), set()))
    return dict(sorted(found.items(), key=lambda item: "ema" in item[0].lower()))


def _walk(node: object, way: tuple[str, ...], seen: set[int]) -> Iterator[tuple[str, Group]]:
    if not isinstance(node, Mapping) or id(node) in seen or len(way) > MAX_DEPTH:
        return
    seen.add(id(node))
    tensors = {
        key: tensor for key, value in node.items() if isinstance(key, str) and (tensor := _tensor(value)) is not None
    }
    if tensors:
        yield ".".join(way), tensors
    for key, value in node.items():
        yield from _walk(value, (*way, str(key)), seen)


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.ascontiguousarray(value.astype(value.dtype.newbyteorder("="))))
    return None


def locate(tree: object, prefix: str | None = None) -> list[Located]:
    """Find every backbone, the one to be used first.

    Args:
        tree: what ``files.open_tree`` returned.
        prefix: what stands before the backbone's names, when the user says so; ``CONTAINER/PREFIX`` picks one of
            several dictionaries.

    Raises:
        CheckpointError: nothing in the file is a known layout, or nothing lies under ``prefix``.
    """
    held = groups(tree)
    found: dict[tuple[str, str], Located] = {}
    stripped = {container: _strip(group, container) for container, group in held.items()}
    for layout in LAYOUTS if prefix is None else _said(prefix):
        for container, group in stripped.items():
            if _fits(layout, container, group) and len((hit := extract(group, layout, container)).state) >= ENOUGH:
                found.setdefault((container, layout.prefix), hit)
    if not found:
        raise _unknown(held, prefix)
    if prefix is not None:
        return sorted(found.values(), key=lambda hit: -len(hit.state))
    return [*found.values(), *_siblings(stripped, found)]


def _siblings(stripped: Mapping[str, Group], found: Collection[tuple[str, str]]) -> Iterator[Located]:
    """Backbones beside the recognised ones that no row is about, such as MoCo's momentum encoder."""
    for container, group in stripped.items():
        for key in group:
            prefix = key.removesuffix(_LATE)
            if key.endswith(_LATE) and (container, prefix) not in found:
                hit = extract(group, Layout(f"prefix {prefix}", prefix, convention=None), container)
                if len(hit.state) >= ENOUGH:
                    yield hit


def _said(prefix: str) -> list[Layout]:
    container, _, inner = prefix.rpartition("/")
    inner = names.strip_wrappers(inner)
    known = next((row for row in LAYOUTS if row.prefix == inner and inner and not row.elsewhere), None)
    row = replace(known, marks=(), containers=()) if known else Layout(f"prefix {prefix}", inner, convention=None)
    way = (container,) if container else ()
    return [replace(row, names=tongue, containers=way) for tongue in TONGUES]


def _strip(group: Group, container: str) -> Group:
    stripped: Group = {}
    for key, tensor in group.items():
        name = names.strip_wrappers(key)
        if name in stripped:
            raise CheckpointError(
                f"two tensors would get one name: expected one {name!r} in {container or 'the file'}, found it with "
                "and without a wrapper's prefix; remove one of them"
            )
        stripped[name] = tensor
    return stripped


def _fits(layout: Layout, container: str, group: Group) -> bool:
    way = container.split(".")
    if layout.containers and not any(name in way or name == container for name in layout.containers):
        return False
    wanted = (*layout.marks, layout.prefix) if layout.prefix else layout.marks
    return all(any(key.startswith(mark) for key in group) for mark in wanted)


def extract(group: Group, layout: Layout, container: str = "") -> Located:
    """Split one dictionary of tensors into the backbone, what may be dropped and what is strange."""
    found = Located(layout, container)
    inner = {key: name for key in group if (name := _inner(key, layout)) is not None}
    translate = _translator(layout.names, inner.values())
    for key, tensor in group.items():
        name = inner.get(key)
        if name is None or name.endswith("num_batches_tracked") or name.startswith(layout.heads):
            found.dropped.append(key)
        elif (known := translate(name)) is None or known in found.state:
            found.strange.append(key)
        else:
            found.state[known] = tensor
    if layout.names == "caffe2":
        found.state |= _affine_statistics(found.state)
    return found


def _affine_statistics(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Statistics that make a BatchNorm the scale and bias that the Caffe files hold: it divides by exactly 1."""
    if any(name.endswith(("running_mean", "running_var")) for name in state):
        return {}
    norms = {name.removesuffix(".bias"): tensor for name, tensor in state.items() if name.endswith(".bias")}
    means = {f"{norm}.running_mean": torch.zeros_like(bias) for norm, bias in norms.items()}
    # 1e-5 is every BatchNorm's epsilon; Detectron2's FrozenBatchNorm2d starts with the same variance.
    return means | {f"{norm}.running_var": torch.ones_like(bias) - 1e-5 for norm, bias in norms.items()}


def _inner(key: str, layout: Layout) -> str | None:
    for prefix, stage in layout.elsewhere:
        if key.startswith(prefix):
            return stage + key[len(prefix) :]
    return key[len(layout.prefix) :] if key.startswith(layout.prefix) else None


def _translator(tongue: str, inner: Any) -> Callable[[str], str | None]:
    if tongue == "detectron2":
        return names.from_detectron2
    if tongue == "caffe2":
        return names.from_caffe2
    if tongue == "sequential":
        stages = names.sequential_stages(inner)
        return lambda name: _plain(names.from_sequential(name, stages)) if stages else None
    return _plain


def _plain(name: str | None) -> str | None:
    """A torchvision name of a residual backbone, or None: exactly those that have a Detectron2 name."""
    return name if name is not None and names.to_detectron2(name) else None


def _unknown(held: dict[str, Group], prefix: str | None) -> CheckpointError:
    if not held:
        return CheckpointError(
            "no tensors: expected a checkpoint with named tensors, found none; is it the right file?"
        )
    container, group = max(held.items(), key=lambda item: len(item[1]))
    keys = list(group)
    heads = sorted(
        {key.split(".")[0] + "." for key in keys if "." in key}
        | {".".join(k.split(".")[:2]) + "." for k in keys if k.count(".") > 1}
    )
    where = f" in {container!r}" if container else ""
    asked = f"residual backbone under --prefix {prefix}" if prefix is not None else "known layout"
    return CheckpointError(
        f"no {asked}: expected a ResNet's tensors, found {len(keys)}{where} such as {', '.join(keys[:4])} under the "
        f"prefixes {', '.join(heads[:6])} (nearest known layout: {_nearest(held)}); say what stands before "
        "conv1.weight with --prefix"
    )


def _nearest(held: dict[str, Group]) -> str:
    def closeness(row: Layout) -> float:
        wanted = [part for part in (row.prefix, *row.marks) if part]
        keys = [names.strip_wrappers(key) for group in held.values() for key in group]
        return sum(any(key.startswith(part) for key in keys) for part in wanted) / (len(wanted) + 1)

    return max(LAYOUTS, key=closeness).name
