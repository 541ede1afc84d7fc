"""``python -m pretrain evaluate WEIGHTS --protocol knn|linear|objects --out RECORD.json``: its flags."""

from __future__ import annotations

import argparse
from pathlib import Path

from pretrain.errors import InputError
from pretrain.probes.protocol import (
    OBJECT_WEIGHT_DECAYS,
    PROTOCOLS,
    WEIGHT_DECAYS,
    KnnProtocol,
    ObjectsProtocol,
    Protocol,
)

# The flags that not every protocol has.
_OWN = {
    "knn": ("data", "k", "temperature", "batch", "resize"),
    "linear": ("data", "weight_decays", "batch", "resize"),
    "objects": ("coco", "k", "temperature", "weight_decays", "most"),
}
_SETTINGS = ("k", "temperature", "weight_decays", "most")
_NEEDED = {"knn": "data", "linear": "data", "objects": "coco"}
_BATCH = 64


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
        help="knn, linear: folder with train/CLASS and val/CLASS or test/CLASS, or with an unpacked CIFAR-10, "
        "CIFAR-100 or STL-10; with --query, the class folders to learn from",
    )
    parser.add_argument(
        "--coco",
        type=Path,
        nargs=2,
        metavar=("IMAGES", "ANN.json"),
        help="objects: folder of images and COCO's annotation file, to learn from",
    )
    parser.add_argument(
        "--query",
        type=Path,
        nargs="+",
        metavar="DATA",
        help="what to be tested on: class folders (default: val or test in --data); for objects IMAGES ANN.json "
        "(default: a fifth of the images)",
    )
    parser.add_argument(
        "--protocol",
        choices=list(PROTOCOLS),
        required=True,
        help="nearest neighbours or linear probe of whole images, or both of the objects in them",
    )
    parser.add_argument("--out", type=Path, required=True, help="the record to write, JSON")
    parser.add_argument("--force", action="store_true", help="replace an existing record")
    parser.add_argument("--k", type=int, help=f"knn, objects: neighbours (default: {KnnProtocol.k})")
    parser.add_argument(
        "--temperature",
        type=float,
        help=f"knn, objects: temperature of the weighted vote (default: {KnnProtocol.temperature})",
    )
    parser.add_argument(
        "--weight-decays",
        type=float,
        nargs="+",
        help="linear, objects: weight decays to choose from on a fifth of the training split (default: "
        f"{' '.join(f'{w:g}' for w in WEIGHT_DECAYS)}; objects: {' '.join(f'{w:g}' for w in OBJECT_WEIGHT_DECAYS)})",
    )
    parser.add_argument(
        "--most",
        type=int,
        help=f"objects: how many to learn from and to be tested on, at most (default: {ObjectsProtocol.most} each)",
    )
    parser.add_argument(
        "--size",
        type=int,
        help="side of the images, pixels (default: that of the weights' views); for objects the shorter side of the "
        "whole images, best that of the detector to come (default: the images as they are)",
    )
    parser.add_argument(
        "--resize", type=int, help="knn, linear: shorter side before the central crop, pixels (default: --size)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of random weights, of the split of train and of the places without an object (default: 0)",
    )
    parser.add_argument(
        "--masked", action="store_true", help="knn: features under the mask that MetaMask learned (default: without)"
    )
    parser.add_argument(
        "--no-baseline",
        action="store_true",
        help="objects: leave out random weights of the same network and the verdict against them (default: looked at)",
    )
    parser.add_argument("--batch", type=int, help=f"knn, linear: images at once (default: {_BATCH})")
    parser.add_argument("--workers", type=int, default=0, help="loader processes (default: 0, none)")
    parser.add_argument("--device", help="where to compute: cpu, cuda, cuda:1, ... (default: a GPU where there is one)")


def run(args: argparse.Namespace) -> int:
    """Evaluate and write the record."""
    protocol, query = _protocol(args), args.query
    from pretrain.probes.evaluate import evaluate

    if query is not None and args.protocol != "objects" and len(query) == 1:
        query = query[0]
    evaluate(
        args.weights,
        args.data if args.coco is None else tuple(args.coco),
        protocol,
        query=tuple(query) if isinstance(query, list) else query,
        size=args.size,
        resize=args.resize,
        seed=args.seed,
        masked=args.masked,
        baseline=not args.no_baseline,
        batch=_BATCH if args.batch is None else args.batch,
        workers=args.workers,
        device=args.device,
        out=args.out,
        force=args.force,
    )
    return 0


def _protocol(args: argparse.Namespace) -> Protocol:
    """The protocol with the flags that were given; flags that it does not have are refused."""
    for flag in dict.fromkeys(flag for flags in _OWN.values() for flag in flags):
        owners = [name for name, flags in _OWN.items() if flag in flags]
        if args.protocol not in owners and getattr(args, flag) is not None:
            raise InputError(
                f"--{flag.replace('_', '-')}: expected only with --protocol {' or '.join(owners)}; leave it out"
            )
    needed = _NEEDED[args.protocol]
    if getattr(args, needed) is None:
        raise InputError(f"--protocol {args.protocol}: expected --{needed}, found none; add it")
    given = {flag: getattr(args, flag) for flag in _SETTINGS}
    settings = {flag: value for flag, value in given.items() if value is not None}
    if "weight_decays" in settings:
        settings["weight_decays"] = tuple(settings["weight_decays"])
    return PROTOCOLS[args.protocol](**settings)
