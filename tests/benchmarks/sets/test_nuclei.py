import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from benchmarks.sets import nuclei


def write_id(root, name, background, size=(40, 48), objects=((5, 5, 8, 9), (20, 30, 6, 6))):
    """An image with bright rectangles (y, x, height, width), and one mask each."""
    folder = root / name
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    image = np.full((*size, 3), background, np.uint8)
    for k, (y, x, h, w) in enumerate(objects):
        mask = np.zeros(size, np.uint8)
        mask[y : y + h, x : x + w] = 255
        image[mask > 0] = 220
        cv2.imwrite(str(folder / "masks" / f"{k}.png"), mask)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), image)
    return folder


@pytest.fixture
def source(tmp_path):
    for experiment, background in enumerate((10, 60, 110, 160, 200)):
        for frame in range(4):
            write_id(tmp_path / "source", f"e{experiment}f{frame}", background)
    return tmp_path / "source"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools under NumPy 2
def test_the_masks_of_the_set_are_those_of_the_source(source, tmp_path):
    counts = nuclei.make(source, tmp_path / "out", side=32, seed=0)
    assert counts["train"] + counts["val"] + counts["test"] == 20
    content = json.loads((tmp_path / "out" / "train.json").read_text())
    assert [image["id"] for image in content["images"]] == list(range(1, counts["train"] + 1))
    first = [a for a in content["annotations"] if a["image_id"] == 1]
    assert sorted(a["area"] for a in first) == [36, 72]
    assert sorted(a["bbox"] for a in first) == [[5.0, 5.0, 9.0, 8.0], [30.0, 20.0, 6.0, 6.0]]
    decoded = sum(rle.decode(a["segmentation"]).astype(int) for a in first)
    assert decoded.sum() == 108
    assert decoded[5:13, 5:14].all()


def test_frames_of_one_experiment_stay_together(source, tmp_path):
    nuclei.make(source, tmp_path / "out", side=32, seed=0)
    experiments = {}
    for name in nuclei.SHARES:
        content = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        for image in content["images"]:
            experiments.setdefault(image["file_name"][:2], set()).add(name)
    assert set(map(len, experiments.values())) == {1}
    about = json.loads((tmp_path / "out" / "split.json").read_text())
    assert sorted(map(len, about["groups"])) == [4] * 5
    assert about["nearest_pair_across"]["distance"] > nuclei.LIMIT


def test_a_chain_of_near_pairs_is_one_group():
    def image(k):
        descriptor = np.zeros(112)
        descriptor[0], descriptor[1] = np.cos(k * 0.1), np.sin(k * 0.1)
        return nuclei.Nuclei(str(k), (8, 8), descriptor, ())

    assert nuclei.group([image(k) for k in (0, 1, 2, 9, 10)]) == [[0, 1, 2], [3, 4]]


def test_whole_groups_are_dealt_out_by_shares():
    groups = [list(range(6)), [6, 7], [8], [9]]
    parts = nuclei.deal(groups, nuclei.SHARES, seed=0)
    assert parts["train"] == [0, 1, 2, 3, 4, 5]
    assert sorted(parts["val"] + parts["test"]) == [6, 7, 8, 9]
    assert {len(parts["val"]), len(parts["test"])} == {2}


def test_tiles_cover_the_image_and_end_at_its_edges():
    image = np.arange(50 * 70, dtype=np.int64).reshape(50, 70)
    cut = nuclei.tiles(image, 32)
    assert {tile.shape for tile in cut} == {(32, 32)}
    assert set(np.concatenate([tile.ravel() for tile in cut])) == set(range(50 * 70))
    assert [tile.shape for tile in nuclei.tiles(image, 64)] == [(50, 70)]


def test_only_tiles_of_train_are_unlabelled(source, tmp_path):
    nuclei.make(source, tmp_path / "out", side=32, seed=0)
    train = {i["file_name"][:-4] for i in json.loads((tmp_path / "out" / "train.json").read_text())["images"]}
    names = {p.name.rpartition("_")[0] for p in (tmp_path / "out" / "unlabelled").iterdir()}
    assert names == train
    assert len({p.name.rpartition("_")[0] for p in (tmp_path / "out" / "transductive").iterdir()}) == 20


def test_a_mask_of_another_size_is_refused(source, tmp_path, capsys):
    cv2.imwrite(str(source / "e0f0" / "masks" / "0.png"), np.full((3, 3), 255, np.uint8))
    assert nuclei.main(["--source", str(source), "--out", str(tmp_path / "out")]) == 1
    assert "e0f0/masks/0.png: expected a mask of 48x40 with an object" in capsys.readouterr().err
