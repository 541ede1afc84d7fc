import hashlib

from transfer.records.record import Split
from transfer.records.unchanged import why_changed


def test_the_same_bytes_another_file_and_no_file(tmp_path):
    file = tmp_path / "ann.json"
    val = Split("images", str(file), hashlib.sha256(b"{}").hexdigest(), 1, 1, ["a"])
    assert why_changed(val) == f"the val annotations are not at `{file}` any more"
    file.write_bytes(b"{}")
    assert why_changed(val) == ""
    file.write_bytes(b"{} ")
    assert why_changed(val) == f"`{file}` is not the file that the runs were measured on any more"
