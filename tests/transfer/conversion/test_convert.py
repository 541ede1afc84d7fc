import json
import os
import stat

import pytest
import torch
import yaml

from tests.cases.checkpoints import assert_same, backbone, header, network, save_own, small_stem, to_detectron2_by_hand
from transfer.__main__ import main
from transfer.checkpoints.checkpoint import read
from transfer.conversion import convert
from transfer.conversion import proof as verify
from transfer.detectors.loaded import Loaded
from transfer.errors import CheckpointError, InputError


@pytest.mark.parametrize("to", ["detectron2", "torchvision", "timm", "mmdet"])
def test_there_and_back_is_bit_identical_with_its_metadata(own, tmp_path, to):
    path, state = own
    out = tmp_path / "x.pth"
    convert.convert(read(path), to, out)
    # Bare torchvision and timm files carry no metadata: only the tensors come back.
    back = tmp_path / "back.safetensors"
    convert.convert(read(out), "torchvision", back)
    again = read(back)
    assert_same(again.state, state)
    if to in ("detectron2", "mmdet"):
        wanted = read(path).metadata
        assert again.metadata == wanted
        assert {k: json.loads(v) if k == "settings" else v for k, v in header().items()}["settings"] == wanted[
            "settings"
        ]


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_equal_weights_are_equal_files(own, tmp_path, name):
    written = []
    for _ in range(4):
        to = "detectron2" if name == "x.pth" else "torchvision"
        convert.convert(own[0], to, tmp_path / name, force=True)
        written.append((tmp_path / name).read_bytes())
    assert len(set(written)) == 1
    assert read(tmp_path / name).metadata["arch"] == "resnet18"


def test_timm_and_mmdet_files_are_what_those_projects_load(own, tmp_path):
    import timm

    path, state = own
    convert.convert(read(path), "timm", tmp_path / "t.safetensors")
    model = timm.create_model("resnet18", num_classes=0, checkpoint_path=str(tmp_path / "t.safetensors"))
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())
    convert.convert(read(path), "mmdet", tmp_path / "m.pth")
    assert set(torch.load(tmp_path / "m.pth", weights_only=True)) == {"state_dict", "meta"}


def test_an_existing_file_is_kept(own, tmp_path):
    path, _ = own
    for name in ("x.pth", "x.yaml"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(InputError, match="--force"):
            convert.convert(read(path), "detectron2", tmp_path / "x.pth")
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    (tmp_path / "x.pth").write_text("mine")
    convert.convert(read(path), "detectron2", tmp_path / "x.pth", force=True)
    assert read(tmp_path / "x.pth").arch == "resnet18"


@pytest.mark.parametrize("fault", ["value", "name"])
def test_a_failed_proof_leaves_nothing_behind(own, tmp_path, monkeypatch, capsys, fault):
    path, _ = own
    honest = convert._renamed

    def wrong(name):
        # Two tensors of one shape exchanged: every count is right, and the network is another.
        swap = {"layer1.0.conv1.weight": "layer1.1.conv1.weight", "layer1.1.conv1.weight": "layer1.0.conv1.weight"}
        return honest(swap.get(name, name)) if fault == "value" else honest(name).replace("res5", "res6")

    monkeypatch.setattr(convert, "_renamed", wrong)
    assert main(["convert", str(path), "--to", "detectron2", "--out", str(tmp_path / "x.pth")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("transfer convert: ")
    assert error.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_an_interrupt_leaves_nothing_behind(own, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "prove", interrupted)
    source = read(own[0])
    with pytest.raises(KeyboardInterrupt):
        convert.convert(source, "torchvision", tmp_path / "x.pth")
    assert os.listdir(tmp_path) == []


def test_small_stem_goes_where_it_can(tmp_path):
    state = backbone(small_stem(network()))
    source = read(save_own(tmp_path / "s.safetensors", state, stem="small"))
    for head in ("fpn", "c4"):
        convert.convert(source, "detectron2", tmp_path / f"{head}.pth", head)
        assert_same(read(tmp_path / f"{head}.pth").state, state)
        backbone_name = yaml.safe_load((tmp_path / f"{head}.yaml").read_text())["MODEL"]["BACKBONE"]["NAME"]
        assert backbone_name.startswith("build_small_stem_resnet")
    convert.convert(source, "torchvision", tmp_path / "t.safetensors")
    with pytest.raises(InputError, match="--head fpn or --head c4"):
        convert.convert(source, "detectron2", tmp_path / "x.pth")
    for to in ("timm", "mmdet"):
        with pytest.raises(InputError, match="3x3 stem"):
            convert.convert(source, to, tmp_path / "x.pth")


def test_what_cannot_be_is_refused_with_a_reason(own, tmp_path):
    source = read(own[0])
    cases = [
        (("detectron2", tmp_path / "x.safetensors"), "suffix"),
        (("torchvision", tmp_path / "x.pth", "c4"), "--head"),
        (("torchvision", tmp_path / "absent" / "x.pth"), "no such folder"),
    ]
    for arguments, message in cases:
        with pytest.raises(InputError, match=message):
            convert.convert(source, *arguments)
    caffe = read(own[0], convention="msra")
    with pytest.raises(InputError, match="BGR"):
        convert.convert(caffe, "timm", tmp_path / "x.pth")


def test_nobody_knows_how_it_was_fed(own, tmp_path):
    torch.save({"model": {to_detectron2_by_hand(k): v for k, v in own[1].items()}}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="--convention"):
        convert.convert(read(tmp_path / "x.pth"), "torchvision", tmp_path / "y.pth")
    convert.convert(read(tmp_path / "x.pth", convention="imagenet"), "torchvision", tmp_path / "y.pth")


@pytest.mark.parametrize("kind", ["fpn", "c4"])
def test_the_backbone_of_a_trained_detector_comes_out(own, tmp_path, kind):
    """From its own detector's names, run by Detectron2 as the source of the proof."""
    renamed = {to_detectron2_by_hand(name): tensor for name, tensor in own[1].items()}
    if kind == "fpn":
        model = {f"backbone.bottom_up.{k}": v for k, v in renamed.items()} | {
            "backbone.fpn_output2.bias": torch.ones(4)
        }
    else:
        model = {("roi_heads." if k.startswith("res5") else "backbone.") + k: v for k, v in renamed.items()}
        model |= {
            "roi_heads.res5.norm.weight": torch.ones(512),
            "roi_heads.box_predictor.cls_score.bias": torch.ones(4),
        }
    torch.save({"model": model, "iteration": 99, "optimizer": {"state": {}}}, tmp_path / "model_final.pth")
    source = read(tmp_path / "model_final.pth", convention="imagenet")
    proofs = convert.convert(source, "torchvision", tmp_path / "t.safetensors")
    assert "detectron2 -> torchvision" in proofs[0].title
    assert_same(read(tmp_path / "t.safetensors").state, own[1])


ARCHS = ["resnet50", "resnext50_32x4d"]
SLOW = ["resnet34", "resnet101", "resnet152", "resnext101_32x8d", "wide_resnet50_2"]


@pytest.mark.parametrize("arch", [*ARCHS, *(pytest.param(arch, marks=pytest.mark.slow) for arch in SLOW)])
def test_every_architecture_there_and_back(arch, tmp_path):
    state = backbone(network(arch))
    source = read(save_own(tmp_path / "b.safetensors", state, arch=arch))
    proofs = convert.convert(source, "detectron2", tmp_path / "d.pth")
    assert [proof.run.tensors for proof in proofs] == [Loaded(len(state))] * 2
    convert.convert(read(tmp_path / "d.pth"), "torchvision", tmp_path / "back.safetensors")
    assert_same(read(tmp_path / "back.safetensors").state, state)
    if arch.startswith("wide"):
        with pytest.raises(InputError, match="wide"):
            convert.convert(source, "mmdet", tmp_path / "m.pth")


def test_caffe_strides_reach_detectron2(tmp_path):
    state = backbone(network("resnet50"))
    torch.save(state, tmp_path / "x.pth")
    convert.convert(read(tmp_path / "x.pth", convention="msra"), "detectron2", tmp_path / "d.pth", "fpn")
    overlay = yaml.safe_load((tmp_path / "d.yaml").read_text())
    assert overlay["MODEL"]["RESNETS"]["STRIDE_IN_1X1"] is True
    assert (overlay["INPUT"]["FORMAT"], overlay["MODEL"]["PIXEL_STD"]) == ("BGR", [1.0, 1.0, 1.0])
    with pytest.raises(InputError, match="stride"):
        convert.convert(read(tmp_path / "d.pth"), "torchvision", tmp_path / "t.pth")


def test_a_wrong_overlay_fails_the_proof(own, tmp_path):
    convert.convert(read(own[0]), "detectron2", tmp_path / "x.pth")
    overlay = tmp_path / "x.yaml"
    for right, wrong in (("RGB", "BGR"), ("58.395", "58.14")):
        good = overlay.read_text()
        overlay.write_text(good.replace(right, wrong))
        proof = verify.prove(read(own[0]), tmp_path / "x.pth", "detectron2", "fpn")[0]
        assert not proof.holds
        overlay.write_text(good)
    assert verify.prove(read(own[0]), tmp_path / "x.pth", "detectron2", "fpn")[0].holds


def test_what_is_written_may_be_read_by_whom_the_umask_lets(own, tmp_path):
    before = os.umask(0o027)
    try:
        convert.convert(own[0], "detectron2", tmp_path / "x.pth", "fpn")
        convert.convert(own[0], "torchvision", tmp_path / "y.safetensors")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.is_file()}
    assert {modes[name] for name in ("x.pth", "x.yaml", "y.safetensors")} == {0o640}


def test_unsafe_yaml_beside_a_file_is_not_run(own, tmp_path):
    convert.convert(read(own[0]), "detectron2", tmp_path / "x.pth")
    marker = tmp_path / "ran"
    (tmp_path / "x.yaml").write_text(f'X: !!python/object/apply:os.system ["touch {marker}"]\n')
    with pytest.raises((CheckpointError, InputError)):
        verify.prove(read(own[0]), tmp_path / "x.pth", "detectron2", "fpn")
    assert not marker.exists()
