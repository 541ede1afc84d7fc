"""``python -m pretrain evaluate WEIGHTS --data DIR --protocol knn|linear --out RECORD.json``: its flags."""

from __future__ import annotations

import argparse
from pathlib import Path

from pretrain.errors import InputError
from pretrain.probes.protocol import PROTOCOLS, WEIGHT_DECAYS, KnnProtocol, LinearProtocol

_OWN = {"knn": ("k", "temperature"), "linear": ("weight_decays",)}  # the flags of one protocol alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument(
        "weights",
        help="backbone.safetensors, or random:ARCH[:STEM] for a baseline (random:resnet18), whose batch norms get the "
        "statistics of the training images (random:resnet18:as-is leaves them unset)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with train/CLASS and val/CLASS or test/CLASS, or with an unpacked CIFAR-10, CIFAR-100 or STL-10; "
        "with --query, the class folders to learn from",
    )
    parser.add_argument("--query", type=Path, help="class folders to be tested on (default: val or test in --data)")
    parser.add_argument("--protocol", choices=list(PROTOCOLS), required=True, help="nearest neighbours or linear probe")
    parser.add_argument("--out", type=Path, required=True, help="the record to write, JSON")
    parser.add_argument("--force", action="store_true", help="replace an existing record")
    parser.add_argument("--k", type=int, help=f"knn: neighbours (default: {KnnProtocol.k})")
    parser.add_argument(
        "--temperature",
        type=float,
        help=f"knn: temperature of the weighted vote (default: {KnnProtocol.temperature})",
    )
    parser.add_argument(
        "--weight-decays",
        type=float,
        nargs="+",
        help="linear: weight decays to choose from on a fifth of the training split (default: "
        f"{' '.join(f'{w:g}' for w in WEIGHT_DECAYS)})",
    )
    parser.add_argument("--size", type=int, help="side of the images, pixels (default: that of the weights' views)")
    parser.add_argument("--resize", type=int, help="shorter side before the central crop, pixels (default: --size)")
    parser.add_argument("--seed", type=int, default=0, help="of random weights and of the split of train (default: 0)")
    parser.add_argument(
        "--masked", action="store_true", help="knn: features under the mask that MetaMask learned (default: without)"
    )
    parser.add_argument("--batch", type=int, default=64, help="images at once (default: 64)")
    parser.add_argument("--workers", type=int, default=0, help="loader processes (default: 0, none)")
    parser.add_argument("--device", help="where to compute: cpu, cuda, cuda:1, ... (default: a GPU where there is one)")


def run(args: argparse.Namespace) -> int:
    """Evaluate and write the record."""
    protocol = _protocol(args)
    from pretrain.probes.evaluate import evaluate

    evaluate(
        args.weights,
        args.data,
        protocol,
        query=args.query,
        size=args.size,
        resize=args.resize,
        seed=args.seed,
        masked=args.masked,
        batch=args.batch,
        workers=args.workers,
        device=args.device,
        out=args.out,
        force=args.force,
    )
    return 0


def _protocol(args: argparse.Namespace) -> KnnProtocol | LinearProtocol:
    """The protocol with the flags that were given; the other protocol's flags are refused."""
    for name, flags in _OWN.items():
        for flag in flags:
            if name != args.protocol and getattr(args, flag) is not None:
                raise InputError(f"--{flag.replace('_', '-')}: expected only with --protocol {name}; leave it out")
    if args.protocol == "knn":
        given = {flag: getattr(args, flag) for flag in _OWN["knn"]}
        return KnnProtocol(**{flag: value for flag, value in given.items() if value is not None})
    return LinearProtocol() if args.weight_decays is None else LinearProtocol(tuple(args.weight_decays))
