from pretrain.training.changes import source_fingerprint


def test_the_fingerprint_sees_every_module_of_every_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.py").write_text("x = 1")
    deep = tmp_path / "folder" / "b.py"
    deep.write_text("y = 1")
    seen = {source_fingerprint(tmp_path)}
    deep.write_text("y = 2")
    seen.add(source_fingerprint(tmp_path))
    deep.rename(tmp_path / "b.py")
    seen.add(source_fingerprint(tmp_path))
    (tmp_path / "a.py").unlink()
    seen.add(source_fingerprint(tmp_path))
    assert len(seen) == 4


def test_the_fingerprint_of_the_package_is_that_of_its_folder():
    from pathlib import Path

    import pretrain

    assert source_fingerprint() == source_fingerprint(Path(pretrain.__file__).parent)
