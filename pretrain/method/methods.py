"""A method = which losses, which upper variables. Read beside the table of ``docs/method.md``, section 3."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pretrain.errors import InputError
from pretrain.method.balance import MODES
from pretrain.ranges import ABOVE_ZERO, COUNT, NOT_NEGATIVE, Items, OneOf, Range, check

_LAYERS, _WIDTH = Items(1, 16), Range(1, 2**16, whole=True)  # of a head


@dataclass(frozen=True)
class Method:
    """One row of the table: which parts are built and what each weighs in the papers' plain sum."""

    mask: bool
    comp: bool
    redundancy: float  # w_b
    contrastive: float  # w_c
    bootstrap: float  # w_y
    base: str | None  # where the trial step starts: "post", "inline", or None for no upper level


METHODS: dict[str, Method] = {
    "simclr": Method(False, False, 0, 1, 0, None),
    "barlow_twins": Method(False, False, 1, 0, 0, None),
    "byol": Method(False, False, 0, 0, 1, None),
    "barlow_simclr": Method(False, False, 1, 10, 0, None),
    "metamask": Method(True, False, 1, 10, 0, "post"),
    "simclr_compmod": Method(False, True, 0, 1, 0, "inline"),
    "barlow_compmod": Method(False, True, 1, 0, 0, "inline"),
    "byol_compmod": Method(False, True, 0, 0, 1, "inline"),
    "metamask_compmod": Method(True, True, 1, 10, 0, "post"),
}


# λ1 and λ2: beside losses of share 1, and in the plain sum, where they are CompMod's best.
MCR_WEIGHT = {"gradient": 0.25, "none": 0.1}
COMP_WEIGHT = {"gradient": 0.1, "none": 0.01}


@dataclass(frozen=True)
class ObjectiveSettings:
    """What the papers leave open or vary; the defaults are the papers' where they say.

    Attributes:
        balance: "gradient" puts every term on the scale of its own gradient, so that weights are shares of the step;
            "none" is the papers' plain sum.
        balance_every: iterations between two measurements of the scales; the first ten are measured each.
        redundancy, contrastive, bootstrap: w_b, w_c, w_y. None for the method's: with "gradient" 1 for each loss that
            it has, with "none" the papers'.
        temperature: of NT-Xent; 0.07 in MetaMask's release (its SimCLR ancestry uses 0.5).
        off_diagonal_weight: λ_bt of Barlow Twins.
        unbiased: standardise C with the N - 1 variance (MetaMask's release).
        standardise_eps: added to that variance; 0 in MetaMask's release.
        mask: "sigmoid" or "identity".
        mcr_weight: λ1. None for 0.25 with "gradient", and for CompMod's best, 0.1, with "none".
        comp_weight: λ2; with "gradient" how long L_comp's part of ξ's hypergradient is beside the other one, in running
            means. None for 0.1 with "gradient", and for CompMod's best, 0.01, with "none".
        comp_input: CompMod reads the "masked" or the "raw" features.
        comp_detach: L_mcr's gradient does not flow into θ through Ẑ.
        coding_distortion, coding_order: ε_d² and K of the coding series.
        coding_limit: largest singular value of the matrices in the series, see `pretrain.method.coding.coding_loss`;
            None for the bare series.
        redundancy_widths, contrastive_widths, bootstrap_widths: hidden and output widths of the heads.
        predictor_width: hidden width of BYOL's predictor.
    """

    balance: Annotated[str, OneOf(MODES)] = "gradient"
    balance_every: Annotated[int, COUNT] = 10
    redundancy: Annotated[float | None, NOT_NEGATIVE] = None
    contrastive: Annotated[float | None, NOT_NEGATIVE] = None
    bootstrap: Annotated[float | None, NOT_NEGATIVE] = None
    temperature: Annotated[float, ABOVE_ZERO] = 0.07
    off_diagonal_weight: Annotated[float, NOT_NEGATIVE] = 5e-3
    unbiased: bool = False
    standardise_eps: Annotated[float, NOT_NEGATIVE] = 1e-5
    mask: Annotated[str, OneOf(("sigmoid", "identity"))] = "sigmoid"
    mcr_weight: Annotated[float | None, NOT_NEGATIVE] = None
    comp_weight: Annotated[float | None, NOT_NEGATIVE] = None
    comp_input: Annotated[str, OneOf(("masked", "raw"))] = "masked"
    comp_detach: bool = False
    coding_distortion: Annotated[float, ABOVE_ZERO] = 0.06
    coding_order: Annotated[int, Range(1, 64, whole=True)] = 4
    coding_limit: Annotated[float | None, ABOVE_ZERO] = 1.0
    redundancy_widths: Annotated[tuple[int, ...], _LAYERS, _WIDTH] = (2048, 2048, 2048)
    contrastive_widths: Annotated[tuple[int, ...], _LAYERS, _WIDTH] = (2048, 256)
    bootstrap_widths: Annotated[tuple[int, ...], _LAYERS, _WIDTH] = (4096, 256)
    predictor_width: Annotated[int, _WIDTH] = 4096

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        check(self, "objective")
        if self.coding_order % 2:
            raise InputError(
                f"objective.coding_order: expected an even number (odd orders reward one dominant direction), "
                f"found {self.coding_order}; use 2 or 4"
            )

    @property
    def mcr(self) -> float:
        """λ1."""
        return MCR_WEIGHT[self.balance] if self.mcr_weight is None else self.mcr_weight

    @property
    def compactness(self) -> float:
        """λ2."""
        return COMP_WEIGHT[self.balance] if self.comp_weight is None else self.comp_weight


def resolve_method(name: str, settings: ObjectiveSettings) -> Method:
    """The method's row with the weights of its losses: the settings', else shares of 1 or the papers' own.

    Raises:
        InputError: an unknown name, a negative weight, or no loss left.
    """
    if name not in METHODS:
        raise InputError(f"method: expected one of {', '.join(METHODS)}, found {name!r}")
    row, shares = METHODS[name], settings.balance == "gradient"

    def weight(own: float, given: float | None) -> float:
        return given if given is not None else float(own > 0) if shares else own

    method = replace(
        row,
        redundancy=weight(row.redundancy, settings.redundancy),
        contrastive=weight(row.contrastive, settings.contrastive),
        bootstrap=weight(row.bootstrap, settings.bootstrap),
    )
    weights = (method.redundancy, method.contrastive, method.bootstrap)
    if min(weights) < 0 or max(weights) == 0:
        raise InputError(
            f"loss weights of {name}: expected at least one of redundancy, contrastive, bootstrap above 0 and none "
            f"below, found {weights}"
        )
    return method


def meta_loss(method: Method) -> str:
    """The name of L_meta: contrastive where that head is on, else bootstrap, else redundancy."""
    return "contrastive" if method.contrastive else "bootstrap" if method.bootstrap else "redundancy"


def compared_width(method: Method, settings: ObjectiveSettings) -> int:
    """d, the width of the embeddings that CompMod's network is compared with: those of L_meta's head."""
    widths: tuple[int, ...] = getattr(settings, f"{meta_loss(method)}_widths")
    return widths[-1]
