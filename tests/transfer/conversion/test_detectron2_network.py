import pytest
import torch

from tests.cases.checkpoints import backbone, network, save_own
from transfer.checkpoints.checkpoint import read
from transfer.conversion import convert, proof_images
from transfer.conversion.detectron2_network import run_detectron2
from transfer.detectors.loaded import Loaded
from transfer.errors import CheckpointError


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A converted file, its metadata and what it holds."""
    folder = tmp_path_factory.mktemp("d2")
    source = read(save_own(folder / "backbone.safetensors", backbone(network())))
    convert.convert(source, "detectron2", folder / "d.pth")
    return folder / "d.pth", source.metadata, torch.load(folder / "d.pth", weights_only=True)["model"]


def test_both_heads_load_everything_and_compute_the_same_res5(converted):
    path, metadata, state = converted
    fpn, c4 = (run_detectron2(path, metadata, state, proof_images.synthetic(), head) for head in ("fpn", "c4"))
    assert fpn.tensors == c4.tensors == Loaded(100)
    assert list(fpn.features) == ["stem", "res2", "res3", "res4", "res5"]
    assert list(c4.features) == ["stem", "res2", "res3", "res4", "res5 (RoI head)"]
    torch.testing.assert_close(fpn.features["res5"], c4.features["res5 (RoI head)"])


def test_what_the_loader_leaves_out_is_named_and_nothing_is_run(converted, tmp_path):
    path, metadata, state = converted
    content = torch.load(path, weights_only=True)
    del content["model"]["res3.0.conv1.weight"]
    torch.save(content, tmp_path / "d.pth")
    run = run_detectron2(tmp_path / "d.pth", metadata, state, proof_images.synthetic(), "fpn")
    assert run.features == {}
    assert run.tensors.missing == ("backbone.bottom_up.res3.0.conv1.weight",)


def test_the_yaml_beside_the_file_decides_how_the_network_is_fed(converted, tmp_path):
    path, metadata, state = converted
    pixels = proof_images.synthetic()
    right = run_detectron2(path, metadata, state, pixels, "fpn").features["stem"]
    (tmp_path / "d.pth").write_bytes(path.read_bytes())
    turned = path.with_suffix(".yaml").read_text().replace("FORMAT: RGB", "FORMAT: BGR")
    (tmp_path / "d.yaml").write_text(turned)
    wrong = run_detectron2(tmp_path / "d.pth", metadata, state, pixels, "fpn").features["stem"]
    assert not torch.allclose(wrong, right, rtol=0.1)
    (tmp_path / "d.yaml").write_text("NO_SUCH_KEY: 1\n")
    with pytest.raises(CheckpointError, match="is no overlay: expected Detectron2 config keys"):
        run_detectron2(tmp_path / "d.pth", metadata, state, pixels, "fpn")
