"""What a file says of its own network, held against what its tensors are taken for.

Many networks share their tensors' names and shapes and compute something else: anti-aliased or dilated ResNets,
Caffe's strides, stems without a pool or a ReLU. The tensors cannot tell; the settings beside them often do.
A contradiction is refused unless the user names the architecture; a doubt is one line of warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from transfer.checkpoints.layouts import Convention
from transfer.checkpoints.locate import Located
from transfer.checkpoints.printable import printable
from transfer.checkpoints.resnets import SPECS, Spec
from transfer.checkpoints.settings import Setting


@dataclass
class Claims:
    """One phrase each.

    Attributes:
        contradictions: the file says that it is another network.
        doubts: the file leaves open whether it is.
    """

    contradictions: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def resolved(self, by_user: bool) -> Claims:
        """All as doubts where the user has said which network it is."""
        return Claims([], [*self.contradictions, *self.doubts]) if by_user else self


@dataclass(frozen=True)
class Taken:
    """What the tensors are taken for."""

    spec: Spec
    stem: str
    convention: Convention | None
    origin: str
    located: Located


Finding = tuple[bool, str]  # whether it is a contradiction, and the phrase


def weigh(settings: list[Setting], taken: Taken) -> Claims:
    """Compare.

    Args:
        settings: what the file says (``settings.settings_of``).
        taken: what its tensors say.
    """
    claims = Claims()
    findings = [*_sequential(taken), *_layout(settings, taken)]
    for setting in settings:
        findings += _architecture(setting, taken) or _arithmetic(setting, taken) or _stem(setting, taken)
        findings += _feeding(setting, taken)
    for contradicts, phrase in dict.fromkeys(findings):
        (claims.contradictions if contradicts else claims.doubts).append(phrase)
    return claims


def _quoted(setting: Setting) -> str:
    where = f"{setting.part}." if setting.part else ""
    return printable(f"{where}{setting.key} = {setting.value!r}")


# Names of architectures.

_ARCH_KEYS = ("arch", "architecture", "arch_name", "model_name", "model", "backbone", "backbone_name", "encoder",
              "encoder_name", "base_encoder", "base_model", "network", "net", "resnet", "cnn", "trunk")  # fmt: skip
_NAME_PARTS = ("backbone", "encoder", "model", "network", "net", "trunk")  # a `name` or `type` in these is a network's
# The same networks under their prefixes of origin in timm.
_ORIGINS = re.compile(r"^(?:tv|gluon|ssl|swsl|ig)_")


def _architecture(setting: Setting, taken: Taken) -> list[Finding]:
    named = setting.key in _ARCH_KEYS or (setting.key == "name" and setting.part in _NAME_PARTS)
    named = named or (setting.key == "type" and setting.part == "backbone")  # MMCV's registries
    if setting.key == "depth" and setting.part == "backbone" and type(setting.value) is int:
        return [(True, f"{_quoted(setting)} over the tensors of {taken.spec.name}")] * (
            setting.value != taken.spec.depth
        )
    if not (named and setting.of_backbone and isinstance(setting.value, str)):
        return []
    text = setting.value.strip().lower()[:200]
    if "resne" not in text:
        # What it names may be a method or a wrapper: only `arch` is always a network.
        doubtful = setting.key in ("arch", "architecture") and text not in ("", "none", "null")
        return [(False, f"{_quoted(setting)}, which names no ResNet")] * doubtful
    return _named(text, setting, taken)


def _named(text: str, setting: Setting, taken: Taken) -> list[Finding]:
    bare = _ORIGINS.sub("", _segment(text))
    compact, own = _compact(bare), _compact(taken.spec.name)
    if compact in (own, "resnet", "resnext", "resnets", "resnetcifar") or bare == f"{taken.spec.name}_v1b":
        return []
    words = {_compact(word) for word in re.split(r"[^a-z0-9]+", bare)}
    known = {_compact(name) for name in SPECS}
    if compact in known or (words & known and own not in words):
        return [(True, f"{_quoted(setting)} over the tensors of {taken.spec.name}")]
    # moco_resnet50, resnet50_800ep, ResNetEncoder: a name with something about it, or of a class.
    if own in words or not re.search(r"[0-9]", bare):
        return [(False, f"{_quoted(setting)}, which may be more than a plain {taken.spec.name}")]
    return [(True, f"{_quoted(setting)}, which is no plain {taken.spec.name}")]


def _segment(text: str) -> str:
    """``torchvision.models.resnet50``, ``microsoft/resnet-50``, ``resnet50.a1_in1k`` -> the network's name."""
    return next(part for part in re.split(r"[./:]", text) if "resne" in part)


def _compact(name: str) -> str:
    return re.sub(r"[\s_-]", "", name)


# Settings under which the same tensors compute something else.

PLAIN: dict[str, tuple[Any, ...]] = {  # key -> values that leave a ResNet as it is
    "replace_stride_with_dilation": (None, False, []),
    "output_stride": (32, None),
    "aa_layer": (None, "", False),
    "avg_down": (False, None),
    "deep_stem": (False, None),
    "stem_type": ("", None, "default", "basic", "resnet"),
    "attn_layer": (None, "", False),
    "conv_cfg": (None, "Conv2d", "Conv"),
    "downsample_in_bottleneck": (False, None),
    "downsample_in_first_stage": (False, None),
    "hidden_act": ("relu", None),  # transformers
    "zero_mean_weights": (False, None),
    **dict.fromkeys(("bn_eps", "norm_eps", "batch_norm_eps"), (1e-5, None)),
}
PLAIN_OF_BLOCK: dict[str, tuple[Any, ...]] = {  # the same for keys that only a `backbone` block uses this way
    "strides": ([1, 2, 2, 2], None),
    "dilations": ([1, 1, 1, 1], None),
    "dilation": (1, None, False),
    "eps": (1e-5, None),
}
_BLOCK_PARTS = (*_NAME_PARTS, "norm_cfg")
ACTIVATION_KEYS = ("act_layer", "act_fn", "act", "activation", "nonlinearity", "type")
_OTHER_ACTIVATIONS = ("celu", "elu", "gelu", "hardswish", "hswish", "identity", "leakyrelu", "mish", "prelu", "relu6",
                      "selu", "sigmoid", "silu", "softplus", "swish", "tanh")  # fmt: skip
_NORM_KEYS = ("norm_layer", "norm")
_OTHER_NORMS = ("group", "gn", "layernorm", "instance", "evo", "filterresponse")


def _arithmetic(setting: Setting, taken: Taken) -> list[Finding]:
    if not setting.of_backbone:
        return []
    value = list(setting.value) if isinstance(setting.value, tuple) else setting.value
    if setting.key == "style" and setting.part in _NAME_PARTS:
        return _style(setting, taken)
    plain = PLAIN.get(setting.key) or (PLAIN_OF_BLOCK.get(setting.key) if setting.part in _BLOCK_PARTS else None)
    if plain and value not in plain and not (isinstance(value, list) and not any(value)):
        return [(True, f"{_quoted(setting)}, which computes something else from these tensors")]
    if setting.key in _NORM_KEYS and isinstance(value, str) and value.lower().startswith(_OTHER_NORMS):
        return [(True, f"{_quoted(setting)}, which is no batch norm")]
    return _activation(setting)


def _activation(setting: Setting) -> list[Finding]:
    if setting.key not in ACTIVATION_KEYS or not isinstance(setting.value, str):
        return []
    name = _compact(setting.value.lower()[:200].rpartition(".")[2])
    if name not in _OTHER_ACTIVATIONS:
        return []
    of_network = setting.key == "act_layer" or setting.part in (*_NAME_PARTS, "act_cfg")
    if setting.key == "type" and not of_network:
        return []
    # In a script's flat arguments an activation may be the head's: a doubt.
    return [(of_network, f"{_quoted(setting)}, where a ResNet has ReLU")]


def _style(setting: Setting, taken: Taken) -> list[Finding]:
    caffe = setting.value == "caffe"
    if taken.convention is None or not taken.spec.bottleneck or caffe == taken.convention.stride_in_1x1:
        return []
    if setting.value not in ("caffe", "pytorch"):
        return []
    strides = "the 1x1 (--convention msra says so, with BGR input)" if caffe else "the 3x3 (--convention imagenet)"
    return [(taken.origin != "user", f"{_quoted(setting)}: bottlenecks that stride in {strides}")]


# The stem, of which only the first convolution has tensors.

_SMALL_STEM = ("cifar", "cifar_stem", "cifar_resnet", "small_stem", "first_conv3x3", "first_conv_3x3", "conv1_3x3")
_NO_POOL = ("remove_first_maxpool", "remove_maxpool", "no_maxpool", "no_max_pool", "no_first_maxpool")


def _stem(setting: Setting, taken: Taken) -> list[Finding]:
    if type(setting.value) not in (bool, int) or setting.value not in (0, 1):
        return []
    small = taken.stem == "small"
    flag = bool(setting.value)
    if setting.key == "first_conv" and flag == small:  # lightning-bolts: True is the 7x7
        return [(True, f"{_quoted(setting)} over a {'3x3' if small else '7x7'} stem")]
    if setting.key in _SMALL_STEM and flag and not small:
        return [(True, f"{_quoted(setting)} over a 7x7 stem")]
    pools = flag if setting.key == "maxpool1" else False if setting.key in _NO_POOL and flag else None
    if pools is not None and pools == small:
        stem = "a 3x3 stem with a pool" if small else "a 7x7 stem without a pool"
        return [(True, f"{_quoted(setting)}: {stem}")]
    return []


# How the network was fed: what a block about its input says, against what the file is taken to have been fed with.

_INPUT_PARTS = ("data_preprocessor", "img_norm_cfg", "preprocess_cfg", "pretrained_cfg", "default_cfg")
_SLACK = 0.005  # of pixels in 0-1; files differ in their third digit
_BRIGHTEST = 4.0  # a mean or deviation above this is of pixels in 0-255


def _feeding(setting: Setting, taken: Taken) -> list[Finding]:
    fed = taken.convention
    if setting.part not in _INPUT_PARTS or fed is None or taken.origin == "user":
        return []
    if setting.key in ("to_rgb", "bgr_to_rgb") and isinstance(setting.value, bool):
        # MMCV reads images as BGR.
        other = setting.value != (fed.channel_order == "RGB")
        return [(True, f"{_quoted(setting)} of a network taken to see {fed.channel_order} (--convention)")] * other
    own = {"mean": fed.mean, "std": fed.std}.get(setting.key)
    values = list(setting.value) if isinstance(setting.value, list | tuple) else []
    if own is None or len(values) != 3 or not all(type(v) in (int, float) for v in values):
        return []
    scales = (255.0,) if max(values) > _BRIGHTEST else (1.0, 255.0)  # deviations of 1 are of either
    if any(all(abs(v / scale - o) <= _SLACK for v, o in zip(values, own, strict=True)) for scale in scales):
        return []
    numbers = ", ".join(f"{number:.3f}" for number in own)
    return [(True, f"{_quoted(setting)}, where {numbers} of pixels in 0-1 would be taken (--convention)")]


def _sequential(taken: Taken) -> Iterator[Finding]:
    """An ``nn.Sequential`` applies what it numbers and nothing else: the index of layer1 tells what stands before it.

    0 is the convolution and 1 its norm; 2 and 3 are ReLU and max-pool, which have no tensors. lightly's
    ResNetGenerator calls ReLU as a function: inside an ``nn.Sequential`` it is lost, and layer1 is 2.
    """
    first = taken.located.first_stage
    if first == 2:
        yield True, "layer1 at index 2 of its nn.Sequential: no ReLU after the stem (lightly's ResNetGenerator)"
    elif first == 3 and taken.stem == "imagenet":
        yield True, "layer1 at index 3 of its nn.Sequential: the 7x7 stem lacks its ReLU or its pool"
    elif first == 4 and taken.stem == "small":
        yield False, "layer1 at index 4 of its nn.Sequential: a 3x3 stem with a pool, or with an identity in its place"


def _layout(settings: list[Setting], taken: Taken) -> Iterator[Finding]:
    name = taken.located.layout.name
    if taken.stem == "small":
        yield _padding(settings, name)
    if name == "torchvision detector":
        # torchvision/models/detection: COCO_V1 weights run their frozen norms with an epsilon of 0.
        yield False, "torchvision's COCO_V1 detectors run their norms with epsilon 0, others with 1e-5"


def _padding(settings: list[Setting], layout: str) -> Finding:
    """solo-learn makes its CIFAR stems of Conv2d(3, 64, kernel_size=3, stride=1, padding=2) (solo/methods/base.py)."""
    keys = {setting.key for setting in settings}
    cifar = any(setting.key == "cifar" and setting.value in (True, 1) for setting in settings)
    data = any(
        setting.key in ("dataset", "name")
        and isinstance(setting.value, str)
        and setting.value.lower().startswith("cifar")
        for setting in settings
    )
    if (layout.startswith("solo-learn") and (cifar or data)) or (cifar and "pytorch-lightning_version" in keys):
        return True, "solo-learn's 3x3 stem for CIFAR, which pads by 2 where others pad by 1"
    return False, "a 3x3 stem, taken to pad by 1 and to have no pool, which its tensors do not tell"
