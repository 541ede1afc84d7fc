"""A method = which losses, which upper variables. Read beside the table of ``docs/method.md``, section 3.

    L_low = w_b L_drr + w_c L_con + w_y L_byol + λ1 L_mcr        the real step of w
    L_tri = L_meta + λ1 L_mcr   or   L_low                       the trial step
    U     = L_meta(w⁺; m) + λ2 L_comp(ξ; stopgrad h~)            the upper level, over ψ = (m, ξ)

L_meta is L_con where the contrastive head is on, else L_byol, else L_drr. Everything here starts from the pooled
features h of both views, stacked as (2, N, D).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pretrain.errors import InputError
from pretrain.method.coding import coding_loss
from pretrain.method.heads import DimensionalMask, ViewFusion, mlp
from pretrain.method.losses import barlow_twins_loss, byol_loss, nt_xent_loss


@dataclass(frozen=True)
class Method:
    """One row of the table: which parts are built and what each weighs in L_low."""

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


@dataclass(frozen=True)
class ObjectiveSettings:
    """What the papers leave open or vary; the defaults are the papers' where they say.

    Attributes:
        redundancy, contrastive, bootstrap: override w_b, w_c, w_y of the method's row.
        temperature: of NT-Xent; 0.07 in MetaMask's release (its SimCLR ancestry uses 0.5).
        off_diagonal_weight: λ_bt of Barlow Twins.
        unbiased: standardise C with the N - 1 variance (MetaMask's release).
        standardise_eps: added to that variance; 0 in MetaMask's release.
        mask: "sigmoid" or "identity".
        mcr_weight: λ1; 0.1 is CompMod's best.
        comp_weight: λ2; 0.01 is CompMod's best.
        comp_input: CompMod reads the "masked" or the "raw" features.
        comp_detach: L_mcr's gradient does not flow into θ through Ẑ.
        coding_distortion, coding_order: ε_d² and K of the coding series.
        coding_limit: largest singular value of the matrices in the series, see `pretrain.method.coding.coding_loss`;
            None for the bare series.
        redundancy_widths, contrastive_widths, bootstrap_widths: hidden and output widths of the heads.
        predictor_width: hidden width of BYOL's predictor.
    """

    redundancy: float | None = None
    contrastive: float | None = None
    bootstrap: float | None = None
    temperature: float = 0.07
    off_diagonal_weight: float = 5e-3
    unbiased: bool = False
    standardise_eps: float = 1e-5
    mask: str = "sigmoid"
    mcr_weight: float = 0.1
    comp_weight: float = 0.01
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


def resolve_method(name: str, settings: ObjectiveSettings) -> Method:
    """The method's row with the settings' loss weights put in.

    Raises:
        InputError: an unknown name, a negative weight, or no loss left.
    """
    if name not in METHODS:
        raise InputError(f"method: expected one of {', '.join(METHODS)}, found {name!r}")
    given = {k: getattr(settings, k) for k in ("redundancy", "contrastive", "bootstrap")}
    method = replace(METHODS[name], **{k: v for k, v in given.items() if v is not None})
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


class Objective(nn.Module):
    """The heads, the upper variables and the losses of one method.

    A part that is off is not built and draws no random number; CompMod's network is built last, from a forked
    random state, so that it leaves everything else as it would be without it.
    """

    def __init__(self, *, method: Method, width: int, settings: ObjectiveSettings) -> None:
        super().__init__()
        self.method, self.settings, self.width = method, settings, width
        if method.redundancy:
            self.redundancy_head = mlp([width, *settings.redundancy_widths], last_norm=True)
        if method.contrastive:
            self.contrastive_head = mlp([width, *settings.contrastive_widths], last_norm=True)
        if method.bootstrap:
            out = settings.bootstrap_widths[-1]
            self.projector = mlp([width, *settings.bootstrap_widths])
            self.predictor = mlp([out, settings.predictor_width, out])
        if method.mask:
            self.mask = DimensionalMask(width=width, form=settings.mask)
        if method.comp:
            with torch.random.fork_rng(devices=[]):
                self.fusion = ViewFusion(width=width, out=compared_width(method, settings))

    @property
    def meta_loss(self) -> str:
        """The name of L_meta among the losses."""
        return meta_loss(self.method)

    def upper_parameters(self) -> dict[str, nn.Parameter]:
        """ψ = (m, ξ) by name; empty for a method without an upper level."""
        return {name: p for name, p in self.named_parameters() if name.startswith(("mask.", "fusion."))}

    def head_parameters(self) -> dict[str, nn.Parameter]:
        """The heads' part of w by name: all but ψ."""
        upper = self.upper_parameters()
        return {name: p for name, p in self.named_parameters() if name not in upper}

    def lower(self, losses: Mapping[str, Tensor]) -> Tensor:
        """``L_low = w_b L_drr + w_c L_con + w_y L_byol + λ1 L_mcr`` from its parts."""
        m, s = self.method, self.settings
        weights = {"redundancy": m.redundancy, "contrastive": m.contrastive, "bootstrap": m.bootstrap}
        weights["mcr"] = s.mcr_weight if m.comp else 0
        return torch.stack([weights[name] * loss for name, loss in losses.items() if name in weights]).sum()

    def trial(self, losses: Mapping[str, Tensor]) -> Tensor:
        """``L_tri = L_meta + λ1 L_mcr`` from its parts."""
        return losses[self.meta_loss] + (self.settings.mcr_weight * losses["mcr"] if self.method.comp else 0)

    def forward(
        self, kind: str, h: Tensor, targets: Tensor | None = None, fixed: Tensor | None = None, scale: float = 1.0
    ) -> Tensor:
        """One of the losses that the upper level is made of, so that `torch.func.functional_call` can reach it.

        Args:
            kind: "lower" (L_low), "trial" (L_meta + λ1 L_mcr), "upper" (L_meta + λ2 L_comp), "upper_lower"
                (L_low + λ2 L_comp, for an upper level that reuses the real step's backward pass).
            h: pooled features, (2, N, D).
            targets: BYOL's target embeddings, (2, N, d), constants.
            fixed: the real step's detached masked features, (2, N, D), which L_comp reads.
            scale: the current multiple of 1/λ of the coding series, >= 1.
        """
        if kind in ("lower", "upper_lower"):
            total = self.lower(self.losses_and_embeddings(h, targets, scale)[0])
        elif kind == "trial":
            total = self.trial(self.losses_and_embeddings(h, targets, scale, only=self.meta_loss)[0])
        elif kind == "upper":
            losses, _ = self.losses_and_embeddings(h, targets, only=self.meta_loss, mcr=False)
            total = losses[self.meta_loss]
        else:
            raise ValueError(f"objective: expected lower, trial, upper or upper_lower, found {kind!r}")
        if kind.startswith("upper") and self.method.comp:
            assert fixed is not None, "L_comp reads the real step's features"
            total = total + self.settings.comp_weight * self.comp_loss(fixed, scale)
        return total

    def losses_and_embeddings(
        self,
        h: Tensor,
        targets: Tensor | None = None,
        scale: float = 1.0,
        only: str | None = None,
        mcr: bool = True,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The unweighted parts of L_low and what they were computed from.

        Args:
            h: pooled features, (2, N, D).
            targets: BYOL's target embeddings, (2, N, d).
            scale: the current multiple of 1/λ of the coding series, >= 1.
            only: leave out every base loss but this one (and its head's work).
            mcr: leave L_mcr out when false.

        Returns:
            The losses by name (redundancy, contrastive, bootstrap, mcr, as far as the method has them), and by the same
            names the heads' embeddings, (2, N, d); under "mcr" Ẑ, (N, d).
        """
        s, masked = self.settings, self.masked(h)
        parts: dict[str, Tensor] = {}
        embeddings: dict[str, Tensor] = {}
        if self.method.redundancy and only in (None, "redundancy"):
            z = embeddings["redundancy"] = self.redundancy_head(masked)
            parts["redundancy"] = barlow_twins_loss(
                z[0], z[1], s.off_diagonal_weight, unbiased=s.unbiased, eps=s.standardise_eps
            )
        if self.method.contrastive and only in (None, "contrastive"):
            z = embeddings["contrastive"] = self.contrastive_head(masked)
            parts["contrastive"] = nt_xent_loss(z[0], z[1], s.temperature)
        if self.method.bootstrap and only in (None, "bootstrap"):
            assert targets is not None, "BYOL needs its target's embeddings"
            z = embeddings["bootstrap"] = self.projector(masked)
            p = self.predictor(z)
            parts["bootstrap"] = byol_loss(p[0], targets[1]) + byol_loss(p[1], targets[0])
        if self.method.comp and mcr:
            fused = embeddings["mcr"] = self.fused(h, masked)
            parts["mcr"] = self.mcr_loss(fused, embeddings[self.meta_loss], scale)
        return parts, embeddings

    def fused(self, h: Tensor, masked: Tensor) -> Tensor:
        """``Ẑ = g_ξ([h^1 ; h^2])`` of the masked or the raw features: (2, N, D) -> (N, d) (CompMod eq. 5)."""
        source = masked if self.settings.comp_input == "masked" else h
        return self.fusion(source.detach() if self.settings.comp_detach else source)

    def mcr_loss(self, fused: Tensor, z: Tensor, scale: float = 1.0) -> Tensor:
        """``L_mcr = Σ_t coding_loss(Ẑ, Z_t)``; Z_t is the embedding that L_meta uses (CompMod eq. 7)."""
        s = self.settings
        coding = (s.coding_distortion, s.coding_order, scale, s.coding_limit)
        return coding_loss(fused, z[0], *coding) + coding_loss(fused, z[1], *coding)

    def comp_loss(self, fixed: Tensor, scale: float = 1.0) -> Tensor:
        """``L_comp = coding_loss(Ẑ, Ẑ)`` of the detached features (2, N, D) (CompMod eq. 6)."""
        return self.compactness(self.fusion(fixed.detach()), scale)

    def compactness(self, fused: Tensor, scale: float = 1.0) -> Tensor:
        """``coding_loss(Ẑ, Ẑ)`` of fused embeddings, (N, d)."""
        s = self.settings
        return coding_loss(fused, fused, s.coding_distortion, s.coding_order, scale, s.coding_limit)

    def comp_input(self, h: Tensor) -> Tensor:
        """What L_comp reads: the detached features of the real step, masked or raw, (2, N, D)."""
        return (self.masked(h) if self.settings.comp_input == "masked" else h).detach()

    def masked(self, h: Tensor) -> Tensor:
        """``h~ = h ⊙ M``, or h itself where the method has no mask."""
        return self.mask(h) if self.method.mask else h


def per_view(head: Callable[[Tensor], Tensor], h: Tensor) -> Tensor:
    """Apply a head to each view on its own: its batch norm sees one view at a time. (2, N, D) -> (2, N, d)."""
    return torch.stack([head(view) for view in h])
