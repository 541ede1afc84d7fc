import pytest
import torch
import torchvision

from pretrain.backbones import build_backbone, save_backbone
from pretrain.errors import InputError
from pretrain.settings.schema import Settings
from pretrain.training.initial import normalised_as, read_initial

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return all(torch.equal(a[k], b[k]) for k in a if "num_batches" not in k)


@pytest.fixture
def ours(tmp_path):
    backbone = build_backbone("resnet18", "small")
    metadata = {
        "arch": "resnet18",
        "stem": "small",
        "mean": MEAN,
        "std": STD,
        "channel_order": "RGB",
        "method": "simclr",
    }
    save_backbone(tmp_path / "backbone.safetensors", backbone, metadata)
    return tmp_path / "backbone.safetensors", backbone


def test_our_own_file_fills_the_backbone_and_brings_its_normalisation(ours):
    path, backbone = ours
    initial = read_initial(path)
    filled = build_backbone("resnet18", "small")
    assert not same(filled, backbone)
    initial.fill(filled)
    assert same(filled, backbone)
    settings = normalised_as(Settings(), initial)
    assert (settings.data.mean, settings.data.std) == (MEAN, STD)
    assert settings.data.batch == Settings().data.batch


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_transfer_converts_for_torchvision_can_be_started_from(ours, tmp_path, suffix):
    from transfer.__main__ import main

    path, backbone = ours
    out = tmp_path / f"converted{suffix}"
    assert main(["convert", str(path), "--to", "torchvision", "--out", str(out)]) == 0
    initial, filled = read_initial(out), build_backbone("resnet18", "small")
    initial.fill(filled)
    assert same(filled, backbone)
    expected = MEAN if suffix == ".safetensors" else Settings().data.mean  # a .pth has no place for it
    assert normalised_as(Settings(), initial).data.mean == expected


def test_torchvisions_own_weights_come_without_their_classifier(tmp_path, caplog):
    caplog.set_level("INFO")
    net = torchvision.models.resnet18(weights=None)
    torch.save(net.state_dict(), tmp_path / "r18.pth")
    filled = build_backbone("resnet18")
    initial = read_initial(tmp_path / "r18.pth")
    initial.fill(filled)
    net.fc = torch.nn.Identity()
    assert same(filled, net)
    assert "left out of" in caplog.text
    assert "fc.bias, fc.weight" in caplog.text
    assert normalised_as(Settings(), initial) == Settings()
    assert "does not say how its network was fed" in caplog.text


def test_a_partial_file_changes_nothing(tmp_path):
    tensors = build_backbone("resnet18").state_dict()
    del tensors["layer4.1.bn2.bias"]
    tensors["layer9.weight"] = torch.zeros(1)
    tensors["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    torch.save(tensors, tmp_path / "x.pth")
    net = build_backbone("resnet18")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(InputError, match=r"1 missing .layer4\.1.*1 unexpected .layer9.*1 of another shape .conv1"):
        read_initial(tmp_path / "x.pth").fill(net)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a file, found nothing"),
        (b"", "cannot be read safely"),
        (b"not a checkpoint at all", "cannot be read safely"),
        ({"epoch": 3, "state_dict": {}}, "found a dict with epoch, state_dict"),
        ([1, 2], "found a list"),
        ({"conv1.weight": Evil()}, "cannot be read safely"),
    ],
)
def test_other_files_are_one_line(tmp_path, capsys, content, message):
    path = tmp_path / "x.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(InputError, match=message) as error:
        read_initial(path)
    assert "\n" not in str(error.value)
    assert "executed" not in capsys.readouterr().out


def test_a_damaged_safetensors_file_is_one_line(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"\x05\0\0\0\0\0\0\0junk!")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        read_initial(tmp_path / "x.safetensors")


@pytest.mark.parametrize("odd", [{"channel_order": "BGR"}, {"stride_in_1x1": True}])
def test_a_network_fed_otherwise_is_refused(tmp_path, odd):
    metadata = {"arch": "resnet18", "stem": "imagenet", "mean": MEAN, "std": STD, "channel_order": "RGB", **odd}
    save_backbone(tmp_path / "x.safetensors", build_backbone("resnet18"), metadata)
    with pytest.raises(InputError, match="expected a network fed RGB"):
        read_initial(tmp_path / "x.safetensors")
