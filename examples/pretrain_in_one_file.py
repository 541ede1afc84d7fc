"""MetaMask + CompMod in one file: the joint bi-level method over this package's losses, views and hypergradient.

    python examples/pretrain_in_one_file.py IMAGES --iterations 2000     # a folder of images, searched recursively
    python examples/pretrain_in_one_file.py --iterations 60              # scikit-learn's handwritten digits

Two levels (docs/method.md): w, the weights of backbone and heads, descends the self-supervised losses; ψ, a weight for
each feature dimension (MetaMask) and a network that fuses both views (CompMod), descends a loss *after* a trial step.
`python -m pretrain` is the same method with checkpoints, several processes, schedules and reports.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from pretrain import Problem, TrialStep, Weights, hypergradient
from pretrain.backbones import IMAGENET_MEAN, IMAGENET_STD, build_backbone, feature_width, save_backbone
from pretrain.data.sources import find_images
from pretrain.data.views import ViewSettings, make_views
from pretrain.method.coding import coding_loss
from pretrain.method.heads import DimensionalMask, ViewFusion, mlp
from pretrain.method.losses import barlow_twins_loss, nt_xent_loss

History = list[dict[str, float]]

ARCH, STEM = "resnet18", "small"
LR, MOMENTUM, WEIGHT_DECAY, LARGEST_STEP = 0.03, 0.9, 5e-4, 0.05
CONTRASTIVE, MCR, COMP = 10.0, 0.1, 0.01  # the weights of the losses beside Barlow Twins


class Joint(nn.Module):
    """Everything behind the features h, (2, N, D): heads (part of w), mask and fusion (ψ), and the losses."""

    def __init__(self, width: int, out: int = 128) -> None:
        super().__init__()
        self.redundancy_head = mlp([width, 512, 512], last_norm=True)
        self.contrastive_head = mlp([width, 512, out], last_norm=True)
        self.mask = DimensionalMask(width=width)
        self.fusion = ViewFusion(width=width, out=out)

    def forward(self, level: str, h: Tensor, fixed: Tensor | None = None) -> Tensor:
        """The loss of a level: lower (the real step), trial (the trial step), upper (what ψ is judged by)."""
        masked = self.mask(h)
        z = self.contrastive_head(masked)
        contrastive = nt_xent_loss(z[0], z[1])
        if level == "upper":
            fused = self.fusion(fixed)
            return contrastive + COMP * coding_loss(fused, fused, limit=1.0)
        fused = self.fusion(masked)
        mcr = coding_loss(fused, z[0], limit=1.0) + coding_loss(fused, z[1], limit=1.0)
        if level == "trial":
            return contrastive + MCR * mcr
        r = self.redundancy_head(masked)
        return barlow_twins_loss(r[0], r[1]) + CONTRASTIVE * contrastive + MCR * mcr


def pretrain(images: Sequence[bytes], iterations: int, batch: int, size: int) -> tuple[nn.Module, History]:
    """Train on encoded images: the backbone, and both losses and the mask's spread at every iteration."""
    backbone, joint = build_backbone(ARCH, STEM), Joint(feature_width(ARCH))
    psi = {name: p for name, p in joint.named_parameters() if name.startswith(("mask", "fusion"))}
    heads = {name: p for name, p in joint.named_parameters() if name not in psi}
    w = [*backbone.parameters(), *heads.values()]
    lower = torch.optim.SGD(w, LR, MOMENTUM, weight_decay=WEIGHT_DECAY)
    upper = torch.optim.SGD(psi.values(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY)
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations) for optimizer in (lower, upper)]
    history = []
    for iteration, views in zip(range(iterations), batches(images, batch, size), strict=False):
        # The real step of w.
        h = features(backbone, views)
        loss = joint("lower", h)
        lower.zero_grad()
        loss.backward()
        lower.step()

        # The step of ψ: how would it change the upper loss after one more step of w on this batch?
        fixed = joint.mask(h).detach()
        problem = Problem(
            features=lambda weights, views=views: features(backbone, views, weights),
            trial=lambda h, heads, psi: functional_call(joint, {**heads, **psi}, ("trial", h)),
            upper=lambda h, heads, psi, fixed=fixed: functional_call(joint, {**heads, **psi}, ("upper", h, fixed)),
        )
        weights = Weights(detached(dict(backbone.named_parameters())), detached(heads))
        momenta = [lower.state[p]["momentum_buffer"] for p in w]
        trial_step = TrialStep(lower.param_groups[0]["lr"], MOMENTUM, WEIGHT_DECAY, momenta)
        gradient = hypergradient(problem, weights, detached(psi), trial_step)
        for name, total in gradient.total().items():
            psi[name].grad = total
        for part in (joint.mask, joint.fusion):
            nn.utils.clip_grad_norm_(part.parameters(), LARGEST_STEP)
        upper.step()

        for schedule in schedules:
            schedule.step()
        spread = float(joint.mask.weights().detach().std())
        history.append({"loss": loss.item(), "upper_loss": gradient.upper_loss.item(), "mask_spread": spread})
        if iteration % max(1, iterations // 10) == 0:
            print(f"[{iteration}/{iterations}]  " + "  ".join(f"{name} {x:.4g}" for name, x in history[-1].items()))
    return backbone, history


def features(backbone: nn.Module, views: Tensor, weights: dict[str, Tensor] | None = None) -> Tensor:
    """Pooled features of both views, (2, N, D); with other weights, running statistics stay as they are."""
    if weights is None:
        return torch.stack([backbone(view) for view in views])
    state = {**weights, **{name: b.clone() for name, b in backbone.named_buffers()}}
    return torch.stack([functional_call(backbone, state, view) for view in views])


def detached(tensors: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """The same tensors outside any graph."""
    return {name: tensor.detach() for name, tensor in tensors.items()}


def batches(images: Sequence[bytes], batch: int, size: int, seed: int = 0) -> Iterator[Tensor]:
    """Two normalised random views of each image of a batch, (2, N, 3, size, size), without end."""
    settings, rng = ViewSettings(size=size), np.random.default_rng(seed)
    mean, std = (torch.tensor(x).view(3, 1, 1) * 255 for x in (IMAGENET_MEAN, IMAGENET_STD))
    while True:
        chosen = rng.choice(len(images), min(batch, len(images)), replace=False)
        pairs = [make_views(images[k], settings, (rng, rng)) for k in chosen]
        readable = np.stack([np.stack(pair) for pair in pairs if pair is not None], axis=1)
        yield (torch.from_numpy(readable).permute(0, 1, 4, 2, 3) - mean) / std


def digits() -> list[bytes]:
    """1797 handwritten digits of 8 x 8 pixels as PNG, from scikit-learn."""
    from sklearn.datasets import load_digits

    return [cv2.imencode(".png", (image * 15).astype(np.uint8))[1].tobytes() for image in load_digits().images]


def main(argv: list[str] | None = None) -> History:
    """Read the images, train, and write a file that ``python -m transfer`` and ``python -m pretrain evaluate`` take."""
    parser = argparse.ArgumentParser(description="MetaMask + CompMod in one file.")
    parser.add_argument("images", type=Path, nargs="?", help="folder of images (default: scikit-learn's digits)")
    parser.add_argument("--iterations", type=int, default=200, help="default: 200")
    parser.add_argument("--batch", type=int, default=64, help="images, two views each (default: 64)")
    parser.add_argument("--size", type=int, default=32, help="side of the views, pixels (default: 32)")
    parser.add_argument("--out", type=Path, default=Path("backbone.safetensors"), help="default: %(default)s")
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    images = digits() if args.images is None else [path.read_bytes() for path in find_images(args.images)]
    backbone, history = pretrain(images, args.iterations, args.batch, args.size)
    about = {"arch": ARCH, "stem": STEM, "mean": IMAGENET_MEAN, "std": IMAGENET_STD, "channel_order": "RGB"}
    save_backbone(args.out, backbone, {**about, "method": "metamask_compmod"})
    return history


if __name__ == "__main__":
    main()
