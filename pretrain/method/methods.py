"""A method = which losses, which upper variables. Read beside the table of ``docs/method.md``, section 3."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pretrain.errors import InputError
from pretrain.method.balance import MODES


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

    balance: str = "gradient"
    balance_every: int = 10
    redundancy: float | None = None
    contrastive: float | None = None
    bootstrap: float | None = None
    temperature: float = 0.07
    off_diagonal_weight: float = 5e-3
    unbiased: bool = False
    standardise_eps: float = 1e-5
    mask: str = "sigmoid"
    mcr_weight: float | None = None
    comp_weight: float | None = None
    comp_input: str = "masked"
    comp_detach: bool = False
    coding_distortion: float = 0.06
    coding_order: int = 4
    coding_limit: float | None = 1.0
    redundancy_widths: tuple[int, ...] = (2048, 2048, 2048)
    contrastive_widths: tuple[int, ...] = (2048, 256)
    bootstrap_widths: tuple[int, ...] = (4096, 256)
    predictor_width: int = 4096

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        if self.balance not in MODES:
            raise InputError(f"objective.balance: expected one of {', '.join(MODES)}, found {self.balance!r}")
        if self.balance_every < 1:
            raise InputError(f"objective.balance_every: expected a whole number >= 1, found {self.balance_every}")
        if min(self.mcr, self.compactness) < 0:
            raise InputError(
                f"objective.mcr_weight, comp_weight: expected numbers >= 0, found {self.mcr} and {self.compactness}"
            )
        if self.temperature <= 0:
            raise InputError(f"objective.temperature: expected a number above 0, found {self.temperature}")
        if self.comp_input not in ("masked", "raw"):
            raise InputError(f"objective.comp_input: expected masked or raw, found {self.comp_input!r}")
        if self.mask not in ("sigmoid", "identity"):
            raise InputError(f"objective.mask: expected sigmoid or identity, found {self.mask!r}")
        if self.coding_order < 2 or self.coding_order % 2:
            raise InputError(
                f"objective.coding_order: expected an even number (odd orders reward one dominant direction), "
                f"found {self.coding_order}; use 2 or 4"
            )
        if self.coding_limit is not None and self.coding_limit <= 0:
            raise InputError(f"objective.coding_limit: expected a number above 0 or None, found {self.coding_limit}")
        if self.coding_distortion <= 0:
            raise InputError(f"objective.coding_distortion: expected a number above 0, found {self.coding_distortion}")

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
