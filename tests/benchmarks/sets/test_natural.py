import json

import cv2
import numpy as np
import pytest

from benchmarks.sets import natural, nuclei

VOC = "<annotation><filename>{filename}</filename><size><width>0</width><height>0</height></size>{objects}</annotation>"
OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def picture(seed, size=(60, 80)):
    """Broad strokes in colours of their own: no two seeds are alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (5, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def write(root, images, annotations, name, pixels, *objects, filename="elsewhere.png"):
    for folder in (images, annotations):
        (root / folder).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / images / f"{name}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 98])
    text = VOC.format(filename=filename, objects="".join(OBJECT.format(*one) for one in objects))
    (root / annotations / f"{name}.xml").write_text(text)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Ten images of each of fruit's two classes, raccoon and kangaroo, four of them copies of others."""
    root = tmp_path_factory.mktemp("source")
    for k in range(10):
        folder = "fruit/train" if k < 8 else "fruit/test"
        write(root, folder, folder, f"apple_{k}", picture(k), ("apple", 1, 1, 80, 60), ("orange", 5, 6, 20, 30))
        write(root, folder, folder, f"banana_{k}", picture(50 + k), ("banana", 5, 6, 20, 30))
        write(root, "raccoon/images", "raccoon/annotations", f"raccoon-{k}", picture(100 + k), ("raccoon", 2, 2, 9, 9))
        write(root, "kangaroo/images", "kangaroo/annots", f"0{k}", picture(200 + k), ("kangaroo", 2, 2, 9, 9))
    pair = ("raccoon/images", "raccoon/annotations")
    write(root, *pair, "raccoon-same", picture(100), ("raccoon", 2, 2, 9, 9))
    larger = cv2.resize(picture(101), (160, 120), interpolation=cv2.INTER_LINEAR)
    write(root, *pair, "raccoon-larger", larger, ("raccoon", 2, 2, 9, 9))
    write(root, *pair, "raccoon-mirrored", picture(102)[:, ::-1], ("raccoon", 2, 2, 9, 9))
    write(root, *pair, "raccoon-paler", picture(103) // 2 + 100, ("raccoon", 2, 2, 9, 9))
    return root


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "set"
    natural.make(source, out, seed=0)
    return out


def names(file):
    return [image["file_name"] for image in json.loads(file.read_text())["images"]]


def test_boxes_count_from_0_and_sizes_are_those_of_the_images(made):
    content = json.loads((made / "all.json").read_text())
    image = next(i for i in content["images"] if i["file_name"] == "apple_0.jpg")
    assert (image["width"], image["height"]) == (80, 60)
    boxes = {a["category_id"]: a["bbox"] for a in content["annotations"] if a["image_id"] == image["id"]}
    assert boxes == {1: [0, 0, 80, 60], 4: [4, 5, 16, 25]}
    assert [c["name"] for c in content["categories"]] == ["apple", "banana", "kangaroo", "orange", "raccoon"]
    assert [a["id"] for a in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))


def test_every_image_is_val_once_and_never_in_its_own_train(made):
    everything = names(made / "all.json")
    vals = [names(made / f"fold_{k}" / "val.json") for k in range(5)]
    assert sorted(name for val in vals for name in val) == sorted(everything)
    for k, val in enumerate(vals):
        assert sorted([*val, *names(made / f"fold_{k}" / "train.json")]) == sorted(everything)
        for start in ("apple", "banana", "0"):
            assert sum(name.startswith(start) for name in val) == 2  # of ten of a class


@pytest.mark.parametrize("other", ["same", "larger", "mirrored", "paler"])
def test_copies_of_a_picture_stay_together(made, other):
    first = {"same": 0, "larger": 1, "mirrored": 2, "paler": 3}[other]
    pair = {f"raccoon-{other}.jpg", f"raccoon-{first}.jpg"}
    assert sum(len(pair & set(names(made / f"fold_{k}" / "val.json"))) == 2 for k in range(5)) == 1
    about = json.loads((made / "split.json").read_text())
    assert sorted(map(len, about["groups"])) == [2] * 4
    assert about["nearest_pair_across"]["distance"] > 1


def test_colours_alone_can_join_as_they_do_frames_of_one_experiment():
    def photograph(angle, small):
        descriptor = np.zeros(112)
        descriptor[:2] = np.cos(angle), np.sin(angle)
        return natural.Photograph(None, (8, 8), descriptor, np.eye(256)[small], ())

    close = 0.9 * nuclei.LIMIT
    apart = natural.distances([photograph(a, k) for k, a in enumerate((0, close, 2 * close, 2))])
    assert natural.group(apart) == [[0, 1, 2], [3]]


def test_the_files_are_copied_unchanged(source, made):
    for name in ("apple_9.jpg", "raccoon-0.jpg"):
        (original,) = source.rglob(name)
        assert (made / "images" / name).read_bytes() == original.read_bytes()


def test_a_truncated_image_is_left_out_and_named(source, tmp_path, capsys):
    broken = source / "kangaroo" / "images" / "0cut.jpg"
    write(source, "kangaroo/images", "kangaroo/annots", "0cut", picture(300), ("kangaroo", 2, 2, 9, 9))
    broken.write_bytes(broken.read_bytes()[:-200])
    try:
        assert natural.main(["--source", str(source), "--out", str(tmp_path / "out")]) == 0
    finally:
        broken.unlink()
        (source / "kangaroo" / "annots" / "0cut.xml").unlink()
    assert json.loads((tmp_path / "out" / "split.json").read_text())["left_out"] == ["kangaroo/images/0cut.jpg"]
    assert "0cut.jpg" not in names(tmp_path / "out" / "all.json")
    assert "'images': 44" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation/>", "expected at least one object, found none"),
        ("<annotation>", "expected a VOC file with boxes"),
        (VOC.format(filename="", objects=OBJECT.format("dog", 1, 1, 5, 5)), "found 'dog' at"),
        (VOC.format(filename="", objects=OBJECT.format("apple", 0, 1, 5, 5)), "found 'apple' at [0.0, 1.0, 5.0, 5.0]"),
        (VOC.format(filename="", objects=OBJECT.format("apple", 1, 1, 81, 5)), "inside 80x60"),
        (VOC.format(filename="", objects=OBJECT.format("apple", "x", 1, 8, 5)), "expected a VOC file with boxes"),
    ],
)
def test_an_odd_annotation_is_one_line(tmp_path, capsys, text, message):
    write(tmp_path, "fruit/train", "fruit/train", "apple_1", picture(1), ("apple", 1, 1, 5, 5))
    (tmp_path / "fruit" / "train" / "apple_1.xml").write_text(text)
    assert natural.main(["--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert "apple_1.xml" in line


def test_missing_parts_are_one_line(tmp_path, capsys):
    write(tmp_path, "fruit/train", "fruit/train", "apple_1", picture(1), ("apple", 1, 1, 5, 5))
    assert natural.main(["--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "expected VOC files in fruit/test, found none" in capsys.readouterr().err
    (tmp_path / "fruit" / "train" / "apple_1.jpg").unlink()
    assert natural.main(["--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "expected apple_1.jpg for it, found none" in capsys.readouterr().err
