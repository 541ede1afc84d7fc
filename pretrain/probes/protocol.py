"""How frozen features are scored: the settings of each probe, checked when they are made. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pretrain.errors import InputError
from pretrain.ranges import COUNT, Items, Range, check

WEIGHT_DECAYS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
OBJECT_WEIGHT_DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)  # fewer: six fits of a set's regions instead of one of its images


@dataclass(frozen=True)
class KnnProtocol:
    """Weighted k-nearest neighbours by cosine similarity (Wu et al. 2018, section 3.4).

    Attributes:
        k: neighbours; 5 in CompMod's and MetaMask's tables.
        temperature: τ of the vote exp(similarity / τ).

    Raises:
        InputError: a number out of its range.
    """

    k: Annotated[int, COUNT] = 5
    temperature: Annotated[float, Range(1e-6, 1e6)] = 0.07  # beyond, the votes are no float32

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        check(self, flags=True)


@dataclass(frozen=True)
class LinearProtocol:
    """Softmax regression on standardised features.

    Attributes:
        weight_decays: >= 0, to choose from on a fifth of the training split.

    Raises:
        InputError: none, or a number out of its range.
    """

    weight_decays: Annotated[tuple[float, ...], Items(1, 100), Range(0, 1e6)] = WEIGHT_DECAYS

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        check(self, flags=True)


@dataclass(frozen=True)
class ObjectsProtocol:
    """Objects told apart, and objects told from background, by their features at res3, res4 and res5.

    Attributes:
        k: neighbours of the nearest-neighbour probe.
        temperature: τ of its vote exp(similarity / τ).
        weight_decays: of the linear probe, >= 0, to choose from on a fifth of the training images.
        most: objects to learn from, and as many to be tested on; a random part of more. At most as many places without
            an object come to them.

    Raises:
        InputError: none, or a number out of its range.
    """

    k: Annotated[int, COUNT] = 5
    temperature: Annotated[float, Range(1e-6, 1e6)] = 0.07
    weight_decays: Annotated[tuple[float, ...], Items(1, 100), Range(0, 1e6)] = OBJECT_WEIGHT_DECAYS
    most: Annotated[int, COUNT] = 10_000

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        check(self, flags=True)


Protocol = KnnProtocol | LinearProtocol | ObjectsProtocol
PROTOCOLS: dict[str, type[Protocol]] = {"knn": KnnProtocol, "linear": LinearProtocol, "objects": ObjectsProtocol}


def named_protocol(protocol: str | Protocol) -> Protocol:
    """The protocol itself, or that of a name with its defaults.

    Raises:
        InputError: an unknown name.
    """
    if not isinstance(protocol, str):
        return protocol
    if protocol not in PROTOCOLS:
        raise InputError(f"--protocol: expected one of {', '.join(PROTOCOLS)}, found {protocol!r}")
    return PROTOCOLS[protocol]()
