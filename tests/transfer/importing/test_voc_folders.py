import pytest
from PIL import Image

from tests.cases import tool_folders
from tests.cases.tool_folders import voc_xml, write_images
from transfer.errors import InputError
from transfer.importing import voc_folders
from transfer.importing.objects import Choices
from transfer.importing.tally import Tally

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def read(folder, **choices):
    tally = Tally()
    return voc_folders.read(folder, Choices(**choices), tally), tally


def beside(folder, text, image="a.png"):
    write_images(folder, ["a.png"])
    (folder / "a.png").rename(folder / image)
    (folder / "a.xml").write_text(text)
    return folder


def test_boxes_count_pixels_from_one_and_both_ends(tmp_path):
    data, _ = read(beside(tmp_path, voc_xml("a.png", [("cat", 4, 6, 20, 16)])))
    assert data.images[0].objects[0].box == (4, 6, 20, 16)
    assert "<xmin>5</xmin><ymin>7</ymin><xmax>24</xmax><ymax>22</ymax>" in (tmp_path / "a.xml").read_text()


def test_a_size_that_is_missing_or_zero_is_the_files(tmp_path):
    for k, text in enumerate((voc_xml("a.png", size=(0, 0)), voc_xml("a.png").replace("<width>64</width>", ""))):
        data, tally = read(beside(tmp_path / str(k), text))
        assert (data.images[0].width, data.images[0].height) == tool_folders.SIZE
        assert tally.counts["size"] == 1


def test_the_image_may_have_another_name_than_the_tag_says_or_than_the_file(tmp_path):
    data, _ = read(beside(tmp_path / "1", voc_xml("a.png", file_name="C:\\photos\\a.jpg")))
    assert data.images[0].file.name == "a.png"
    data, _ = read(beside(tmp_path / "2", voc_xml("a.png", file_name="photos\\first one.png"), image="first one.png"))
    assert data.images[0].file.name == "first one.png"


def test_images_and_labels_in_folders_of_their_own(tmp_path):
    write_images(tmp_path / "images")
    (tmp_path / "annots").mkdir()
    for name in tool_folders.SCENES:
        (tmp_path / "annots" / name.replace(".png", ".xml")).write_text(voc_xml(name))
    data, _ = read(tmp_path)
    assert [len(image.objects) for image in data.images] == [2, 1, 0]
    assert data.categories == ["cat", "dog"]


def test_masks_count_where_there_are_some_and_the_images_without_are_said(tmp_path):
    folder = tool_folders.voc(tmp_path, masks=True)
    (folder / "VOCdevkit/VOC2012/SegmentationObject/b.png").unlink()
    data, tally = read(folder)
    assert [image.file.name for image in data.images] == ["a.png", "c.png"]
    assert tally.counts["no mask file"] == 1
    (folder / "VOCdevkit/VOC2012/ImageSets/Main").mkdir()
    (folder / "VOCdevkit/VOC2012/ImageSets/Main/trainval.txt").write_text("a\nb\n")
    data, tally = read(folder, masks=False)
    assert [image.file.name for image in data.images] == ["a.png", "b.png"]
    assert [image.split for image in data.images] == [None, None]
    assert tally.counts["in no list"] == 1


def test_trainval_with_test_is_train(tmp_path):
    folder = tool_folders.voc(tmp_path)
    lists = folder / "VOCdevkit/VOC2012/ImageSets/Main"
    (lists / "train.txt").unlink()
    (lists / "val.txt").unlink()
    (lists / "trainval.txt").write_text("a\nb\n")
    (lists / "test.txt").write_text("c\n")
    assert [image.split for image in read(folder)[0].images] == ["train", "train", "test"]


def test_difficult_is_kept(tmp_path):
    folder = beside(tmp_path, voc_xml("a.png").replace("<difficult>0", "<difficult>1"))
    assert [drawn.difficult for drawn in read(folder)[0].images[0].objects] == [True, True]


def _grey(folder):
    Image.new("L", (9, 9)).save(folder / "VOCdevkit/VOC2012/SegmentationObject/a.png")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "VOCdevkit/VOC2012/JPEGImages/a.png").unlink(), "1 missing images .first: a.png of"),
        (_grey, "expected numbers of objects, 64x48, found uint8 .9, 9."),
        (lambda f: (f / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").write_text("a\n"), "found a in two"),
        (lambda f: (f / "VOCdevkit/VOC2012/Annotations/a.xml").write_text("<annotation>"), "a VOC annotation file"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, damage, message):
    folder = tool_folders.voc(tmp_path, masks=True)
    damage(folder)
    with pytest.raises(InputError, match=message) as refused:
        read(folder)
    assert "\n" not in str(refused.value)


def test_is_voc(tmp_path):
    for text, own in ((voc_xml("a.png"), True), ("<annotations></annotations>", False), ("<svg/>", False)):
        (tmp_path / "x.xml").write_text(text)
        assert voc_folders.is_voc(tmp_path / "x.xml") == own
    assert not voc_folders.is_voc(tmp_path / "none.xml")
