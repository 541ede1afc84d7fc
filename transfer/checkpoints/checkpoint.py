"""Read any known pretraining checkpoint safely: torchvision names, and what is known about the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transfer.checkpoints import claims, completeness, hub, locate, opened, resnets, settings
from transfer.checkpoints.layouts import Convention, Layout
from transfer.checkpoints.metadata import FORMAT, convention_of, converted_metadata, decode_metadata, metadata_of
from transfer.checkpoints.printable import printable
from transfer.errors import CheckpointError
from transfer.files import atomic


@dataclass
class Examination:
    """All that was found out about one backbone in a file, sound or not (``read`` accepts only sound ones).

    Attributes:
        path, sha256: the file.
        name: what it is called in the metadata: its name without its folder, or its address on a hub.
        located: where the tensors lay and how they are named.
        others: ways to further backbones in the same file, as ``--prefix`` takes them.
        spec, stem: the architecture, or None when it is no known one.
        comparison: the tensors against that architecture's, or None.
        convention: how the network was fed; None when neither file nor layout tells.
        origin: who says so: ``file``, ``layout``, ``user`` or ``unknown``.
        metadata: the decoded header of our own files, else {}.
        problems: why this cannot be converted; empty when it can.
        doubts: what the file says of itself, or leaves open, that may make its network another one.
    """

    path: Path
    sha256: str
    name: str
    located: locate.Located
    others: list[str]
    spec: resnets.Spec | None
    stem: str
    comparison: completeness.Comparison | None
    convention: Convention | None
    origin: str
    metadata: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """A complete, sound backbone.

    Attributes:
        path, sha256: the file it came from.
        layout: the project and layout it was recognised as.
        prefix: what stood before the names in the file.
        naming: whose names the file had: ``torchvision``, ``detectron2``, ``caffe2``, ``sequential`` or
            ``huggingface``.
        head: ``c4`` when the file keeps res5 in a RoI head, else ``fpn``.
        state: torchvision name -> contiguous float32 tensor, in the network's order; no ``fc``, no counters.
        arch: torchvision's name of the architecture.
        stem: ``imagenet`` or ``small``.
        convention: normalisation, channel order and stride placement; None when nobody knows.
        origin: who says so: ``file``, ``layout``, ``user`` or ``unknown``.
        metadata: docs/design.md, contract 1, decoded, plus ``stride_in_1x1`` and ``source``; complete for our own
            files, and as much as is known for others.
        dropped: keys of the file that are no part of the backbone.
        doubts: why this may be another network than its tensors seem; to be shown to the user.
    """

    path: Path
    sha256: str
    layout: str
    prefix: str
    naming: str
    head: str
    state: dict[str, Tensor]
    arch: str
    stem: str
    convention: Convention | None
    origin: str
    metadata: dict[str, Any]
    dropped: list[str]
    doubts: list[str] = field(default_factory=list)

    @property
    def spec(self) -> resnets.Spec:
        """The architecture's numbers."""
        return resnets.SPECS[self.arch]


_MOST_TIMES = 16  # tensors may share memory, and half precision becomes twice as much; more is a trick


def read(
    path: str | Path,
    prefix: str | None = None,
    arch: str | None = None,
    *,
    convention: str | None = None,
    widen: bool = False,
) -> Checkpoint:
    """Read a checkpoint completely or refuse it.

    Args:
        path: the file, or ``hf:ORG/NAME[@REVISION][/FILE]`` (`transfer.checkpoints.hub`).
        prefix: what stands before the backbone's names; None to recognise it.
        arch: torchvision's name of the architecture; None to recognise it. Named, it is the user's word against
            what the file says of itself: contradictions become doubts.
        convention: ``imagenet``, ``imagenet228`` or ``msra``: how the network was fed, against what the file says.
        widen: take half and double precision too, as float32.

    Raises:
        InputError: no such file, or an unknown ``arch`` or ``convention``.
        CheckpointError: not safe, not known, not complete or not sound.

    Examples:
        A checkpoint whose backbone has a name before it, with untrained weights:

        >>> import tempfile, torch, torchvision, transfer
        >>> path = f"{tempfile.mkdtemp()}/model.pth"
        >>> network = torch.nn.ModuleDict({"backbone": torchvision.models.resnet18()})
        >>> network["backbone"].fc = torch.nn.Identity()
        >>> torch.save({"state_dict": network.state_dict()}, path)
        >>> checkpoint = transfer.read_checkpoint(path)
        >>> checkpoint.prefix, checkpoint.arch, len(checkpoint.state)
        ('state_dict/backbone.', 'resnet18', 100)
    """
    examination = examine(path, prefix, arch, convention=convention, widen=widen)
    located, spec = examination.located, examination.spec
    if examination.problems or spec is None:
        taken_for = f" ({spec.name}, {located.layout.name})" if spec else ""
        raise CheckpointError(
            f"{examination.path} cannot be used: expected a complete backbone{taken_for}, found "
            f"{'; '.join(examination.problems)}; see `python -m transfer inspect`"
        )
    return Checkpoint(
        path=examination.path,
        sha256=examination.sha256,
        layout=located.layout.name,
        prefix=located.path,
        naming=located.layout.names,
        head="c4" if located.layout.elsewhere else "fpn",
        state={
            name: located.state[name].to(torch.float32).contiguous()
            for name in resnets.expected(spec, examination.stem)
        },
        arch=spec.name,
        stem=examination.stem,
        convention=examination.convention,
        origin=examination.origin,
        metadata=_completed(examination, spec),
        dropped=located.dropped,
        doubts=examination.doubts,
    )


def examine(
    path: str | Path,
    prefix: str | None = None,
    arch: str | None = None,
    *,
    convention: str | None = None,
    widen: bool = False,
) -> Examination:
    """Find out all about the first backbone in a file; faults are listed, not raised (arguments as in ``read``).

    Raises:
        InputError, CheckpointError: the file cannot be opened safely or holds no known layout.
    """
    fetched = hub.fetch(str(path)) if hub.is_address(path) else None
    path = fetched.path if fetched else Path(path)
    beside = fetched.fed if fetched else {}
    tree, header = opened.open_tree(path)
    metadata = decode_metadata(header, path) if header.get("format") == FORMAT else converted_metadata(tree, path)
    located, rest = _choose(tree, header, prefix)
    others = [other.path for other in rest]
    state = located.state
    candidates = _candidates(arch)
    recognised = resnets.recognise({name: tuple(tensor.shape) for name, tensor in state.items()}, candidates)
    spec, stem = recognised or (None, "imagenet")
    comparison = completeness.compare(state, resnets.expected(spec, stem)) if spec else None
    fed, origin = convention_of(located.layout, {**beside, **metadata}, convention)
    name = fetched.name if fetched else path.name
    digest = atomic.sha256(path)
    examination = Examination(path, digest, name, located, others, spec, stem, comparison, fed, origin, metadata)
    examination.problems = list(_problems(examination, widen, candidates))
    if spec and not metadata:  # our own files say all in their metadata, which are compared as such
        taken = claims.Taken(spec, stem, fed, origin, located)
        rows = settings.settings_of(tree, header)
        if fetched:
            rows += settings.settings_of({"config": fetched.config}, {})
        weighed = claims.weigh(rows, taken).resolved(by_user=arch is not None)
        advice = f" (--arch {spec.name} takes it all the same)"
        examination.problems += [phrase + advice for phrase in weighed.contradictions]
        examination.doubts = [*weighed.doubts, *_choice(located, rest, prefix), *_constant(state)]
    return examination


def _choice(chosen: locate.Located, others: list[locate.Located], prefix: str | None) -> Iterable[str]:
    """Of two different backbones in a file of no known project nothing tells which is meant."""
    if prefix is not None or not chosen.layout.anyones:
        return
    different = [other.path for other in others if not _same(chosen.state, other.state)]
    if different:
        ways = " or ".join(f"--prefix {path or repr('')}" for path in different[:3])
        count = f"{len(different)} backbones of other values beside the one"
        yield f"{count} under {printable(chosen.path) or 'no prefix'} ({ways} takes it)"


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        tensor.shape == other[name].shape and torch.equal(tensor, other[name]) for name, tensor in one.items()
    )


def _constant(state: dict[str, Tensor]) -> Iterable[str]:
    """Kernels of one value throughout are no training's and no initialisation's."""
    kernels = {
        name: tensor
        for name, tensor in state.items()
        if tensor.ndim == 4 and tensor.numel() and tensor.is_floating_point()
    }
    constant = [name for name, tensor in kernels.items() if bool((tensor == tensor.flatten()[0]).all())]
    if constant:
        yield (
            f"{len(constant)} of {len(kernels)} convolutions hold one value throughout (first: {constant[0]}); "
            "were they trained?"
        )


def _choose(tree: Any, header: dict[str, str], prefix: str | None) -> tuple[locate.Located, list[locate.Located]]:
    if header.get("format") == FORMAT and prefix is None:
        # Our own file promises to hold nothing else: no head may be dropped from it.
        own = Layout("backbone.safetensors", "", heads=(), convention=None)
        return locate.extract(locate.groups(tree).get("", {}), own), []
    first, *rest = locate.locate(tree, prefix)
    return first, rest


def _candidates(arch: str | None) -> list[resnets.Spec]:
    if arch is None:
        return list(resnets.SPECS.values())
    if arch not in resnets.SPECS:
        raise CheckpointError(
            f"no such architecture: expected one of {', '.join(resnets.SPECS)}, found {arch}; correct --arch"
        )
    return [resnets.SPECS[arch]]


def _problems(examination: Examination, widen: bool, candidates: list[resnets.Spec]) -> Iterable[str]:
    located, spec, comparison = examination.located, examination.spec, examination.comparison
    if located.strange:
        yield f"{len(located.strange)} unexpected keys ({completeness.listed(located.strange)})"
    if unreadable := [f"{name}: {why}" for name, why in located.unreadable.items()]:
        yield f"{len(unreadable)} unreadable ({completeness.listed(unreadable)})"
    if spec is None or comparison is None:
        known = candidates[0].name if len(candidates) == 1 else "any known ResNet"
        yield f"{len(located.state)} tensors whose names and shapes are not those of {known}"
        return
    yield from comparison.problems()
    claimed, held = 4 * sum(tensor.numel() for tensor in located.state.values()), examination.path.stat().st_size
    if claimed > _MOST_TIMES * held:
        yield f"tensors of {claimed} bytes in a file of {held}"
    # Of all other kinds the comparison has said already that they are unsound.
    wide = [dtype for dtype in comparison.dtypes.values() if dtype in completeness.TRAINED_IN]
    if wide and not widen:
        kinds = sorted({str(dtype).removeprefix("torch.") for dtype in wide})
        yield f"{len(wide)} tensors in {', '.join(kinds)} instead of float32 (--widen takes them)"
    for key, own in (("arch", spec.name), ("stem", examination.stem)):
        if key in examination.metadata and examination.metadata[key] != own:
            yield f"the tensors of {key} {own} under metadata that say {printable(examination.metadata[key])}"


def _completed(examination: Examination, spec: resnets.Spec) -> dict[str, Any]:
    """Contract 1's keys: from the file where it has them, and what was recognised where it has not."""
    metadata = dict(examination.metadata)
    metadata |= {"format": FORMAT, "arch": spec.name, "stem": examination.stem}
    if examination.convention:
        metadata |= metadata_of(examination.convention)
    source = {
        "file": printable(examination.name),
        "sha256": examination.sha256,
        "layout": examination.located.layout.name,
    }
    metadata.setdefault("source", source)  # a file converted before keeps telling where its weights came from first
    return metadata


def read_converted_metadata(path: str | Path) -> dict[str, Any]:
    """What a converted ``.pth`` says about its weights (docs/design.md, contract 2).

    Returns:
        the decoded metadata, ``source`` included; {} when the file was not written by ``transfer convert``.

    Raises:
        InputError, CheckpointError: the file cannot be opened safely.
    """
    tree, _ = opened.open_tree(Path(path))
    return converted_metadata(tree, path)
