"""One process of a run: what a failed start leaves, and what tells whether two runs are of one protocol."""

from detectron2.config import get_cfg

from tests.cases.finetuning import refused, run, words
from transfer.errors import InputError
from transfer.finetuning import batches
from transfer.finetuning import run as one_process
from transfer.records import record_file


def test_a_start_that_fails_leaves_its_folder_free(data, tmp_path, capsys, monkeypatch):
    def broken(cfg, part):
        raise InputError("one.png: expected an image")

    with monkeypatch.context() as patch:
        patch.setattr(batches, "train_set", broken)
        assert "one.png: expected an image" in refused(capsys, *words(data, tmp_path / "run"))
    short = ["SOLVER.MAX_ITER", "1", "SOLVER.STEPS", "()"]
    run(*words(data, tmp_path / "run"), *short)  # the same folder, without --resume
    assert record_file.read(tmp_path / "run").schedule.max_iter == 1


def test_weights_seed_folder_and_machine_do_not_change_the_protocols_hash():
    cfg, other = get_cfg(), get_cfg()
    other.merge_from_list(["MODEL.WEIGHTS", "a.pth", "SEED", 5, "OUTPUT_DIR", "b", "MODEL.DEVICE", "cpu"])
    other.merge_from_list(["DATALOADER.NUM_WORKERS", 7, "VIS_PERIOD", 3])
    assert one_process._config_sha256(cfg) == one_process._config_sha256(other)
    assert other.SEED == 5  # the config itself stays
    other.SOLVER.BASE_LR = 0.5
    assert one_process._config_sha256(cfg) != one_process._config_sha256(other)
