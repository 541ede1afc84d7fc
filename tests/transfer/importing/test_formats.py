import pytest

from tests.cases import tool_folders
from tests.cases.tool_folders import TOOLS, write_images
from transfer.errors import InputError
from transfer.importing.formats import READERS, recognise


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tools_folder_is_recognised(tmp_path, tool):
    make, own, *_ = TOOLS[tool]
    assert recognise(make(tmp_path)) == own
    assert own in READERS


def test_labels_of_two_tools_need_a_word(tmp_path):
    tool_folders.labelme(tmp_path / "1")
    tool_folders.voc_beside(tmp_path / "2")
    with pytest.raises(InputError, match="expected labels of one tool, found labelme and voc; say which to read"):
        recognise(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: f.rmdir(), "expected a folder, found nothing; check its name"),
        (lambda f: None, "found neither labels nor images; give the folder that holds both"),
        (write_images, "found 3 images without labels; for a folder of masks"),
        (lambda f: tool_folders.yolo(f).joinpath("data.yaml").unlink(), "YOLO needs the class names in data.yaml"),
        (
            lambda f: (f / "annotations.xml").write_text("<annotations>"),
            "found CVAT's own XML; export the task as COCO 1.0",
        ),
    ],
)
def test_no_known_folder_is_one_line_with_what_to_do(tmp_path, make, message):
    (tmp_path / "source").mkdir()
    make(tmp_path / "source")
    with pytest.raises(InputError, match=message):
        recognise(tmp_path / "source")


def test_files_are_no_folders(tmp_path):
    for name, message in (("a.zip", "found an archive; unpack it"), ("a.json", "found a file; give the folder")):
        (tmp_path / name).write_text("{}")
        with pytest.raises(InputError, match=message):
            recognise(tmp_path / name)
