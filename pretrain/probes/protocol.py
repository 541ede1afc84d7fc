"""How frozen features are scored: the settings of both probes, checked when they are made. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pretrain.errors import InputError

WEIGHT_DECAYS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class KnnProtocol:
    """Weighted k-nearest neighbours by cosine similarity (Wu et al. 2018, section 3.4).

    Attributes:
        k: neighbours, >= 1; 5 in CompMod's and MetaMask's tables.
        temperature: τ > 0 of the vote exp(similarity / τ).

    Raises:
        InputError: a number out of its range.
    """

    k: int = 5
    temperature: float = 0.07

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        if self.k < 1:
            raise InputError(f"--k: expected a whole number >= 1, found {self.k}")
        if not 0 < self.temperature < math.inf:
            raise InputError(f"--temperature: expected a number above 0, found {self.temperature}")


@dataclass(frozen=True)
class LinearProtocol:
    """Softmax regression on standardised features.

    Attributes:
        weight_decays: >= 0, to choose from on a fifth of the training split.

    Raises:
        InputError: none, or a number out of its range.
    """

    weight_decays: tuple[float, ...] = WEIGHT_DECAYS

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        if not self.weight_decays or not all(0 <= w < math.inf for w in self.weight_decays):
            raise InputError(f"--weight-decays: expected numbers >= 0, found {', '.join(map(str, self.weight_decays))}")


PROTOCOLS: dict[str, type[KnnProtocol] | type[LinearProtocol]] = {"knn": KnnProtocol, "linear": LinearProtocol}


def named_protocol(protocol: str | KnnProtocol | LinearProtocol) -> KnnProtocol | LinearProtocol:
    """The protocol itself, or that of a name with its defaults.

    Raises:
        InputError: an unknown name.
    """
    if not isinstance(protocol, str):
        return protocol
    if protocol not in PROTOCOLS:
        raise InputError(f"--protocol: expected one of {', '.join(PROTOCOLS)}, found {protocol!r}")
    return PROTOCOLS[protocol]()
