from pretrain.reporting.mask_snapshots import FILE, read_snapshots


def test_the_mask_is_kept_at_start_middle_and_end(finished):
    snapshots = read_snapshots(finished / FILE)
    assert list(snapshots) == [0, 1, 2, 4]
    assert set(snapshots[0]) == {0.5}
    assert len(snapshots[4]) == 512
    assert len(set(snapshots[4])) > 100
    assert snapshots[2] != snapshots[4]


def test_a_run_without_a_mask_has_none(tmp_path):
    assert read_snapshots(tmp_path / FILE) == {}


def test_iterations_are_in_their_order_as_numbers(tmp_path):
    (tmp_path / FILE).write_text('{"0": [0.5], "9": [0.4], "10": [0.3]}')
    assert list(read_snapshots(tmp_path / FILE)) == [0, 9, 10]
