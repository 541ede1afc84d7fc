from pretrain.mask_file import FILE, read_snapshots


def test_the_mask_is_kept_at_start_middle_and_end(finished):
    snapshots = read_snapshots(finished / FILE)
    assert list(snapshots) == [0, 1, 2, 4]
    assert set(snapshots[0]) == {0.5}
    assert len(snapshots[4]) == 512
    assert len(set(snapshots[4])) > 100
    assert snapshots[2] != snapshots[4]
