from pathlib import Path

from transfer.importing.objects import LabelledImage


def test_the_bytes_of_an_image_are_its_files_or_those_inside(tmp_path):
    (tmp_path / "a.png").write_bytes(b"1")
    assert LabelledImage(tmp_path / "a.png", Path("a.png"), 1, 1).encoded() == b"1"
    assert LabelledImage(tmp_path / "a.json", Path("a.png"), 1, 1, embedded=lambda: b"2").encoded() == b"2"
