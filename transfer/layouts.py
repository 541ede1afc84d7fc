"""The known pretraining layouts: one row each, most telling first.

A row says where in a file's tensors the backbone lies and by which other keys the project shows itself. Prefixes
and marks are written without the wrappers of DDP and ``torch.compile``, which the reader takes off first. Where a
project keeps its backbone was read in that project's own saving code or its published files.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Convention:
    """How a network was fed, and where its bottlenecks stride.

    Attributes:
        mean, std: per channel in ``channel_order``, for pixels in 0-1.
        channel_order: ``RGB`` or ``BGR``.
        stride_in_1x1: bottlenecks stride in their first 1x1 convolution (Caffe) instead of the 3x3 (torchvision).
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str = "RGB"
    stride_in_1x1: bool = False


IMAGENET = Convention((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# SwAV's and VICRegL's augmentations divide red by 0.228; it is not a slip of this table.
IMAGENET_228 = Convention((0.485, 0.456, 0.406), (0.228, 0.224, 0.225))
# Detectron's Caffe-style files: BGR, pixels 0-255, mean subtracted, nothing divided.
MSRA = Convention(
    (103.530 / 255, 116.280 / 255, 123.675 / 255), (1 / 255, 1 / 255, 1 / 255), channel_order="BGR", stride_in_1x1=True
)
CONVENTIONS = {"imagenet": IMAGENET, "imagenet228": IMAGENET_228, "msra": MSRA}


@dataclass(frozen=True)
class Layout:
    """One row.

    Attributes:
        name: the project, as its users call it.
        prefix: what stands before the backbone's names.
        marks: key prefixes of the project's other parts; all must occur.
        names: the tongue of the names under the prefix: ``torchvision``, ``detectron2``, ``caffe2``, ``sequential``.
        containers: names of the dictionary that holds the tensors, one of which must be on the way; () for any.
        heads: parts under the prefix that are no backbone and may be dropped.
        convention: how that project feeds its networks; None where the files do not tell.
        elsewhere: (prefix, name) pairs: a stage that lies outside the prefix, and its name in ``names``' tongue.
    """

    name: str
    prefix: str
    marks: tuple[str, ...] = ()
    names: str = "torchvision"
    containers: tuple[str, ...] = ()
    heads: tuple[str, ...] = ("fc.",)
    convention: Convention | None = IMAGENET
    elsewhere: tuple[tuple[str, str], ...] = ()


LAYOUTS = (
    Layout("MSRA / Detectron 1 (Caffe2)", "", names="caffe2", heads=("fc1000_", "pred_", "conv1_b"), convention=MSRA),
    Layout("Detectron2 detector, FPN", "backbone.bottom_up.", names="detectron2", convention=None),
    Layout(
        "Detectron2 detector, C4",
        "backbone.",
        ("roi_heads.res5.",),
        "detectron2",
        convention=None,
        elsewhere=(("roi_heads.res5.", "res5."),),
        heads=("res5.norm.",),
    ),
    Layout("Detectron2 backbone", "", names="detectron2", heads=("fc1000.", "linear."), convention=None),
    Layout("VISSL", "_feature_blocks.", convention=IMAGENET),
    Layout("MoCo v3", "base_encoder.", ("momentum_encoder.",)),
    Layout("DenseCL", "backbone.", ("queue2", "encoder_k."), containers=("state_dict",)),
    Layout("DenseCL (encoder_q)", "encoder_q.0.", ("queue2",), containers=("state_dict",)),
    Layout("OpenSelfSup / MMSelfSup MoCo", "backbone.", ("queue", "encoder_k."), containers=("state_dict",)),
    Layout("OpenSelfSup MoCo (encoder_q)", "encoder_q.0.", ("queue",), containers=("state_dict",)),
    Layout("OpenSelfSup / MMSelfSup BYOL", "backbone.", ("target_net.",), containers=("state_dict",)),
    Layout("OpenSelfSup BYOL (online_net)", "online_net.0.", ("target_net.",), containers=("state_dict",)),
    Layout("MoCo v1/v2", "encoder_q.", ("queue",)),
    Layout("SlotCon", "encoder_q.", ("encoder_k.", "grouping_q."), containers=("model",)),
    Layout("SlotCon (released: encoder_k)", "encoder_k.", ("grouping_k.",), containers=("model",)),
    Layout("BYOL", "online_encoder.net.", ("target_encoder.",)),
    Layout("BYOL", "online_encoder.", ("target_encoder.",)),
    Layout("BYOL", "online_network.", ("target_network.",)),
    Layout("SoCo", "encoder.", ("projector.", "predictor.", "encoder_k."), containers=("model",)),
    Layout("PixPro", "encoder.", ("projector.", "encoder_k."), containers=("model",)),
    Layout("SimSiam", "encoder.", ("predictor.",), containers=("state_dict",)),
    Layout("PyContrast", "encoder.", ("head.",), containers=("model",)),
    Layout("DINO (teacher)", "backbone.", ("head.",), containers=("teacher",)),
    Layout("DINO (student)", "backbone.", ("head.",), containers=("student",)),
    Layout(
        "SwAV",
        "",
        ("projection_head.", "prototypes."),
        convention=IMAGENET_228,
        heads=("projection_head.", "prototypes."),
    ),
    Layout("VICRegL", "backbone.", ("maps_projector.",), containers=("model",), convention=IMAGENET_228),
    Layout("VICReg", "backbone.", ("projector.",), containers=("model",)),
    Layout("Barlow Twins", "backbone.", ("projector.", "bn."), containers=("model",)),
    Layout("lightly", "backbone.", names="sequential"),
    Layout("MetaMask release", "f.", names="sequential"),
    Layout("nn.Sequential", "", names="sequential"),
    Layout("solo-learn", "backbone.", ("projector.",), containers=("state_dict",)),
    Layout("MMPretrain / MMSelfSup / MMEngine", "backbone.", containers=("state_dict",)),
    Layout("encoder", "encoder."),
    Layout("backbone", "backbone."),
    Layout("torchvision / timm", ""),
)
