"""Detectron2 parts that Detectron2 lacks, registered on import: C4 heads for every depth, and the small stem.

``Res5ROIHeads`` builds its res5 of three bottlenecks whatever the depth, so that R18 and R34 cannot be used with
C4, and a stem other than 7x7 stride 2 cannot be configured at all. Import this module before building a model
whose config names one of these.
"""

from __future__ import annotations

from typing import Any

from detectron2.layers import CNNBlockBase, Conv2d, ShapeSpec, get_norm
from detectron2.modeling.backbone import BACKBONE_REGISTRY, FPN, build_resnet_backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicBlock, ResNet
from detectron2.modeling.meta_arch.build import META_ARCH_REGISTRY
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, Res5ROIHeads
from torch import Tensor, nn
from torch.nn import functional

from transfer.checkpoints.resnets import SPECS

RES5_FACTOR = 8  # channels of res5 over channels of res2


def build_res5(cfg: Any) -> tuple[nn.Sequential, int]:
    """res5 of the depth in the config: basic blocks for R18 and R34, bottlenecks otherwise.

    Returns:
        (the stage, with a stride of 2; its output channels: 512 or 2048).
    """
    depth = cfg.MODEL.RESNETS.DEPTH
    if depth not in (18, 34):
        return Res5ROIHeads._build_res5_block(cfg)
    out_channels = cfg.MODEL.RESNETS.RES2_OUT_CHANNELS * RES5_FACTOR
    blocks = SPECS[f"resnet{depth}"].blocks[3]
    stage = ResNet.make_stage(
        BasicBlock,
        blocks,
        stride_per_block=[2] + [1] * (blocks - 1),
        in_channels=out_channels // 2,
        out_channels=out_channels,
        norm=cfg.MODEL.RESNETS.NORM,
    )
    return nn.Sequential(*stage), out_channels


@ROI_HEADS_REGISTRY.register()
class Res5BasicROIHeads(Res5ROIHeads):
    """The C4 head for R18 and R34: res5 of basic blocks."""

    @classmethod
    def _build_res5_block(cls, cfg: Any) -> tuple[nn.Sequential, int]:
        return build_res5(cfg)


@ROI_HEADS_REGISTRY.register()
class ExtraNormRes5ROIHeads(Res5ROIHeads):
    """The C4 head of the self-supervised protocol, any depth: one more norm after res5.

    He et al. 2020 (MoCo, appendix) add it because a backbone that is tuned with SyncBN leaves res5 unnormalised
    for the box head. Its parameters are new: no checkpoint holds them.
    """

    @classmethod
    def _build_res5_block(cls, cfg: Any) -> tuple[nn.Sequential, int]:
        stage, channels = build_res5(cfg)
        stage.add_module("norm", get_norm(cfg.MODEL.RESNETS.NORM, channels))
        return stage, channels


class SmallStem(CNNBlockBase):
    """3x3 convolution of stride 1, norm, ReLU, no pooling: the stem for images of 32 to 64 pixels."""

    def __init__(self, in_channels: int = 3, out_channels: int = 64, norm: str = "BN") -> None:
        """Build the layers; ``norm`` as in ``detectron2.layers.get_norm``."""
        super().__init__(in_channels, out_channels, 1)
        self.conv1 = Conv2d(
            in_channels, out_channels, kernel_size=3, padding=1, bias=False, norm=get_norm(norm, out_channels)
        )
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 64, H, W)."""
        return functional.relu_(self.conv1(images))


@BACKBONE_REGISTRY.register()
def build_small_stem_resnet_backbone(cfg: Any, input_shape: ShapeSpec) -> ResNet:
    """Detectron2's ResNet of the config behind a ``SmallStem``; res2..res5 have the strides 1, 2, 4, 8."""
    stock = build_resnet_backbone(cfg, input_shape)
    resnets = cfg.MODEL.RESNETS
    stem = SmallStem(input_shape.channels, resnets.STEM_OUT_CHANNELS, resnets.NORM)
    stages = [list(stage.children()) for stage in stock.stages]
    return ResNet(stem, stages, out_features=resnets.OUT_FEATURES, freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT)


@BACKBONE_REGISTRY.register()
def build_small_stem_resnet_fpn_backbone(cfg: Any, input_shape: ShapeSpec) -> FPN:
    """The feature pyramid on that backbone: levels p0..p3 and p4 pooled from p3."""
    pool = LastLevelMaxPool()
    pool.in_feature = "p3"  # its own is p5, the last level behind a stem of stride 4
    return FPN(
        bottom_up=build_small_stem_resnet_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=pool,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


def registered() -> dict[str, set[str]]:
    """Config key -> the names Detectron2 knows for it now, those of this module included."""
    registries = {
        "MODEL.META_ARCHITECTURE": META_ARCH_REGISTRY,
        "MODEL.BACKBONE.NAME": BACKBONE_REGISTRY,
        "MODEL.PROPOSAL_GENERATOR.NAME": PROPOSAL_GENERATOR_REGISTRY,
        "MODEL.ROI_HEADS.NAME": ROI_HEADS_REGISTRY,
    }
    known = {key: {name for name, _ in registry} for key, registry in registries.items()}
    return {**known, "MODEL.PROPOSAL_GENERATOR.NAME": known["MODEL.PROPOSAL_GENERATOR.NAME"] | {"PrecomputedProposals"}}
