"""Small detectors of Detectron2 and of torchvision, built here, with weights that no initialisation gives."""

import torch

import transfer.register  # noqa: F401
from transfer.detectors import config as detector_config

# As torchvision's first detectors are built: no norm in the pyramid, five levels, two linear layers.
FIRST = ["MODEL.FPN.NORM", "", "MODEL.ROI_BOX_HEAD.NUM_FC", 2, "MODEL.RPN.IN_FEATURES", ["p2", "p3", "p4", "p5", "p6"]]


def small_config(classes=3, *words):
    """The config of the packaged small Mask R-CNN R18-FPN, on the CPU."""
    cfg = detector_config.read_config(detector_config.find_config("any_mask_rcnn_R_18_FPN_small"))
    sizes = (
        ["MODEL.ANCHOR_GENERATOR.SIZES", [[32], [64], [128], [256], [512]]] if "MODEL.RPN.IN_FEATURES" in words else []
    )
    detector_config.override(cfg, ["MODEL.DEVICE", "cpu", "MODEL.RESNETS.NORM", "FrozenBN", *sizes, *words])
    detector_config.changed(cfg, {"MODEL.ROI_HEADS.NUM_CLASSES": classes})
    if cfg.MODEL.FPN.NORM:
        cfg.MODEL.FPN.NORM = "BN"
    return cfg


def detectron2_model(cfg, seed=0):
    """Detectron2's model of a config, every tensor random."""
    from detectron2.modeling import build_model

    torch.manual_seed(seed)
    return shaken(build_model(cfg)).eval()


def torchvision_model(classes=3, seed=1):
    """torchvision's Mask R-CNN with R18, FPN and heads of the small config's width, every tensor random."""
    from torchvision.models import resnet18
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
    from torchvision.ops.misc import FrozenBatchNorm2d

    torch.manual_seed(seed)
    layers = {f"layer{i}": str(i - 1) for i in range(1, 5)}
    backbone = BackboneWithFPN(resnet18(norm_layer=FrozenBatchNorm2d), layers, [64, 128, 256, 512], 64)
    return shaken(
        MaskRCNN(
            backbone,
            box_head=TwoMLPHead(64 * 49, 256),
            box_predictor=FastRCNNPredictor(256, classes + 1),
            mask_head=MaskRCNNHeads(64, (64, 64), 1),
            mask_predictor=MaskRCNNPredictor(64, 64, classes + 1),
        )
    ).eval()


def shaken(model):
    """The model with a little noise on every tensor: biases start at 0 and norms at 1, which says nothing."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_((torch.rand_like(tensor) - 0.5) * 0.02)
    return model
