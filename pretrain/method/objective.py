"""Heads, upper variables and losses of one method (``docs/method.md``, section 3).

    L_low = Σ_k c_k L_k over L_drr, L_con, L_byol, L_dense, L_mcr   the real step of w
    L_tri = L_low   or   c (L_meta + λ1 L_mcr)                    the trial step
    U     = c L_meta(w⁺; m) + κ L_comp(ξ; stopgrad h~)            the upper level, over ψ = (m, ξ)

c_k are the weights of `pretrain.method.methods`, plain or divided by the scales of `pretrain.method.balance`. L_meta is
L_con where the contrastive head is on, else L_byol, else L_drr; with L_dense their mean by weight. Everything here
starts from what the backbone gives of both views: pooled features h, stacked as (2, N, D), and with a dense loss the
maps that they are the means of, (2, N, D, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from pretrain.method.balance import Balance
from pretrain.method.coding import coding_loss
from pretrain.method.dense import best_matches, cells_of, dense_contrastive_loss
from pretrain.method.heads import DimensionalMask, ViewFusion, mlp
from pretrain.method.losses import barlow_twins_loss, byol_loss, nt_xent_loss
from pretrain.method.methods import LOSSES, Method, ObjectiveSettings, compared_width, meta_head, meta_weights

XI_PARTS = ("fusion_compactness", "fusion_rest")  # ξ's gradient: L_comp's, and all that reaches it by other ways


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
        if method.dense:
            self.dense_head = mlp([width, *settings.dense_widths], last_norm=True)
        if method.mask:
            self.mask = DimensionalMask(width=width, form=settings.mask)
        if method.comp:
            with torch.random.fork_rng(devices=[]):
                out = compared_width(method, settings)
                read = out if settings.comp_fusion == "concat_z" else width
                mix = settings.comp_mix if settings.comp_fusion == "mixup_h" else None
                self.fusion = ViewFusion(width=read, out=out, mix=mix)
        self._meta = meta_weights(method)
        self.weights: dict[str, float] = {k: w for k in LOSSES if (w := getattr(method, k))}
        if method.comp:
            self.weights["mcr"] = settings.mcr
        self.balance = Balance([*self.weights, *(XI_PARTS if method.comp else ())], settings.balance)

    @property
    def meta_head(self) -> str:
        """The loss of pooled features in L_meta, whose embeddings L_mcr reads."""
        return meta_head(self.method)

    def upper_parameters(self) -> dict[str, nn.Parameter]:
        """ψ = (m, ξ) by name; empty for a method without an upper level."""
        return {name: p for name, p in self.named_parameters() if name.startswith(("mask.", "fusion."))}

    def head_parameters(self) -> dict[str, nn.Parameter]:
        """The heads' part of w by name: all but ψ."""
        upper = self.upper_parameters()
        return {name: p for name, p in self.named_parameters() if name not in upper}

    def lower(self, losses: Mapping[str, Tensor]) -> Tensor:
        """``L_low = Σ_k c_k L_k`` from its parts."""
        return self._sum(losses, self.weights)

    def trial(self, losses: Mapping[str, Tensor]) -> Tensor:
        """``c (L_meta + λ1 L_mcr)`` from its parts, the trial step of MetaMask's release."""
        return self._sum(losses, {**self._meta, **({"mcr": self.settings.mcr} if self.method.comp else {})})

    def upper(self, losses: Mapping[str, Tensor]) -> Tensor:
        """``c L_meta`` from its parts."""
        return self._sum(losses, self._meta)

    def _sum(self, losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        coefficients = self.balance.coefficients(weights)
        return torch.stack([coefficients[name] * loss for name, loss in losses.items() if name in weights]).sum()

    def comp_coefficient(self) -> Tensor | float:
        """κ of L_comp: λ2, and with a balance ``λ2 s_2 / s_1``.

        s_2 and s_1 are running means of the norms of ξ's two gradients: all but L_comp's, and L_comp's own. So λ2 is
        the ratio of their lengths, and where there is no other (L_mcr left out, or ``first_order``), s_2 is 1.
        """
        comp, rest = XI_PARTS
        if self.settings.balance == "none":
            return self.settings.compactness
        return self.settings.compactness * self.balance.scale(rest) / self.balance.scale(comp)

    def forward(
        self, kind: str, h: Tensor, targets: Tensor | None = None, fixed: Tensor | None = None, scale: float = 1.0
    ) -> Tensor:
        """One of the losses that the upper level is made of, so that `torch.func.functional_call` can reach it.

        Args:
            kind: "lower" (L_low), "trial" (L_meta + λ1 L_mcr), "upper" (L_meta + κ L_comp).
            h: pooled features, (2, N, D), or maps, (2, N, D, H, W).
            targets: BYOL's target embeddings, (2, N, d), constants.
            fixed: what L_comp reads of the real step, detached (`comp_input`).
            scale: the current multiple of 1/λ of the coding series, >= 1.
        """
        if kind == "lower":
            return self.lower(self.losses_and_embeddings(h, targets, scale)[0])
        if kind == "trial":
            return self.trial(self.losses_and_embeddings(h, targets, scale, only=self._meta)[0])
        if kind != "upper":
            raise ValueError(f"objective: expected lower, trial or upper, found {kind!r}")
        total = self.upper(self.losses_and_embeddings(h, targets, only=self._meta, mcr=False)[0])
        if self.method.comp:
            assert fixed is not None, "L_comp reads the real step's features"
            total = total + self.comp_coefficient() * self.comp_loss(fixed, scale)
        return total

    def losses_and_embeddings(
        self,
        h: Tensor,
        targets: Tensor | None = None,
        scale: float = 1.0,
        only: Collection[str] = LOSSES,
        mcr: bool = True,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The unweighted parts of L_low and what they were computed from.

        Args:
            h: pooled features, (2, N, D), or maps, (2, N, D, H, W).
            targets: BYOL's target embeddings, (2, N, d).
            scale: the current multiple of 1/λ of the coding series, >= 1.
            only: leave out every loss but these (and its head's work); L_mcr apart.
            mcr: leave L_mcr out when false.

        Returns:
            The losses by name (redundancy, contrastive, bootstrap, dense, mcr, as far as the method has them), and by
            the same names the heads' embeddings, (2, N, d); under "dense" those of the cells, (2, N, C, d), and under
            "mcr" Ẑ, (N, d).
        """
        s, masked = self.settings, self.masked(h)
        parts: dict[str, Tensor] = {}
        embeddings: dict[str, Tensor] = {}
        if self.method.redundancy and "redundancy" in only:
            z = embeddings["redundancy"] = self.redundancy_head(masked)
            parts["redundancy"] = barlow_twins_loss(
                z[0], z[1], s.off_diagonal_weight, unbiased=s.unbiased, eps=s.standardise_eps
            )
        if self.method.contrastive and "contrastive" in only:
            z = embeddings["contrastive"] = self.contrastive_head(masked)
            parts["contrastive"] = nt_xent_loss(z[0], z[1], s.temperature)
        if self.method.bootstrap and "bootstrap" in only:
            assert targets is not None, "BYOL needs its target's embeddings"
            z = embeddings["bootstrap"] = self.projector(masked)
            p = self.predictor(z)
            parts["bootstrap"] = byol_loss(p[0], targets[1]) + byol_loss(p[1], targets[0])
        if self.method.dense and "dense" in only:
            parts["dense"], embeddings["dense"] = self.dense_loss(h)
        if self.method.comp and mcr:
            source = self._fusion_input(h, embeddings)
            fused = embeddings["mcr"] = self.fusion(source.detach() if s.comp_detach else source)
            parts["mcr"] = self.mcr_loss(fused, embeddings[self.meta_head], scale)
        return parts, embeddings

    def dense_loss(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """L_dense and the cells' embeddings, (2, N, C, d), of the maps (2, N, D, H, W) (DenseCL eq. 2).

        The cells are masked as h is. Their matches are those of the backbone's own features, unmasked, and constants.
        """
        cells = cells_of(maps, self.settings.dense_grid)
        seen = self.mask(cells) if self.method.mask else cells
        z = self.dense_head(seen.flatten(1, 2)).unflatten(1, cells.shape[1:3])
        return dense_contrastive_loss(z[0], z[1], *best_matches(cells[0], cells[1]), self.settings.dense_temperature), z

    def _fusion_input(self, h: Tensor, embeddings: Mapping[str, Tensor]) -> Tensor:
        """What g_ξ reads (CompMod eq. 5): masked or raw features, (2, N, D), or embeddings, (2, N, d)."""
        if self.settings.comp_fusion == "concat_z":
            return embeddings[self.meta_head]
        return self.masked(h) if self.settings.comp_input == "masked" else pooled(h)

    def mcr_loss(self, fused: Tensor, z: Tensor, scale: float = 1.0) -> Tensor:
        """``L_mcr = Σ_t coding_loss(Ẑ, Z_t)``; Z_t is the embedding that L_meta uses (CompMod eq. 7)."""
        return self._coding(fused, z[0], scale) + self._coding(fused, z[1], scale)

    def comp_loss(self, fixed: Tensor, scale: float = 1.0) -> Tensor:
        """``L_comp = coding_loss(Ẑ, Ẑ)`` of the detached input of g_ξ (CompMod eq. 6)."""
        fused = self.fusion(fixed.detach())
        return self._coding(fused, fused, scale)

    def comp_input(self, h: Tensor, embeddings: Mapping[str, Tensor]) -> Tensor:
        """What L_comp reads of the real step: the input of g_ξ, detached.

        Args:
            h: features or maps.
            embeddings: of the same forward pass (`losses_and_embeddings`).

        Returns:
            Masked or raw features, (2, N, D); with ``concat_z`` embeddings, (2, N, d).
        """
        return self._fusion_input(h, embeddings).detach()

    def _coding(self, a: Tensor, b: Tensor, scale: float) -> Tensor:
        s = self.settings
        return coding_loss(a, b, s.coding_distortion, s.coding_order, scale, s.coding_limit, s.coding_mu)

    def masked(self, h: Tensor) -> Tensor:
        """``h~ = h ⊙ M``, or h itself where the method has no mask; of maps, their means: -> (2, N, D)."""
        return self.mask(pooled(h)) if self.method.mask else pooled(h)


def pooled(h: Tensor) -> Tensor:
    """Maps (..., N, D, H, W) averaged over their cells; pooled features (2, N, D) as they are."""
    return h.mean(dim=(-2, -1)) if h.ndim > 3 else h


def per_view(head: Callable[[Tensor], Tensor], h: Tensor) -> Tensor:
    """Apply a head or the backbone to each view on its own, so that its batch norms see one at a time."""
    return torch.stack([head(view) for view in h])
