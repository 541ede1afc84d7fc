import json
import math
import os
import stat

import pytest
import safetensors
import torch
import torchvision

from pretrain.backbones import ARCHITECTURES, FORMAT, build_backbone, feature_width, load_backbone, save_backbone
from pretrain.errors import InputError

METADATA = {
    "arch": "resnet18",
    "stem": "imagenet",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "channel_order": "RGB",
    "method": "metamask",
}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_features_are_torchvisions(arch):
    net = build_backbone(arch).eval()
    reference = torchvision.models.get_model(arch, weights=None).eval()
    missing, unexpected = reference.load_state_dict(net.state_dict(), strict=False)
    assert sorted(missing) == ["fc.bias", "fc.weight"]
    assert not unexpected
    reference.fc = torch.nn.Identity()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(net(x), reference(x))
    assert net(x).shape == (2, feature_width(arch))


def test_the_small_stem_keeps_the_resolution():
    net = build_backbone("resnet18", "small")
    assert net.layer1(net.maxpool(net.conv1(torch.zeros(1, 3, 32, 32)))).shape[-1] == 32


@pytest.mark.parametrize(("arch", "stem", "side"), [("resnet18", "imagenet", 3), ("resnet50", "small", 12)])
def test_maps_are_what_the_pooled_features_are_the_means_of(arch, stem, side):
    torch.manual_seed(0)
    net, maps = build_backbone(arch, stem).eval(), build_backbone(arch, stem, maps=True).eval()
    maps.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        found = maps(x)
        assert found.shape == (2, feature_width(arch), side, side)
        assert torch.allclose(found.mean(dim=(2, 3)), net(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_the_file_gives_the_same_network_back(tmp_path, stem):
    torch.manual_seed(0)
    net, path = build_backbone("resnet18", stem), tmp_path / "backbone.safetensors"
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    save_backbone(path, net, METADATA | {"stem": stem})
    again, metadata = load_backbone(path)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(net.eval()(x), again.eval()(x))
    assert metadata == METADATA | {"stem": stem, "format": FORMAT}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["backbone.safetensors"]


def test_equal_weights_are_equal_files(tmp_path):
    net, files = build_backbone("resnet18"), [tmp_path / f"{i}.safetensors" for i in range(3)]
    for file in files:
        save_backbone(file, net, METADATA | {"settings": {"note": "\u00fc, \u221e"}})
    assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()
    assert load_backbone(files[0])[1]["settings"] == {"note": "\u00fc, \u221e"}


def test_the_file_holds_a_hundred_tensors_under_torchvision_names(tmp_path):
    path = tmp_path / "b.safetensors"
    save_backbone(path, build_backbone("resnet18"), METADATA)
    with safetensors.safe_open(path, framework="pt") as file:
        names = set(file.keys())
    assert len(names) == 100
    assert {"conv1.weight", "bn1.running_var", "layer4.1.conv2.weight", "layer2.0.downsample.1.bias"} <= names
    assert not any("fc" in n or "num_batches" in n for n in names)


def damaged(tmp_path, change):
    net = build_backbone("resnet18")
    path = tmp_path / "b.safetensors"
    save_backbone(path, net, METADATA)
    with safetensors.safe_open(path, framework="pt") as file:
        header, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    change(tensors, header)
    safetensors.torch.save_file(tensors, path, metadata=header)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, h: t.pop("bn1.weight"), r"1 missing \(bn1.weight\)"),
        (lambda t, h: t.update({"fc.weight": torch.zeros(3)}), r"1 unexpected \(fc.weight\)"),
        (lambda t, h: t.update({"conv1.weight": torch.zeros(64, 3, 3, 3)}), r"1 of another shape \(conv1.weight\)"),
        (lambda t, h: h.update({"arch": "resnet34"}), r"expected 180 tensors, found 80 missing"),
        (lambda t, h: h.update({"format": "other/1"}), r"expected format pretrain.backbone/1, found 'other/1'"),
    ],
)
def test_anything_but_a_complete_match_is_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load_backbone(damaged(tmp_path, change))


def test_a_missing_or_foreign_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="found nothing"):
        load_backbone(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        load_backbone(tmp_path / "text.safetensors")


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="found 'vgg16'"):
        build_backbone("vgg16")
    with pytest.raises(InputError, match="found 'deep'"):
        build_backbone("resnet18", "deep")


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["layer3.0.conv1.weight", "bn1.running_var"])
def test_a_diverged_network_is_never_written(tmp_path, name, value):
    path, net = tmp_path / "b.safetensors", build_backbone("resnet18")
    save_backbone(path, net, METADATA)
    before = path.read_bytes()
    net.state_dict()[name].view(-1)[3] = value
    with pytest.raises(InputError, match=rf"NaN or infinity in 1 of 100 tensors \({name}\)"):
        save_backbone(path, net, METADATA)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_the_file_can_be_read_by_whom_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        save_backbone(tmp_path / "b.safetensors", build_backbone("resnet18"), METADATA)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b.safetensors").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("arch", None),
        ("mean", None),
        ("mean", [0.5]),
        ("std", [0.5, 0.5, 0]),
        ("std", "wide"),
        ("mean", [1, 2, math.nan]),
    ],
)
def test_a_file_that_does_not_say_how_it_was_fed_is_refused(tmp_path, key, value):
    def change(tensors, header):
        header.pop(key)
        if value is not None:
            header[key] = json.dumps(value)

    with pytest.raises(InputError, match=key):
        load_backbone(damaged(tmp_path, change))


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="found a folder at"):
        load_backbone(tmp_path)
