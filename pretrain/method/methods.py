"""A method = which losses, which upper variables. Read beside the table of ``docs/method.md``, section 3."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from pretrain.errors import InputError
from pretrain.method.balance import MODES
from pretrain.method.coding import MU
from pretrain.ranges import ABOVE_ZERO, COUNT, NOT_NEGATIVE, SHARE, Items, OneOf, Range, check

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
    dense: float = 0.0  # w_d


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
    # DenseCL halves one contrastive loss between images and cells; so do the methods that it stands in for SimCLR in.
    "densecl": Method(False, False, 0, 0.5, 0, None, dense=0.5),
    "densecl_compmod": Method(False, True, 0, 0.5, 0, "inline", dense=0.5),
    "metamask_densecl": Method(True, False, 1, 5, 0, "post", dense=5),
}

GLOBAL = ("redundancy", "contrastive", "bootstrap")  # losses of pooled features
LOSSES = (*GLOBAL, "dense")
FUSIONS = ("concat_h", "concat_z", "mixup_h")


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
        redundancy, contrastive, bootstrap, dense: w_b, w_c, w_y, w_d. None for the method's: with "gradient" 1 for each
            loss that it has, with "none" the papers'.
        temperature: of NT-Xent; 0.07 in MetaMask's release (its SimCLR ancestry uses 0.5).
        dense_temperature: of the dense loss; 0.2 in DenseCL.
        dense_grid: side of the grid of cells that the maps of the last stage are pooled to, at most; 7 in DenseCL.
        off_diagonal_weight: λ_bt of Barlow Twins.
        unbiased: standardise C with the N - 1 variance (MetaMask's release).
        standardise_eps: added to that variance; 0 in MetaMask's release.
        mask: "sigmoid" or "identity".
        mcr_weight: λ1. None for 0.25 with "gradient", and for CompMod's best, 0.1, with "none".
        comp_weight: λ2; with "gradient" how long L_comp's part of ξ's hypergradient is beside the other one, in running
            means. None for 0.1 with "gradient", and for CompMod's best, 0.01, with "none".
        comp_fusion: what CompMod's network reads of the two views: "concat_h", their features side by side, "concat_z",
            the embeddings that it is compared with, or "mixup_h", one mixture of the features (CompMod's table 7).
        comp_mix: view 1's share of that mixture, 0-1; the paper does not say what it took.
        comp_input: CompMod reads the "masked" or the "raw" features.
        comp_detach: L_mcr's gradient does not flow into θ through Ẑ.
        coding_distortion, coding_order: ε_d² and K of the coding series.
        coding_mu: μ of the series: "distortion" for 1 / (nλ), "mec" for MEC's (n + d) / 2, d the embeddings' width.
        coding_limit: largest singular value of the matrices in the series, see `pretrain.method.coding.coding_loss`;
            None for the bare series.
        redundancy_widths, contrastive_widths, bootstrap_widths, dense_widths: hidden and output widths of the heads.
        predictor_width: hidden width of BYOL's predictor.
    """

    balance: Annotated[str, OneOf(MODES)] = "gradient"
    balance_every: Annotated[int, COUNT] = 10
    redundancy: Annotated[float | None, NOT_NEGATIVE] = None
    contrastive: Annotated[float | None, NOT_NEGATIVE] = None
    bootstrap: Annotated[float | None, NOT_NEGATIVE] = None
    dense: Annotated[float | None, NOT_NEGATIVE] = None
    temperature: Annotated[float, ABOVE_ZERO] = 0.07
    dense_temperature: Annotated[float, ABOVE_ZERO] = 0.2
    dense_grid: Annotated[int, COUNT] = 7
    off_diagonal_weight: Annotated[float, NOT_NEGATIVE] = 5e-3
    unbiased: bool = False
    standardise_eps: Annotated[float, NOT_NEGATIVE] = 1e-5
    mask: Annotated[str, OneOf(("sigmoid", "identity"))] = "sigmoid"
    mcr_weight: Annotated[float | None, NOT_NEGATIVE] = None
    comp_weight: Annotated[float | None, NOT_NEGATIVE] = None
    comp_fusion: Annotated[str, OneOf(FUSIONS)] = "concat_h"
    comp_mix: Annotated[float, SHARE] = 0.5
    comp_input: Annotated[str, OneOf(("masked", "raw"))] = "masked"
    comp_detach: bool = False
    coding_distortion: Annotated[float, ABOVE_ZERO] = 0.06
    coding_order: Annotated[int, Range(1, 64, whole=True)] = 4
    coding_mu: Annotated[str, OneOf(MU)] = "distortion"
    coding_limit: Annotated[float | None, ABOVE_ZERO] = 1.0
    redundancy_widths: Annotated[tuple[int, ...], _LAYERS, _WIDTH] = (2048, 2048, 2048)
    contrastive_widths: Annotated[tuple[int, ...], _LAYERS, _WIDTH] = (2048, 256)
    bootstrap_widths: Annotated[tuple[int, ...], _LAYERS, _WIDTH] = (4096, 256)
    dense_widths: Annotated[tuple[int, ...], _LAYERS, _WIDTH] = (2048, 128)
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
        InputError: an unknown name, a negative weight, or no loss of pooled features left: without one the cells'
            matches have nothing to begin with (DenseCL, its ablation of λ).
    """
    if name not in METHODS:
        raise InputError(f"method: expected one of {', '.join(METHODS)}, found {name!r}")
    row, shares = METHODS[name], settings.balance == "gradient"

    def weight(own: float, given: float | None) -> float:
        return given if given is not None else float(own > 0) if shares else own

    weights: dict[str, Any] = {loss: weight(getattr(row, loss), getattr(settings, loss)) for loss in LOSSES}
    if min(weights.values()) < 0 or max(weights[loss] for loss in GLOBAL) == 0:
        raise InputError(
            f"loss weights of {name}: expected at least one of {', '.join(GLOBAL)} above 0 and none below, found "
            f"{', '.join(f'{loss} {w:g}' for loss, w in weights.items())}"
        )
    return replace(row, **weights)


def meta_head(method: Method) -> str:
    """The loss of pooled features in L_meta: contrastive where that head is on, else bootstrap, else redundancy."""
    return "contrastive" if method.contrastive else "bootstrap" if method.bootstrap else "redundancy"


def meta_weights(method: Method) -> dict[str, float]:
    """L_meta's losses and their weights, whose sum is 1: that of `meta_head`, and the dense one where it is on."""
    weights = {loss: getattr(method, loss) for loss in (meta_head(method), "dense") if getattr(method, loss)}
    return {loss: w / sum(weights.values()) for loss, w in weights.items()}


def compared_width(method: Method, settings: ObjectiveSettings) -> int:
    """d, the width of the embeddings that CompMod's network is compared with: those of `meta_head`."""
    widths: tuple[int, ...] = getattr(settings, f"{meta_head(method)}_widths")
    return widths[-1]
