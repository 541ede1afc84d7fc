"""The known pretraining layouts: one row each, most telling first.

A row says where in a file's tensors the backbone lies and by which other keys the project shows itself. Prefixes
and marks are written without what PyTorch's wrappers put into names, which the reader takes off first. Where a
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
        names: the naming scheme under the prefix: ``torchvision``, ``detectron2``, ``caffe2``, ``sequential``,
            ``huggingface``.
        containers: names of the dictionary that holds the tensors, one of which must be on the way; () for any.
        heads: parts under the prefix that are no backbone and may be dropped.
        convention: how that project feeds its networks; None where the files do not tell.
        elsewhere: (prefix, name) pairs: a stage that lies outside the prefix, and its name in that scheme.
        anyones: whether no project is known by it, so that nothing tells which of two backbones is meant.
    """

    name: str
    prefix: str
    marks: tuple[str, ...] = ()
    names: str = "torchvision"
    containers: tuple[str, ...] = ()
    heads: tuple[str, ...] = ("fc.",)
    convention: Convention | None = IMAGENET
    elsewhere: tuple[tuple[str, str], ...] = ()
    anyones: bool = False


LAYOUTS = (
    Layout("MSRA / Detectron 1 (Caffe2)", "", names="caffe2", heads=("fc1000_", "pred_", "conv1_b"), convention=MSRA),
    Layout("Detectron2 detector, FPN", "backbone.bottom_up.", names="detectron2", convention=None),
    Layout(
        "Detectron2 detector, C4",
        "backbone.",
        marks=("roi_heads.res5.",),
        names="detectron2",
        heads=("res5.norm.",),  # the protocol's extra norm: the detector's, not the backbone's
        convention=None,
        elsewhere=(("roi_heads.res5.", "res5."),),
    ),
    Layout("Detectron2 backbone", "", names="detectron2", heads=("fc1000.", "linear."), convention=None),
    Layout("VISSL", "_feature_blocks."),
    Layout("MoCo v3", "base_encoder.", marks=("momentum_encoder.",)),
    # The OpenSelfSup family stores its trained backbone twice: as `backbone.` and inside a Sequential.
    Layout("DenseCL", "backbone.", marks=("queue2",), containers=("state_dict",)),
    Layout("DenseCL", "encoder_q.0.", marks=("queue2",), containers=("state_dict",)),
    Layout("OpenSelfSup / MMSelfSup MoCo", "backbone.", marks=("queue",), containers=("state_dict",)),
    Layout("OpenSelfSup MoCo", "encoder_q.0.", marks=("queue",), containers=("state_dict",)),
    Layout("OpenSelfSup / MMSelfSup BYOL", "backbone.", marks=("target_net.",), containers=("state_dict",)),
    Layout("OpenSelfSup BYOL", "online_net.0.", marks=("target_net.",), containers=("state_dict",)),
    Layout("MoCo v1/v2", "encoder_q.", marks=("queue",)),
    # SlotCon's own conversion takes the momentum encoder; PixPro's and SoCo's take the trained one.
    Layout("SlotCon", "encoder_k.", marks=("grouping_k.",), containers=("model",)),
    Layout("SlotCon (query encoder)", "encoder_q.", marks=("grouping_q.",), containers=("model",)),
    Layout("BYOL", "online_encoder.net.", marks=("target_encoder.",)),
    Layout("BYOL", "online_encoder.", marks=("target_encoder.",)),
    Layout("BYOL", "online_network.", marks=("target_network.",)),
    Layout("PixPro", "encoder.", marks=("projector_k.", "value_transform."), containers=("model",)),
    Layout("SoCo", "encoder.", marks=("projector_k.", "predictor.", "encoder_k."), containers=("model",)),
    Layout("PixPro", "encoder.", marks=("projector_k.", "encoder_k."), containers=("model",)),
    Layout("SimSiam", "encoder.", marks=("predictor.",), containers=("state_dict",)),
    Layout("PyContrast", "encoder.", marks=("head.",), containers=("model",)),
    Layout("PyContrast (momentum encoder)", "encoder.", marks=("head.",), containers=("model_ema",)),
    Layout("DINO (teacher)", "backbone.", marks=("head.",), containers=("teacher",)),
    Layout("DINO (student)", "backbone.", marks=("head.",), containers=("student",)),
    Layout(
        "SwAV",
        "",
        marks=("projection_head.",),
        heads=("projection_head.", "prototypes.", "fc."),
        convention=IMAGENET_228,
    ),
    Layout("VICRegL", "backbone.", marks=("maps_projector.",), containers=("model",), convention=IMAGENET_228),
    Layout("VICRegL", "backbone.", ("projector.", "classifier."), containers=("model",), convention=IMAGENET_228),
    Layout("Barlow Twins", "backbone.", marks=("projector.", "bn."), containers=("model",)),
    Layout("VICReg", "backbone.", marks=("projector.",), containers=("model",)),
    Layout("lightly / MetaMask release", "backbone.", names="sequential"),
    Layout("SimCLR re-implementations (nn.Sequential f)", "f.", names="sequential", anyones=True),
    Layout("nn.Sequential of a ResNet's children", "", names="sequential", anyones=True),
    Layout("solo-learn", "backbone.", marks=("projector.",), containers=("state_dict",)),
    Layout("solo-learn (momentum backbone)", "momentum_backbone.", containers=("state_dict",)),
    Layout("MMSelfSup / MMPretrain / MMEngine", "backbone.", containers=("state_dict",)),
    Layout("MMEngine (averaged weights)", "backbone.", containers=("ema_state_dict",)),
    Layout("Hugging Face transformers", "resnet.", names="huggingface"),
    Layout("Hugging Face transformers", "", names="huggingface", heads=("classifier.",)),
    Layout("torchvision detector", "backbone.body."),
    Layout("a network with its backbone under model.backbone", "model.backbone.", anyones=True),
    Layout("a network with its backbone under model.encoder", "model.encoder.", anyones=True),
    Layout("a network with its backbone under encoder", "encoder.", anyones=True),
    Layout("a network with its backbone under backbone", "backbone.", anyones=True),
    Layout("a network with its backbone under model", "model.", anyones=True),
    Layout("a network with its backbone under net", "net.", anyones=True),
    Layout("a network with its backbone under resnet", "resnet.", anyones=True),
    Layout("torchvision / timm / mmdet (bare names)", "", anyones=True),
)
