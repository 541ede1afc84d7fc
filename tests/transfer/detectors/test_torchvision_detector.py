"""torchvision's detectors under Detectron2's names: every part computes what it computes there."""

import re

import pytest
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

from tests.cases.detectors import FIRST, detectron2_model, small_config, torchvision_model
from transfer.detectors import config as detector_config
from transfer.detectors import initial_detector, torchvision_detector

pytestmark = pytest.mark.usefixtures("one_thread")
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """torchvision's model, and Detectron2's with its weights."""
    model = torchvision_model()
    file = tmp_path_factory.mktemp("torchvision") / "detector.pth"
    torch.save(model.state_dict(), file)
    cfg = small_config(3, *FIRST)
    detector = initial_detector.read(file, cfg)
    assert detector.kind == initial_detector.TORCHVISION
    detector_config.changed(cfg, detector.overlay)
    taken = detectron2_model(cfg)
    count = initial_detector.fill(taken, detector, cfg)
    assert (count.loaded, count.missing, count.unused, count.drawn_anew) == (count.expected, (), (), ())
    return model, taken, cfg


def test_the_pyramid_and_the_rpn_compute_the_same(pair):
    model, taken, _ = pair
    images = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        theirs, ours = model.backbone(images), taken.backbone(images)
        logits, deltas = model.rpn.head(list(theirs.values()))
        own = taken.proposal_generator.rpn_head([ours[f"p{level}"] for level in range(2, 7)])
    assert len(theirs) == len(ours) == 5
    for one, two in zip(theirs.values(), ours.values(), strict=True):  # "0" .. "3", "pool"; p2 .. p6
        torch.testing.assert_close(one, two, **CLOSE)
    for found, wanted in zip(own, (logits, deltas), strict=True):
        for one, two in zip(wanted, found, strict=True):
            torch.testing.assert_close(one, two, **CLOSE)


def test_the_anchors_are_torchvisions_but_for_its_rounding(pair):
    model, taken, cfg = pair
    images = torch.randn(1, 3, 128, 128)
    from torchvision.models.detection.image_list import ImageList

    with torch.no_grad():
        features = list(taken.backbone(images).values())
    theirs = model.rpn.anchor_generator(ImageList(images, [(128, 128)]), features)[0]
    own = torch.cat([boxes.tensor for boxes in taken.proposal_generator.anchor_generator(features)])
    assert theirs.shape == own.shape
    assert 0 < float((theirs - own).abs().max()) <= 0.5
    assert cfg.MODEL.RPN.BBOX_REG_WEIGHTS == (1.0, 1.0, 1.0, 1.0)


def test_the_heads_give_the_same_scores_boxes_and_masks_for_the_same_regions(pair):
    from detectron2.structures import Boxes

    model, taken, _ = pair
    images = torch.randn(1, 3, 128, 128)
    regions = torch.tensor([[4.0, 8.0, 70.0, 60.0], [30.0, 20.0, 120.0, 126.0], [10.0, 10.0, 26.0, 40.0]])
    with torch.no_grad():
        theirs = model.backbone(images)
        pooled = model.roi_heads.box_roi_pool(theirs, [regions], [(128, 128)])
        scores, deltas = model.roi_heads.box_predictor(model.roi_heads.box_head(pooled))
        masks = model.roi_heads.mask_predictor(
            model.roi_heads.mask_head(model.roi_heads.mask_roi_pool(theirs, [regions], [(128, 128)]))
        )
        features = [taken.backbone(images)[f"p{level}"] for level in range(2, 6)]
        heads = taken.roi_heads
        own = heads.box_predictor(heads.box_head(heads.box_pooler(features, [Boxes(regions)])))
        own_masks = heads.mask_head.layers(heads.mask_pooler(features, [Boxes(regions)]))
    torch.testing.assert_close(own[0], torch.cat([scores[:, 1:], scores[:, :1]], dim=1), **CLOSE)  # background last
    torch.testing.assert_close(own[1], deltas[:, 4:], **CLOSE)
    torch.testing.assert_close(own_masks, masks[:, 1:], **CLOSE)


def test_the_second_version_fits_the_packaged_protocol(tmp_path):
    """Norms in FPN and heads, a box head of four convolutions, as configs/ build them; but two in the RPN."""
    model = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=4).eval()
    torch.save({"model": model.state_dict()}, tmp_path / "v2.pth")
    cfg = detector_config.read_config(detector_config.find_config("any_mask_rcnn_R_50_FPN_quick"))
    words = ["MODEL.DEVICE", "cpu", "MODEL.RPN.CONV_DIMS", [-1, -1], "MODEL.ROI_HEADS.NUM_CLASSES", 3]
    for part in ("RESNETS", "FPN", "ROI_BOX_HEAD", "ROI_MASK_HEAD"):
        words += [f"MODEL.{part}.NORM", "BN"]
    detector_config.override(cfg, words)
    taken = detectron2_model(cfg)
    count = initial_detector.fill(taken, initial_detector.read(tmp_path / "v2.pth", cfg), cfg)
    assert (count.missing, count.unused, count.drawn_anew) == ((), (), ())
    assert count.expected > 300
    pooled = torch.randn(2, 256, 7, 7)
    with torch.no_grad():
        torch.testing.assert_close(taken.roi_heads.box_head(pooled), model.roi_heads.box_head(pooled), **CLOSE)


def test_the_first_version_has_a_name_for_every_tensor():
    state = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=4).state_dict()
    state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    renamed = torchvision_detector.to_detectron2(state)
    assert len(renamed) == len(state)
    assert not renamed.keys() & state.keys() - {name for name in state if "box_predictor" in name}
    # Before torchvision 0.13 the convolutions stood alone, without the modules around them.
    old = {re.sub(r"(rpn\.head\.conv|inner_blocks\.\d|layer_blocks\.\d)(\.0)+\.", r"\1.", name) for name in state}
    old = {re.sub(r"mask_head\.(\d)\.0\.", lambda m: f"mask_head.mask_fcn{int(m[1]) + 1}.", name) for name in old}
    assert not old & {name for name in state if "fpn" in name or "rpn.head.conv" in name or "mask_head" in name}
    zeros = {name: torch.zeros(8) for name in old}
    assert torchvision_detector.to_detectron2(zeros).keys() == renamed.keys()
