"""WebDataset shards, written and read back by the webdataset package itself."""

import gc
import io
import tarfile

import cv2
import numpy as np
import pytest
import webdataset

from pretrain.data.order import BatchOrder
from pretrain.data.shards import expand_shards
from pretrain.data.sources import open_source
from pretrain.data.two_views import TwoViews, collate
from pretrain.data.views import ViewSettings
from pretrain.errors import InputError


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Eleven samples of an image, a class and a mask in shards of four."""
    folder, rng = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)
    with webdataset.ShardWriter(str(folder / "train-%06d.tar"), maxcount=4, verbose=0) as writer:
        for k in range(11):
            image = cv2.imencode(".png", rng.integers(0, 255, (20, 30, 3), np.uint8))[1].tobytes()
            writer.write({"__key__": f"n{k:02d}/img_{k}", "png": image, "cls": str(k), "seg.png": b"mask"})
    return folder


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves files open
def test_the_images_are_those_that_webdataset_reads(shards):
    paths = sorted(map(str, shards.glob("*.tar")))
    theirs = [(s["__key__"], s["png"]) for s in webdataset.WebDataset(paths, shardshuffle=False, empty_check=False)]
    gc.collect()
    source = open_source([shards])
    assert len(source) == len(theirs) == 11
    assert [source.read(k) for k in range(11)] == [png for _, png in theirs]
    assert [source.name(k) for k in range(11)] == [f"{paths[k // 4]}/{key}.png" for k, (key, _) in enumerate(theirs)]
    assert source.shards == (4, 4, 3)


def test_a_folder_a_pattern_and_files_are_the_same_source(shards):
    pattern = shards / "train-{000000..000002}.tar"
    files = sorted(shards.glob("*.tar"))
    assert expand_shards(pattern) == files
    assert {open_source(data).fingerprint for data in ([shards], [pattern], files)} == {
        open_source([shards]).fingerprint
    }


def test_views_of_shards_do_not_depend_on_workers_or_where_training_starts(shards):
    from torch.utils.data import DataLoader

    source = open_source([shards])

    def batches(workers, start=0):
        order = BatchOrder(len(source), 3, 6, 0, source.shards)
        order.start = start
        views = TwoViews(source, ViewSettings(size=16), 0)
        loader = DataLoader(views, batch_sampler=order, num_workers=workers, collate_fn=collate)
        return [(batch["paths"], batch["views"].numpy()) for batch in loader]

    whole = batches(0)
    for start, other in ((0, batches(2)), (4, batches(0, 4))):
        for (paths, views), (paths_again, again) in zip(whole[start:], other, strict=True):
            assert paths == paths_again
            assert np.array_equal(views, again)


def test_a_folder_of_images_that_holds_a_tar_file_is_a_folder_of_images(shards, tmp_path):
    (tmp_path / "original.tar").write_bytes((shards / "train-000000.tar").read_bytes())
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((9, 9, 3), np.uint8))
    assert len(open_source([tmp_path])) == 1


def test_kinds_of_sources_do_not_mix(shards, tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(InputError, match="expected WebDataset shards alone, found"):
        open_source([shards, tmp_path])
    with pytest.raises(InputError, match=r"shards alone, found .*a\.json"):
        open_source([shards], tmp_path / "a.json")


def test_a_missing_shard_is_named(shards):
    with pytest.raises(InputError, match=r"expected 4 shards, found 1 of them missing .*000003\.tar"):
        open_source([shards / "train-{000000..000003}.tar"])


@pytest.mark.parametrize("damage", ["cut", "compressed", "garbage", "no image", "empty"])
def test_a_damaged_shard_is_one_line(shards, tmp_path, damage):
    content = (shards / "train-000000.tar").read_bytes()
    if damage == "no image":
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
        content = buffer.getvalue()
    elif damage == "compressed":
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO())
        content = buffer.getvalue()
    else:
        content = {"cut": content[:1500], "garbage": b"x" * 5000, "empty": b""}[damage]
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(InputError) as error:
        open_source([tmp_path / "a.tar"])
    assert "\n" not in str(error.value)
    assert "a.tar" in str(error.value)


def test_members_that_are_passed_over_are_counted_by_kind(tmp_path, caplog):
    image = cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    names = [
        "a/0.png",
        "a/0.jpg",
        "a/0.cls",
        "a/1.PNG",
        "a/1.cls",
        "a/2.v2.png",
        "a/._3.png",
        "__MACOSX/a/0.png",
        "README",
    ]
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(image)
            tar.addfile(member, io.BytesIO(image))
        folder = tarfile.TarInfo("a/b")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    with caplog.at_level("INFO", logger="pretrain"):
        source = open_source([tmp_path])
    assert [source.name(k).rsplit("/", 1)[-1] for k in range(len(source))] == ["0.png", "1.PNG"]
    line = next(r.getMessage() for r in caplog.records if "passed over" in r.getMessage())
    assert line.startswith("1 shards: 2 images; passed over 7 other members (")
    for kind in ("2 .cls", "2 hidden", "1 a sample's second image", "1 .v2.png", "1 without a suffix"):
        assert kind in line


def test_shards_of_images_alone_say_nothing(tmp_path, caplog):
    image = cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        member = tarfile.TarInfo("0.png")
        member.size = len(image)
        tar.addfile(member, io.BytesIO(image))
    with caplog.at_level("INFO", logger="pretrain"):
        open_source([tmp_path])
    assert "passed over" not in caplog.text
