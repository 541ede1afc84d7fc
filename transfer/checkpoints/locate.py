"""Find the backbones in an opened checkpoint: which layout, under which prefix, and what would be dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transfer.checkpoints import completeness, names, resnets
from transfer.checkpoints.layouts import LAYOUTS, Layout
from transfer.checkpoints.printable import printable
from transfer.checkpoints.stand_ins import Unreadable
from transfer.errors import CheckpointError

MAX_DEPTH = 8  # VISSL nests its tensors four deep; a file that nests deeper than this is up to something
ENOUGH = 10  # a backbone has at least 40 tensors: fewer than this under a prefix is a coincidence of names
MOST_TENSORS = 50_000  # a detector with its optimizer has a thousand
MOST_OTHERS = 16  # backbones beside the first: more than these are not looked for
_LATE = "layer4.0.conv1.weight"  # every torchvision ResNet has it once
_FIRST = {  # the first tensor of a backbone in each naming scheme
    "torchvision": "conv1.weight",
    "detectron2": "stem.conv1.weight",
    "huggingface": "embedder.embedder.convolution.weight",
    "caffe2": "conv1_w",
    "sequential": "0.weight",
}
NAMINGS = tuple(_FIRST)

Group = dict[str, Tensor | Unreadable]


@dataclass
class Located:
    """One backbone in a file.

    Attributes:
        layout: the row of the table it was recognised by.
        container: names of the dictionaries on the way to the tensors, joined by dots; "" for the top.
        state: torchvision name -> tensor, as in the file: not yet checked against any architecture.
        unreadable: torchvision name -> why its numbers cannot be had.
        dropped: keys of the container that are no part of this backbone, fit to print.
        strange: keys under the prefix that are neither backbone nor a known head, fit to print: a fault.
        first_stage: for an ``nn.Sequential``, the index of layer1; None for all others.
    """

    layout: Layout
    container: str
    state: dict[str, Tensor] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    first_stage: int | None = None

    @property
    def path(self) -> str:
        """What ``--prefix`` has to say to get this one."""
        prefix = printable(self.layout.prefix)
        return f"{self.container}/{prefix}" if self.container else prefix


def groups(tree: object) -> dict[str, Group]:
    """Every dictionary in the tree that directly holds tensors: dotted way to it -> {key: tensor}.

    Exponential averages come last, so that the trained weights are found before their average.

    Raises:
        CheckpointError: more tensors than any checkpoint has.
    """
    by_way: dict[str, Group] = {}
    count = 0
    for way, group in _walk(tree, (), set()):
        by_way.setdefault(way, {}).update(group)
        count += len(group)
        if count > MOST_TENSORS:
            raise CheckpointError(
                f"no checkpoint of a backbone: expected at most {MOST_TENSORS} tensors, found more; save the network's "
                "state_dict alone"
            )
    return dict(sorted(by_way.items(), key=lambda item: "ema" in item[0].lower()))


def _walk(node: object, way: tuple[str, ...], visited: set[int]) -> Iterator[tuple[str, Group]]:
    if not isinstance(node, Mapping) or id(node) in visited or len(way) > MAX_DEPTH:
        return
    visited.add(id(node))
    tensors: Group = {
        key: tensor for key, value in node.items() if isinstance(key, str) and (tensor := _tensor(value)) is not None
    }
    if tensors:
        yield ".".join(way), tensors
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _walk(value, (*way, printable(key)), visited)


def _tensor(value: Any) -> Tensor | Unreadable | None:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiubc":
        return torch.from_numpy(np.asarray(value, value.dtype.newbyteorder("="), order="C"))
    return value if isinstance(value, Unreadable) else None


def locate(tree: object, prefix: str | None = None) -> list[Located]:
    """Find every backbone, the one to be used first.

    Args:
        tree: what ``opened.open_tree`` returned.
        prefix: what stands before the backbone's names, when the user says so; ``CONTAINER/PREFIX`` picks one of
            several dictionaries.

    Raises:
        CheckpointError: nothing in the file is a known layout, or nothing lies under ``prefix``.
    """
    held = groups(tree)
    hits: dict[tuple[str, str], Located] = {}
    stripped = {container: _strip(group, container) for container, group in held.items()}
    for layout in LAYOUTS if prefix is None else _asked(prefix):
        for container, group in stripped.items():
            if _fits(layout, container, group) and _size(hit := extract(group, layout, container)) >= ENOUGH:
                hits.setdefault((container, layout.prefix), hit)
    if not hits:
        raise _unknown(stripped, prefix)
    if prefix is not None:
        return sorted(hits.values(), key=lambda hit: -_size(hit))
    return [*hits.values(), *_siblings(stripped, hits)]


def _size(hit: Located) -> int:
    return len(hit.state) + len(hit.unreadable)


def _siblings(stripped: Mapping[str, Group], known: Collection[tuple[str, str]]) -> Iterator[Located]:
    """Backbones beside the recognised ones that no row is about, such as MoCo's momentum encoder."""
    tried = 0
    for container, group in stripped.items():
        for key in group:
            prefix = key.removesuffix(_LATE)
            if key.endswith(_LATE) and (container, prefix) not in known and tried < MOST_OTHERS:
                tried += 1
                hit = extract(group, Layout(f"prefix {printable(prefix)}", prefix, convention=None), container)
                if _size(hit) >= ENOUGH:
                    yield hit


def _asked(prefix: str) -> list[Layout]:
    container, _, inner = prefix.rpartition("/")
    inner = names.strip_wrappers(inner)
    known = next((row for row in LAYOUTS if row.prefix == inner and inner and not row.elsewhere), None)
    row = replace(known, marks=(), containers=()) if known else Layout(f"prefix {prefix}", inner, convention=None)
    way = (container,) if container else ()
    return [replace(row, names=naming, containers=way) for naming in NAMINGS]


def _strip(group: Group, container: str) -> Group:
    stripped: Group = {}
    for key, tensor in group.items():
        name = names.strip_wrappers(key)
        if name in stripped:
            raise CheckpointError(
                f"two tensors would get one name: expected one {printable(name)!r} in {container or 'the file'}, found "
                "it with and without a wrapper's prefix; remove one of them"
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
    located = Located(layout, container)
    inner = {key: name for key in group if (name := _inner(key, layout)) is not None}
    translate = _translator(layout.names, inner.values(), located)
    for key, tensor in group.items():
        name = inner.get(key)
        if name is None or _is_no_weight(name) or name.startswith(layout.heads):
            located.dropped.append(printable(key))
        elif (known := translate(name)) is None or known in located.state or known in located.unreadable:
            located.strange.append(printable(key))
        elif isinstance(tensor, Unreadable):
            located.unreadable[known] = tensor.why
        else:
            located.state[known] = tensor
    if layout.names == "caffe2":
        located.state |= _affine_statistics(located.state)
    return located


def _is_no_weight(name: str) -> bool:
    return name.endswith("num_batches_tracked") or name in names.COUNTERS


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


def _translator(naming: str, inner: Iterable[str], located: Located) -> Callable[[str], str | None]:
    if naming == "sequential":
        stages = names.sequential_stages(inner)
        if stages is None:
            return lambda name: None
        located.first_stage = next(int(index) for index, segment in stages.items() if segment == "layer1")
        return lambda name: _plain(names.from_sequential(name, stages))
    table = {
        "detectron2": names.from_detectron2,
        "caffe2": names.from_caffe2,
        "huggingface": names.from_huggingface,
    }
    return table.get(naming, _plain)


def _plain(name: str | None) -> str | None:
    """A torchvision name of a residual backbone, or None: exactly those that have a Detectron2 name."""
    return name if name is not None and names.to_detectron2(name) else None


def _unknown(stripped: Mapping[str, Group], prefix: str | None) -> CheckpointError:
    if not stripped:
        return CheckpointError(
            "no tensors: expected a checkpoint with named tensors, found none; is it the right file?"
        )
    container, group = max(stripped.items(), key=lambda item: len(item[1]))
    keys = list(group)
    if any(key.endswith("_flat_param") for key in keys):
        return CheckpointError(
            "no named tensors: expected one a layer, found FSDP's flat parameters; save the full state_dict "
            "(StateDictType.FULL_STATE_DICT)"
        )
    where = f" in {container!r}" if container else ""
    asked = f"residual backbone under --prefix {prefix}" if prefix is not None else "known layout"
    complete = _complete(stripped)
    advice = f"say {' or '.join(f'--prefix {path}' for path in complete)}" if complete else "give a ResNet's checkpoint"
    whole = "" if complete else ", none of which lead to a ResNet's tensors"
    shown, prefixes = ", ".join(map(printable, keys[:4])), ", ".join(_prefixes(keys))
    under = f" under the prefixes {prefixes}" if prefixes else ""
    return CheckpointError(
        f"no {asked}: expected a ResNet's tensors, found {len(keys)}{where} such as {shown}{under}{whole}; {advice}"
    )


def _prefixes(keys: list[str]) -> list[str]:
    one = {key.split(".")[0] + "." for key in keys if "." in key}
    two = {".".join(key.split(".")[:2]) + "." for key in keys if key.count(".") > 1}
    return [printable(prefix) for prefix in sorted(one | two)[:6]]


def _complete(stripped: Mapping[str, Group]) -> list[str]:
    """What ``--prefix`` could say: the ways that lead to every tensor of some ResNet."""
    candidates = [
        (container, naming, key[: -len(first)])
        for container, group in stripped.items()
        for key in group
        for naming, first in _FIRST.items()
        if key.endswith(first) and (len(key) == len(first) or key[-len(first) - 1] == ".")
    ]
    # A block's own conv1.weight ends like the stem's: the shortest come first, and a few are enough.
    candidates.sort(key=lambda candidate: candidate[2].count("."))
    paths = []
    for container, naming, prefix in candidates[:MOST_OTHERS]:
        hit = extract(stripped[container], Layout("", prefix, names=naming, convention=None), container)
        shapes = {name: tuple(tensor.shape) for name, tensor in hit.state.items()}
        recognised = resnets.recognise(shapes)
        if recognised and not completeness.compare(hit.state, resnets.expected(*recognised)).missing:
            paths.append(hit.path)
    return [printable(path) for path in dict.fromkeys(paths)]
