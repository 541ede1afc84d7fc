import pytest

from transfer.data.voc_xml import VocImage, VocObject, read_xml
from transfer.errors import InputError

FILE = (
    "<annotation><filename> photo 1.jpg </filename><size><width>64</width><height>48</height></size>"
    "<object><name>cross</name>"
    "<bndbox><xmin>1</xmin><ymin>2.5</ymin><xmax>9</xmax><ymax>11</ymax></bndbox></object></annotation>"
)


def test_what_an_annotation_file_says(tmp_path):
    (tmp_path / "0.xml").write_text(FILE)
    cross = VocObject("cross", (1.0, 2.5, 9.0, 11.0), False)
    assert read_xml(tmp_path / "0.xml") == VocImage(64, 48, "photo 1.jpg", (cross,))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<width>64</width>", "<width>64.0</width>"),
        ("<width>64</width>", "<width> 64 </width>"),
        ("<annotation>", '<?xml version="1.0" encoding="UTF-8"?>\n<annotation>'),
        ("<name>cross</name>", "<name>cross</name><difficult> </difficult>"),
        ("<name>cross</name>", "<name>\n cross </name><difficult>0</difficult><pose>Left</pose>"),
    ],
)
def test_other_ways_to_write_the_same(tmp_path, old, new):
    (tmp_path / "0.xml").write_text(FILE)
    (tmp_path / "1.xml").write_text(FILE.replace(old, new))
    assert read_xml(tmp_path / "1.xml") == read_xml(tmp_path / "0.xml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<width>64</width>", "<width>64.5</width>", '<width> "64.5", which is no whole number'),
        ("<width>64</width>", "<width>wide</width>", '<width> "wide", which is no number'),
        ("<width>64</width>", "", "no <width>"),
        ("<width>64</width>", "<width>0</width>", '<width> "0", which is no whole number from 1 on'),
        ("<width>64</width>", "<width>1e12</width>", '<width> "1e12", which is no place in an image'),
        ("<xmin>1</xmin>", "<xmin>nan</xmin>", '<xmin> "nan", which is no place in an image'),
        ("<xmin>1</xmin>", "<xmin>-inf</xmin>", '<xmin> "-inf", which is no place in an image'),
        ("<xmin>1</xmin>", "<xmin/>", "no <xmin>"),
        ("<bndbox>", "<box>", "expected a VOC annotation file"),
        ("<name>cross</name>", "<name>cr\noss</name>", "which is not one line"),
        ("<name>cross</name>", "<name>cross</name><difficult>yes</difficult>", '<difficult> "yes"'),
        ("<annotation>", "<annotation", "expected a VOC annotation file"),
        ("<annotation>", '<?xml version="1.0" encoding="no-such-code"?><annotation>', "unknown encoding"),
        (FILE, "<annotation/>", "no <size>"),
        (FILE, "", "no element found"),
    ],
)
def test_what_a_detector_cannot_use_is_one_line(tmp_path, old, new, message):
    (tmp_path / "0.xml").write_text(FILE.replace(old, new))
    with pytest.raises(InputError) as error:
        read_xml(tmp_path / "0.xml")
    assert message in str(error.value)
    assert str(tmp_path / "0.xml") in str(error.value)
    assert "\n" not in str(error.value)


def test_entities_that_multiply_are_refused_soon(tmp_path):
    layers = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "ha">{layers}]>' + FILE.replace("cross", "&a11;")
    (tmp_path / "0.xml").write_text(bomb)
    with pytest.raises(InputError, match="expected a VOC annotation file"):
        read_xml(tmp_path / "0.xml")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="expected the image's annotations, found nothing"):
        read_xml(tmp_path / "0.xml")
