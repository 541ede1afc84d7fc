import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.modeling import build_model

from tests.cases.checkpoints import backbone, network, save_own, small_stem
from transfer.checkpoints.checkpoint import read
from transfer.conversion import convert
from transfer.detectors import parts
from transfer.detectors.loaded import Loaded, count_loaded


def _config(overlay, **keys):
    cfg = get_cfg()
    cfg.merge_from_file(str(overlay), allow_unsafe=False)
    settings = {
        "MODEL.DEVICE": "cpu",
        "MODEL.RESNETS.NORM": "BN",
        "MODEL.FPN.NORM": "BN",
        "MODEL.MASK_ON": True,
        **keys,
    }
    cfg.merge_from_list([part for pair in settings.items() for part in pair])
    return cfg


C4 = {
    "MODEL.RPN.POST_NMS_TOPK_TEST": 5,
    "MODEL.ROI_HEADS.NUM_CLASSES": 3,
    "MODEL.ROI_MASK_HEAD.NAME": "MaskRCNNConvUpsampleHead",
}
FPN = {
    **C4,
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.ROI_BOX_HEAD.NUM_FC": 1,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 8,
}


def _detector(path, **keys):
    torch.manual_seed(0)
    model = build_model(_config(path.with_suffix(".yaml"), **keys))
    DetectionCheckpointer(model).load(str(path))
    return model.eval()


def _count(model, path):
    return count_loaded(model, torch.load(path, weights_only=True)["model"])


@pytest.fixture(scope="module")
def r18(tmp_path_factory):
    folder = tmp_path_factory.mktemp("r18")
    source = read(save_own(folder / "b.safetensors", backbone(network())))
    convert.convert(source, "detectron2", folder / "d.pth")
    return folder / "d.pth"


@pytest.mark.parametrize("head", ["Res5BasicROIHeads", "ExtraNormRes5ROIHeads"])
def test_r18_c4_detects_with_everything_loaded(r18, head):
    model = _detector(r18, **C4, **{"MODEL.ROI_HEADS.NAME": head})
    assert _count(model, r18) == Loaded(100)
    with torch.inference_mode():
        outputs = model([{"image": torch.randint(0, 255, (3, 64, 96), dtype=torch.uint8)}])
    assert "instances" in outputs[0]
    assert hasattr(model.roi_heads.res5, "norm") is (head == "ExtraNormRes5ROIHeads")


def test_the_whole_c4_path_computes_torchvisions_layer4(r18):
    """The real detector's RoI transform on the whole feature map, against the network the weights came from."""
    model, reference = _detector(r18, **C4, **{"MODEL.ROI_HEADS.NAME": "Res5BasicROIHeads"}), network()
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        features = model.roi_heads.res5(model.backbone(images)["res4"])
        x = reference.maxpool(reference.relu(reference.bn1(reference.conv1(images))))
        wanted = reference.layer4(reference.layer3(reference.layer2(reference.layer1(x))))
    assert (features - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_the_same_file_serves_fpn(r18):
    assert _count(_detector(r18, **FPN), r18) == Loaded(100)


def test_what_stays_random_is_counted_and_named(r18):
    model = _detector(r18, **FPN)
    with torch.no_grad():
        model.backbone.bottom_up.res3[0].conv1.weight.normal_()
    count = _count(model, r18)
    assert (count.loaded, count.expected) == (99, 100)
    assert count.missing == ("backbone.bottom_up.res3.0.conv1.weight",)


def test_stock_c4_head_on_r18_is_what_the_literature_lost_points_on(r18):
    """Detectron2's own head cannot take R18's res5, and says nothing but a warning: the count says it."""
    torch.manual_seed(0)
    overlay = r18.with_suffix(".yaml")
    cfg = _config(overlay, **C4, **{"MODEL.ROI_HEADS.NAME": "Res5ROIHeads", "MODEL.RESNETS.RES2_OUT_CHANNELS": 64})
    model = build_model(cfg)
    DetectionCheckpointer(model).load(str(r18))
    count = _count(model, r18)
    assert count.loaded < count.expected
    assert all(name.startswith("roi_heads.res5.") for name in count.missing)


@pytest.mark.parametrize("head", ["fpn", "c4"])
def test_small_stem_detects_on_small_images(tmp_path, head):
    source = read(save_own(tmp_path / "b.safetensors", backbone(small_stem(network())), stem="small"))
    convert.convert(source, "detectron2", tmp_path / "d.pth", head)
    # The overlay says what the small stem's pyramid looks like; the rest comes from the protocol.
    own = {
        "MODEL.BACKBONE.NAME",
        "MODEL.RPN.IN_FEATURES",
        "MODEL.ROI_HEADS.IN_FEATURES",
        "MODEL.ANCHOR_GENERATOR.SIZES",
    }
    keys = C4 if head == "c4" else {key: value for key, value in FPN.items() if key not in own}
    model = _detector(tmp_path / "d.pth", **keys)
    assert _count(model, tmp_path / "d.pth") == Loaded(100)
    shapes = model.backbone.output_shape()
    assert {name: shape.stride for name, shape in shapes.items()} == (
        {"res4": 4} if head == "c4" else {"p0": 1, "p1": 2, "p2": 4, "p3": 8, "p4": 16}
    )
    with torch.inference_mode():
        assert "instances" in model([{"image": torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8)}])[0]


def test_r50_c4_and_extra_norm(tmp_path):
    source = read(save_own(tmp_path / "b.safetensors", backbone(network("resnet50")), arch="resnet50"))
    convert.convert(source, "detectron2", tmp_path / "d.pth", "c4")
    model = _detector(tmp_path / "d.pth", **C4, **{"MODEL.ROI_HEADS.NAME": "ExtraNormRes5ROIHeads"})
    assert _count(model, tmp_path / "d.pth") == Loaded(265)
    assert model.roi_heads.res5.norm.num_features == 2048


def test_registered_names():
    names = parts.registered()
    assert {"Res5BasicROIHeads", "ExtraNormRes5ROIHeads", "StandardROIHeads"} <= names["MODEL.ROI_HEADS.NAME"]
    assert "build_small_stem_resnet_fpn_backbone" in names["MODEL.BACKBONE.NAME"]
