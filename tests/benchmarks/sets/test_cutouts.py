import hashlib
import io
import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmarks.sets import cutouts
from benchmarks.sets.cutouts import Item, build, items, main, pixel_sum
from benchmarks.sets.packages import listed
from tests.cases.debian_packages import needs_dpkg, shapes
from transfer.errors import InputError

LICENCES = {"GPL-2+", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0"}
STAMP = Item("shapes", "usr/share/shapes/red.png", "train", "chip", "red.png", "", "", "CC0-1.0", "")
PHOTO = Item("shapes", "usr/share/shapes/wall.png", "val", "background", "wall.jpg", "", "", "CC0-1.0", "")


def test_the_manifest_has_278_objects_and_100_backgrounds_each_once():
    lines = items()
    kinds = Counter((item.split, item.category) for item in lines)
    assert sum(kinds.values()) == 378
    assert (kinds["train", "background"], kinds["val", "background"]) == (77, 23)
    categories = {"background", "animal", "food", "household", "plant", "vehicle"}
    assert set(kinds) == {(split, category) for split in ("train", "val") for category in categories}
    for once in ("output", "name", "sha256", "pixels"):
        assert max(Counter(getattr(item, once) for item in lines).values()) == 1
    assert max(Counter((item.package, item.path) for item in lines).values()) == 1


def test_the_manifest_s_lines_are_whole():
    known = {package.name for package in listed()}
    assert {item.package for item in items()} == known
    for item in items():
        assert re.fullmatch("[0-9a-f]{64}", item.sha256)
        assert re.fullmatch("[0-9a-f]{16}", item.pixels)
        assert item.licence in LICENCES
        assert item.path.startswith("usr/share/")
        if item.category == "background":
            assert re.fullmatch(r"[0-9a-f]{10}\.jpg", item.name)
        else:
            assert item.name == item.path.removeprefix("usr/share/tuxpaint/stamps/").replace("/", "_")
    for package in listed():
        assert re.fullmatch("[0-9a-f]{64}", package.sha256)


def test_apart_leaves_out_what_has_a_twin_in_train():
    twins = [item for item in items() if item.twin]
    train = {item.output: item for item in items() if item.split == "train"}
    assert [item.split for item in twins] == ["val"] * 9
    assert all(train[item.twin].category == item.category for item in twins)
    assert set(items()) - set(items(apart=True)) == set(twins)
    plain = {s: {i.name.replace("_mirror", "") for i in items(apart=True) if i.split == s} for s in ("train", "val")}
    assert not plain["train"] & plain["val"]


def test_a_stamp_is_cut_to_what_is_opaque_and_reduced():
    pixels = np.zeros((300, 500, 4), dtype=np.uint8)
    pixels[20:260, 40:440] = (200, 10, 10, 127)  # not counted
    pixels[30:250, 50:450, 3] = 128
    image = Image.open(io.BytesIO(cutouts.cutout(Image.fromarray(pixels))))
    assert (image.mode, image.size) == ("RGBA", (160, 88))
    assert np.asarray(image)[..., 3].min() == 128
    small = Image.open(io.BytesIO(cutouts.cutout(Image.fromarray(pixels[30:60, 50:100]))))
    np.testing.assert_array_equal(np.asarray(small), pixels[30:60, 50:100])


def test_a_photograph_is_reduced_and_never_enlarged():
    sizes = {(1000, 500): (640, 320), (400, 1280): (200, 640), (80, 60): (80, 60)}
    for before, after in sizes.items():
        image = Image.open(io.BytesIO(cutouts.background(Image.new("RGBA", before, (90, 80, 70, 255)))))
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", after)


def test_the_pixel_sum_is_of_pixels_not_of_their_compression():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 4)).astype(np.uint8))
    files = [io.BytesIO() for _ in range(3)]
    image.save(files[0], "PNG", compress_level=0)
    image.save(files[1], "PNG", compress_level=9)
    image.putpixel((0, 0), (1, 2, 3, 4))
    image.save(files[2], "PNG")
    sums = [pixel_sum(file.getvalue()) for file in files]
    assert files[0].getvalue() != files[1].getvalue()
    assert sums[0] == sums[1] != sums[2]


def known(folder, item):
    """The line of the manifest that describes a file as it was made in ``folder``."""
    content = (folder / item.output).read_bytes()
    return replace(item, sha256=hashlib.sha256(content).hexdigest(), pixels=pixel_sum(content))


@needs_dpkg
def test_a_package_becomes_cutouts_backgrounds_and_licences(debs, tmp_path):
    content = build(tmp_path / "out", debs, True, [STAMP, PHOTO], [shapes(debs)])
    with Image.open(tmp_path / "out" / STAMP.output) as stamp, Image.open(tmp_path / "out" / PHOTO.output) as photo:
        assert (stamp.size, photo.size) == ((160, 107), (640, 320))
        assert (np.asarray(stamp) == (200, 10, 10, 255)).all()
    assert (tmp_path / "out/licences/shapes.txt").read_text() == "License: CC0-1.0\n"
    assert content == json.loads((tmp_path / "out/cutouts.json").read_text())
    assert content["counts"] == {"files": 2, "different": 2}
    assert content["different"] == [STAMP.output, PHOTO.output]
    assert content["packages"] == {"shapes": "1.0"}


@needs_dpkg
def test_files_are_compared_by_bytes_then_by_pixels(debs, tmp_path):
    build(tmp_path / "first", debs, True, [STAMP, PHOTO], [shapes(debs)])
    stamp, photo = (known(tmp_path / "first", item) for item in (STAMP, PHOTO))
    content = build(tmp_path / "out", debs, False, [stamp, replace(photo, sha256="0" * 64)], [shapes(debs)])
    assert content["counts"] == {"files": 2, "identical": 1, "same pixels": 1}
    assert content["different"] == []


@needs_dpkg
def test_other_pixels_are_refused_and_nothing_is_left(debs, tmp_path):
    with pytest.raises(InputError, match=r"1 of 1 files, such as cutouts/train/chip/red.png: .* use Pillow 13"):
        build(tmp_path / "out", debs, False, [STAMP], [shapes(debs)])
    with pytest.raises(InputError, match=r"shapes: expected an image at usr/share/none.png, found .*No such file"):
        build(tmp_path / "out", debs, True, [replace(STAMP, path="usr/share/none.png")], [shapes(debs)])
    assert not list(tmp_path.iterdir())


@needs_dpkg
@pytest.mark.usefixtures("apt_get")
def test_packages_are_fetched(debs, tmp_path):
    content = build(tmp_path / "out", None, True, [STAMP], [shapes(debs)])
    assert content["counts"] == {"files": 1, "different": 1}


def test_the_command_says_one_line_and_leaves_nothing(tmp_path, capsys):
    (tmp_path / "debs").mkdir()
    assert main(["--out", str(tmp_path / "out"), "--packages", str(tmp_path / "debs")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "expected gnome-backgrounds 43.1-1 as .deb file, found none" in error
    assert [path.name for path in tmp_path.iterdir()] == ["debs"]
