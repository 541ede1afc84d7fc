"""``python -m pretrain evaluate``: how well frozen features tell classes apart.

The features are the pooled h of the backbone, without MetaMask's mask, which is not part of the backbone's file.
Whatever is chosen is chosen on the training split; the other split is read once, at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from pretrain import __version__
from pretrain.atomic import write_text
from pretrain.backbones import IMAGENET_MEAN, IMAGENET_STD, build_backbone, load_backbone
from pretrain.errors import InputError
from pretrain.method.health import effective_rank
from pretrain.probes.classifiers import hits, knn_scores, linear_probe, scaling, standard_error, validate_weight_decays
from pretrain.probes.features import Input, extract_features
from pretrain.probes.labelled import LabelledImages, labelled_splits

SCHEMA = "pretrain.evaluation/1"
PROTOCOLS = ("knn", "linear")
WEIGHT_DECAYS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
HELD_OUT = 0.2  # share of the training split that the weight decay is chosen on
FEATURES = "pooled backbone features h, without a mask"
_RANKED = 10_000  # images that the effective rank is taken over, at most
_CONVERGED = 1e-3  # largest gradient entry of a probe that counts as fitted

log = logging.getLogger("pretrain")

Extract = Callable[[LabelledImages], Tensor]
Judged = tuple[dict[str, Any], Tensor, dict[str, Tensor]]  # what the record says, test features, scores by name


@dataclass(frozen=True)
class Frozen:
    """A backbone to judge and what its file says about it; ``about`` goes into the record."""

    backbone: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int | None
    about: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("weights", help="backbone.safetensors, or random:ARCH[:STEM] for a baseline (random:resnet18)")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with train/CLASS and val/CLASS or test/CLASS, or with an unpacked CIFAR-10, CIFAR-100 or STL-10; "
        "with --query, the class folders to learn from",
    )
    parser.add_argument("--query", type=Path, help="class folders to be judged on (default: val or test in --data)")
    parser.add_argument("--protocol", choices=PROTOCOLS, required=True, help="nearest neighbours or linear probe")
    parser.add_argument("--out", type=Path, required=True, help="the record to write, JSON")
    parser.add_argument("--force", action="store_true", help="replace an existing record")
    parser.add_argument("--k", type=int, help="knn: neighbours (default: 5)")
    parser.add_argument("--temperature", type=float, help="knn: temperature of the weighted vote (default: 0.07)")
    parser.add_argument(
        "--weight-decays",
        type=float,
        nargs="+",
        help=f"linear: weight decays to choose from on a fifth of the training split (default: "
        f"{' '.join(f'{w:g}' for w in WEIGHT_DECAYS)})",
    )
    parser.add_argument("--size", type=int, help="side of the images, pixels (default: that of the weights' views)")
    parser.add_argument("--resize", type=int, help="shorter side before the central crop, pixels (default: --size)")
    parser.add_argument("--seed", type=int, default=0, help="of random weights and of the split of train (default: 0)")
    parser.add_argument("--batch", type=int, default=64, help="images at once (default: 64)")
    parser.add_argument("--workers", type=int, default=0, help="loader processes (default: 0, none)")
    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="where to compute: cpu, cuda, cuda:1, ... (default: %(default)s here)",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the result and write the record.

    Raises:
        InputError: the weights, the data or an argument cannot be used, or the record exists.
    """
    began = time.perf_counter()
    _check_arguments(args)
    frozen = load_frozen(args.weights, args.seed)
    how = _input(args, frozen)
    train, test = labelled_splits(args.data, args.query)
    log.info("%s on %d + %d images of %d classes", args.weights, len(train), len(test), len(train.classes))
    if args.protocol == "knn" and args.k > len(train):
        raise InputError(f"--k: expected at most the {len(train)} images of {train.source}, found {args.k}")

    backbone, device = frozen.backbone.to(args.device), torch.device(args.device)

    def features(images: LabelledImages) -> Tensor:
        return _features(backbone, images, how, args).to(device)

    judge = _nearest_neighbours if args.protocol == "knn" else _linear_probe
    protocol, judged, scores = judge(features, train, test, args)
    results = _results(scores, test.labels.to(device))
    ranked = judged[:: -(-len(judged) // _RANKED)]
    record = {
        "schema": SCHEMA,
        "weights": frozen.about,
        "protocol": {"name": args.protocol, **protocol, **asdict(how), "features": FEATURES, "seed": args.seed},
        "data": {"train": _split(train), "test": _split(test)},
        "results": results,
        "effective_rank": {"value": float(effective_rank(ranked)), "images": len(ranked), "width": judged.shape[1]},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "versions": _versions(),
        "seconds": round(time.perf_counter() - began, 3),
    }
    _write(args.out, record)
    for name, found in results.items():
        log.info(
            "%s %s: %.2f ± %.2f %% (n = %d)",
            args.protocol,
            name,
            found["accuracy"],
            found["standard_error"],
            found["n"],
        )
    log.info("wrote %s", args.out)
    return 0


def _nearest_neighbours(
    features: Extract, train: LabelledImages, test: LabelledImages, args: argparse.Namespace
) -> Judged:
    bank, query = features(train), features(test)
    labels, classes = train.labels.to(bank.device), len(train.classes)
    scores = {
        name: knn_scores(bank, labels, query, classes=classes, k=args.k, temperature=temperature)
        for name, temperature in (("", args.temperature), ("majority_", None))
    }
    return {"k": args.k, "temperature": args.temperature, "similarity": "cosine"}, query, scores


def _linear_probe(features: Extract, train: LabelledImages, test: LabelledImages, args: argparse.Namespace) -> Judged:
    learned = features(train)
    labels, classes = train.labels.to(learned.device), len(train.classes)
    mean, deviation = scaling(learned)
    learned = (learned - mean) / deviation
    protocol, weight_decay = _choose(learned, labels, args, classes)
    probe = linear_probe(learned, labels, classes=classes, weight_decay=weight_decay)
    if probe.gradient > _CONVERGED:
        log.warning("the linear probe did not converge: largest gradient entry %.2g", probe.gradient)
    judged = features(test)
    scores = {"": probe.scores((judged - mean) / deviation)}
    return {**protocol, "largest_gradient": probe.gradient}, judged, scores


def load_frozen(weights: str, seed: int = 0) -> Frozen:
    """A backbone from its file, or from ``random:ARCH[:STEM]`` with ImageNet's normalisation.

    Raises:
        InputError: not such a file, or an unknown architecture or stem.
    """
    kind, _, rest = weights.partition(":")
    if kind == "random":
        arch, _, stem = rest.partition(":")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = build_backbone(arch, stem or "imagenet")
        about = {"file": weights, "sha256": None, "method": None, "arch": arch, "stem": stem or "imagenet"}
        return Frozen(backbone, IMAGENET_MEAN, IMAGENET_STD, None, about)
    path = Path(weights)
    backbone, metadata = load_backbone(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    kept = ("method", "arch", "stem", "epoch", "iteration", "seed", "data")
    about = {"file": weights, "sha256": digest, **{k: metadata.get(k) for k in kept}}
    settings = metadata.get("settings")
    size = settings.get("views", {}).get("size") if isinstance(settings, dict) else None
    return Frozen(backbone, tuple(metadata["mean"]), tuple(metadata["std"]), size, about)


def _check_arguments(args: argparse.Namespace) -> None:
    """Refuse what could only fail later; fill in the defaults of the protocol."""
    if args.out.exists() and not args.force:
        raise InputError(f"--out {args.out}: expected no file, found one; name another or add --force")
    own: dict[str, dict[str, Any]] = {
        "knn": {"k": 5, "temperature": 0.07},
        "linear": {"weight_decays": list(WEIGHT_DECAYS)},
    }
    for protocol, defaults in own.items():
        for name, default in defaults.items():
            if getattr(args, name) is None:
                setattr(args, name, default)
            elif protocol != args.protocol:
                raise InputError(f"--{name.replace('_', '-')}: expected only with --protocol {protocol}; leave it out")
    least = {"k": 1, "batch": 1, "workers": 0, "size": 8, "seed": 0}
    for name, lowest in least.items():
        value = getattr(args, name)
        if value is not None and value < lowest:
            raise InputError(f"--{name}: expected a whole number >= {lowest}, found {value}")
    if args.temperature <= 0 or min(args.weight_decays) < 0:
        raise InputError(
            f"--temperature, --weight-decays: expected a number above 0 and numbers >= 0, found {args.temperature} "
            f"and {args.weight_decays}"
        )
    try:
        torch.empty(0, device=args.device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device: expected a device that is here, found {args.device} ({error})") from None


def _input(args: argparse.Namespace, frozen: Frozen) -> Input:
    size = args.size or frozen.size
    if size is None:
        raise InputError(f"--size: expected the side of the images in pixels, since {args.weights} names none")
    resize = args.resize or size
    if resize < size:
        raise InputError(f"--resize: expected at least the side of the crop, {size}, found {resize}")
    return Input(size, resize, frozen.mean, frozen.std)


def _features(backbone: nn.Module, images: LabelledImages, how: Input, args: argparse.Namespace) -> Tensor:
    found = extract_features(backbone, images, how, batch=args.batch, workers=args.workers, name=images.source)
    lost = (~found.readable).nonzero()[:, 0].tolist()
    if lost:
        raise InputError(
            f"{images.source}: expected every image to be readable, found {len(lost)} that are not "
            f"({', '.join(images.name(k) for k in lost[:3])}{', ...' if len(lost) > 3 else ''}); repair or remove them"
        )
    if not bool(found.values.isfinite().all()):
        raise InputError(f"{args.weights}: expected finite features, found NaN or inf; the training has diverged")
    return found.values


def _choose(features: Tensor, labels: Tensor, args: argparse.Namespace, classes: int) -> tuple[dict[str, Any], float]:
    """What the record says of the choice, and the weight decay: the best on held-out images, the largest of equals."""
    log.info("choosing among %d weight decays on a held-out fifth of train", len(args.weight_decays))
    try:
        found = validate_weight_decays(
            features, labels, args.weight_decays, classes=classes, share=HELD_OUT, seed=args.seed
        )
    except ValueError as error:
        raise InputError(f"--data {args.data}: the weight decay cannot be chosen ({error}); add images") from None
    best = max(found, key=lambda w: (found[w], w))
    log.info("weight decay %g: %.2f %% there", best, 100 * found[best])
    if len(found) > 1 and best in (max(found), min(found)) and list(found.values()).count(found[best]) == 1:
        log.warning("the chosen weight decay %g is at the end of --weight-decays; try a wider range", best)
    about = {
        "solver": "L-BFGS on softmax cross-entropy, features standardised by the training split",
        "weight_decay": best,
        "validation_share": HELD_OUT,
        "validation": [{"weight_decay": w, "accuracy": 100 * a} for w, a in found.items()],
    }
    return about, best


def _results(scores: dict[str, Tensor], labels: Tensor) -> dict[str, dict[str, float]]:
    """Accuracy in percent with its standard error, for top 1 and, of more than five classes, top 5."""
    found = {}
    for name, values in scores.items():
        for top in (1, 5) if values.shape[1] > 5 else (1,):
            correct, n = int(hits(values, labels, top).sum()), len(labels)
            found[f"{name}top{top}"] = {
                "accuracy": 100 * correct / n,
                "standard_error": 100 * standard_error(correct / n, n),
                "correct": correct,
                "n": n,
            }
    return found


def _split(images: LabelledImages) -> dict[str, Any]:
    return {
        "images": images.source,
        "n": len(images),
        "fingerprint": images.fingerprint,
        "classes": list(images.classes),
    }


def _versions() -> dict[str, str]:
    return {
        "pretrain": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
    }


def _write(path: Path, record: dict[str, Any]) -> None:
    """The record, whole or not at all; a number that is not finite is an error."""
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
