"""A whole detector to start from: equal outputs for equal classes, other heads drawn anew, nothing left uncounted."""

import pickle

import pytest
import torch

from tests.cases.detectors import detectron2_model, small_config, torchvision_model
from transfer.detectors import config as detector_config
from transfer.detectors import initial_detector
from transfer.errors import CheckpointError, InputError

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = [{"image": torch.arange(3 * 96 * 96, dtype=torch.float32).reshape(3, 96, 96) % 251, "height": 96, "width": 96}]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a Detectron2 run of three classes leaves: its checkpoint and its config; and the model itself."""
    folder, cfg = tmp_path_factory.mktemp("run"), small_config(3)
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
    model = detectron2_model(cfg, seed=5)
    torch.save({"model": model.state_dict(), "iteration": 9}, folder / "model_final.pth")
    (folder / "config.yaml").write_text(cfg.dump())
    return folder / "model_final.pth", model, cfg


def test_equal_classes_give_the_outputs_of_the_original(run):
    file, model, cfg = run
    other = detectron2_model(cfg, seed=6)
    count = initial_detector.fill(other, initial_detector.read(file, cfg), cfg)
    assert (count.loaded, count.missing, count.unused, count.drawn_anew) == (count.expected, (), (), ())
    with torch.no_grad():
        wanted, found = (one(IMAGES)[0]["instances"] for one in (model, other))
    assert len(wanted) > 0
    for name in ("pred_boxes", "scores", "pred_classes", "pred_masks"):
        one, two = (getattr(instances.get(name), "tensor", instances.get(name)) for instances in (wanted, found))
        assert torch.equal(one, two), name


def test_heads_of_other_classes_are_drawn_anew_and_all_else_is_loaded(run):
    file, model, _ = run
    cfg = small_config(5)
    other = detectron2_model(cfg, seed=6)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    count = initial_detector.fill(other, initial_detector.read(file, cfg), cfg)
    parts = ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_head.predictor")
    assert sorted(count.drawn_anew) == sorted(f"roi_heads.{p}.{leaf}" for p in parts for leaf in ("weight", "bias"))
    assert (count.missing, count.unused, count.misshapen) == ((), (), ())
    assert count.loaded == count.expected - 6
    assert str(count).startswith(f"{count.loaded}/{count.expected} tensors, 6 drawn anew (roi_heads.")
    original = model.state_dict()
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, before[name] if name in count.drawn_anew else original[name]), name


def test_the_rpn_of_other_anchors_is_drawn_anew(run):
    cfg = small_config(3, "MODEL.ANCHOR_GENERATOR.SIZES", [[4], [8], [16], [32]])
    count = initial_detector.fill(detectron2_model(cfg), initial_detector.read(run[0], cfg), cfg)
    heads = [
        f"proposal_generator.rpn_head.{p}.{leaf}"
        for p in ("objectness_logits", "anchor_deltas")
        for leaf in ("weight", "bias")
    ]
    assert sorted(count.drawn_anew) == sorted(heads)
    assert count.complete


def test_what_does_not_fit_is_missing_and_unused_by_name(run):
    cfg = small_config(3, "MODEL.FPN.NORM", "", "MODEL.FPN.OUT_CHANNELS", 32)
    count = initial_detector.fill(detectron2_model(cfg), initial_detector.read(run[0], cfg), cfg)
    assert "backbone.fpn_lateral2.bias" in count.missing  # a pyramid without norms has biases
    assert "backbone.fpn_lateral2.norm.weight" in count.unused
    assert "backbone.fpn_lateral2.weight" in count.misshapen
    assert not count.complete
    boxes = small_config(3, "MODEL.MASK_ON", False)
    count = initial_detector.fill(detectron2_model(boxes), initial_detector.read(run[0], boxes), boxes)
    assert count.complete
    assert all(name.startswith("roi_heads.mask_head.") for name in count.unused)
    assert len(count.unused) == 8


def test_how_it_was_fed_comes_from_the_runs_config_or_from_the_user(run, tmp_path):
    file, _, cfg = run
    assert initial_detector.read(file, cfg).overlay["MODEL.PIXEL_STD"] == [58.395, 57.12, 57.375]
    alone = tmp_path / "model.pth"
    alone.write_bytes(file.read_bytes())
    with pytest.raises(InputError, match=r"expected its run's config\.yaml beside it, .* or name --convention"):
        initial_detector.read(alone, cfg)
    overlay = initial_detector.read(alone, cfg, "msra").overlay
    assert (overlay["INPUT.FORMAT"], overlay["MODEL.PIXEL_STD"]) == ("BGR", [1.0, 1.0, 1.0])
    with pytest.raises(InputError, match="imagenet"):
        initial_detector.read(alone, cfg, "resnet")


def test_a_pickle_of_the_model_zoo_is_read_without_being_run(run, tmp_path):
    """Its arrays are NumPy's, and it holds the anchors that newer versions compute."""
    _, model, cfg = run
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    arrays["proposal_generator.anchor_generator.cell_anchors.0"] = torch.zeros(3, 4).numpy()
    with (tmp_path / "zoo.pkl").open("wb") as out:
        pickle.dump({"model": arrays, "__author__": "Detectron2 Model Zoo"}, out)
    detector = initial_detector.read(tmp_path / "zoo.pkl", cfg, "msra")
    count = initial_detector.fill(detectron2_model(cfg), detector, cfg)
    assert (count.complete, count.unused, count.drawn_anew) == (True, (), ())


def test_torchvisions_rows_by_class_are_drawn_anew_too(tmp_path):
    torch.save(torchvision_model(classes=4).state_dict(), tmp_path / "t.pth")
    cfg = small_config(3, "MODEL.FPN.NORM", "", "MODEL.ROI_BOX_HEAD.NUM_FC", 2)
    detector = initial_detector.read(tmp_path / "t.pth", cfg)
    assert detector.overlay["MODEL.ROI_BOX_HEAD.POOLER_TYPE"] == "ROIAlign"
    assert detector.overlay["INPUT.FORMAT"] == "RGB"
    detector_config.changed(cfg, detector.overlay)
    count = initial_detector.fill(detectron2_model(cfg), detector, cfg)
    assert count.complete
    assert len([name for name in count.drawn_anew if name.startswith("roi_heads.")]) == 6


def test_what_is_no_whole_detector_is_refused(run, tmp_path):
    _, model, cfg = run
    backbone = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("backbone.")}
    torch.save({"model": backbone}, tmp_path / "backbone.pth")
    with pytest.raises(InputError, match="expected a whole detector of Detectron2 or torchvision, found none"):
        initial_detector.read(tmp_path / "backbone.pth", cfg, "imagenet")
    broken = {**model.state_dict(), "roi_heads.box_head.fc1.bias": torch.full((256,), float("nan"))}
    torch.save({"model": broken}, tmp_path / "nan.pth")
    with pytest.raises(CheckpointError, match=r"nan\.pth"):
        initial_detector.read(tmp_path / "nan.pth", cfg, "imagenet")
    with pytest.raises(InputError, match="found nothing"):
        initial_detector.read(tmp_path / "none.pth", cfg)
