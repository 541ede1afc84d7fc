"""The ways of the meta step that are compared, the cases they are timed at, and a model that trains in one of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pretrain.algorithm.pretraining import Pretraining
from pretrain.settings.schema import Settings, load_settings
from pretrain.training.optimizers import build_optimizers

METHOD = "metamask_compmod"
NEVER = 10**9  # an iteration that no run reaches


@dataclass(frozen=True)
class Mode:
    """One row of the table.

    Attributes:
        name: as printed.
        target: step time over a plain step to reach; None for the plain step itself.
        meta: the settings of section ``meta`` that differ from the defaults.
        meta_start: first iteration with a meta step.
    """

    name: str
    target: float | None
    meta: Mapping[str, Any] = field(default_factory=dict)
    meta_start: int = 0

    @property
    def cycle(self) -> int:
        """Iterations after which the work repeats."""
        return int(self.meta.get("every", 1))


# The same model and losses, with a real step and no other: the meta step never starts.
PLAIN = Mode("plain step", None, meta_start=NEVER)
MODES = (
    Mode("finite difference, post", 3.8, {"hypergradient": "finite_difference"}),
    Mode("forward mode, post (exact)", 4.0, {"hypergradient": "forward_mode"}),
    Mode("feature difference, post (default)", 3.4),
    Mode("feature difference, inline", 2.45, {"base": "inline"}),
    Mode("the default, every 4 (fast)", 1.65, {"every": 4}),
)


@dataclass(frozen=True)
class Case:
    """A size at which all modes are measured.

    Attributes:
        arch: one of `pretrain.backbones.ARCHITECTURES`.
        size: side of the views, pixels.
        n: images per batch, two views each.
        precision: of the real step's backbone pass, fp32 or bf16.
        head: hidden width of the heads; the method's own is 2048.
        clip: largest gradient norm; None for no clipping.
        optimizer: of w.
        method: one of `pretrain.method.methods.METHODS`.
        compile: whether the real step's backbone pass is compiled.
    """

    arch: str
    size: int
    n: int
    precision: str = "fp32"
    head: int = 2048
    clip: float | None = None
    optimizer: str = "adamw"
    method: str = METHOD
    compile: bool = False

    def settings(self, mode: Mode, lr: float) -> Settings:
        """The method in ``mode``; the log's own figures are left out of the step."""
        # A batch below 17 would make the coding series diverge at MEC's distortion (`settings.schema._check_coding`).
        objective = {
            "coding_distortion": max(0.06, 2 / self.n),
            "redundancy_widths": (self.head,) * 3,
            "contrastive_widths": (self.head, self.head // 8),
        }
        return load_settings(
            {
                "method": self.method,
                "backbone": {"arch": self.arch, "stem": "imagenet"},
                "objective": objective,
                "meta": dict(mode.meta),
                "optimizer": {"name": self.optimizer, "lr": lr, "clip": self.clip},
                "data": {"batch": self.n},
                "views": {"size": self.size},
                "run": {"precision": self.precision, "compile": self.compile, "log_every": NEVER},
            }
        )

    def __str__(self) -> str:
        """As in a table's header."""
        clip = "" if self.clip is None else f", clip {self.clip:g}"
        return f"{self.arch}, {self.size} px, n = {self.n}, {self.precision}{clip}"


def parse_case(text: str) -> Case:
    """``ARCH:SIZE:N[:PRECISION]`` of a command line."""
    try:
        arch, size, n, precision = (*text.split(":"), "fp32")[:4]
        return Case(arch, int(size), int(n), precision)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected ARCH:SIZE:N or ARCH:SIZE:N:bf16, found {text!r}") from None


ON_GPU = (Case("resnet50", 224, 64, "bf16"),)
QUICK = (Case("resnet18", 32, 4, head=64),)


def add_case_arguments(parser: argparse.ArgumentParser, on_cpu: str) -> None:
    """Add --case, --device and --threads; ``on_cpu`` names the cases that a CPU gets without --case."""
    parser.add_argument(
        "--case",
        action="append",
        type=parse_case,
        metavar="ARCH:SIZE:N[:fp32|bf16]",
        help="network, pixels, images per batch and precision; may be repeated (default on a CPU: "
        f"{on_cpu}, on a GPU: resnet50:224:64:bf16)",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, help="threads of a CPU run (default: PyTorch's own choice)")


def chosen(args: argparse.Namespace, on_cpu: Sequence[Case]) -> tuple[torch.device, Sequence[Case]]:
    """The device and the cases of a command line with --quick too; sets the threads it asks for."""
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    return device, args.case or (QUICK if args.quick else ON_GPU if device.type == "cuda" else on_cpu)


class Trainee:
    """A model of the case's method with its real optimisers, trained by `Pretraining.train_step`.

    Args:
        case: network and batch.
        mode: the way of the meta step.
        device: where the model lives.
        lr: of w; small by default, so that random pixels do not make the run diverge.
        iterations: of the whole training, for the schedule of the coding series.
        kind: the class of the model.
    """

    def __init__(
        self,
        case: Case,
        mode: Mode,
        device: torch.device,
        lr: float = 1e-3,
        iterations: int = 10_000,
        kind: type[Pretraining] = Pretraining,
    ) -> None:
        torch.manual_seed(0)
        model = kind(settings=case.settings(mode, lr), iterations=iterations, meta_start=mode.meta_start)
        self.model = model.to(device).train()
        self.optimizers = build_optimizers(self.model)

    def steps(self, data: Mapping[str, Any], count: int = 1) -> None:
        """``count`` iterations on one batch."""
        for _ in range(count):
            self.model.train_step(data, self.optimizers)

    def set_lr(self, factor: float) -> None:
        """The learning rates of w, m and ξ at ``factor`` times their peak."""
        for name in self.optimizers.keys():  # noqa: SIM118 - a wrapper, not a mapping
            for group in self.optimizers[name].optimizer.param_groups:
                group["lr"] = factor * group.setdefault("peak_lr", group["lr"])


def random_views(case: Case, device: torch.device) -> dict[str, Tensor]:
    """A batch as `pretrain.data.two_views.collate` makes it, on the CPU.

    Returns:
        (2, N, 3, size, size) uint8, channels last in memory.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (2, case.n, case.size, case.size, 3)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return {"views": (pixels.pin_memory() if device.type == "cuda" else pixels).permute(0, 1, 4, 2, 3)}
