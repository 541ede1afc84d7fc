"""What a run will do: everything checked, nothing written."""

import pytest

from tests.cases.finetuning import SMALL, refused, run, words
from transfer.errors import InputError
from transfer.finetuning import plan
from transfer.finetuning.request import Request


def request(data, folder, *opts, **fields):
    return Request(
        SMALL, train=tuple(data[1:3]), val=tuple(data[4:6]), opts=("OUTPUT_DIR", str(folder), *opts), **fields
    )


def test_a_dry_run_checks_and_writes_nothing(data, tmp_path, capsys):
    run(*words(data, tmp_path / "run"), "--dry-run")
    shown = capsys.readouterr().out
    assert "dry run: everything that can be checked beforehand is right (8 iterations of 2 images" in shown
    assert "resume" not in shown
    assert not (tmp_path / "run").exists()
    assert "expected 2" in refused(capsys, *words(data, tmp_path / "run", "MODEL.ROI_HEADS.NUM_CLASSES", "7"))


def test_flags_and_overrides_reach_the_config(data, tmp_path):
    wanted = {"seed": 3, "freeze_backbone": True, "lr": 0.5, "precise_bn": False, "labels": "2", "name": "a"}
    made = plan.prepare(request(data, tmp_path / "run", "SOLVER.MAX_ITER", "7", "SOLVER.STEPS", "(5,)", **wanted))
    cfg = made.cfg
    assert (cfg.SEED, cfg.MODEL.BACKBONE.FREEZE_AT, cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER) == (3, 5, 0.5, 7)
    assert not cfg.TEST.PRECISE_BN.ENABLED
    assert (made.name, made.start, made.labels.count(6)) == ("a", None, 2)
    assert (made.train.n_images, made.val.n_images, cfg.MODEL.ROI_HEADS.NUM_CLASSES) == (6, 2, 2)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_seed_gets_one_and_keeps_it_when_resumed(data, tmp_path):
    first = plan.prepare(request(data, tmp_path / "run"))
    assert first.cfg.SEED >= 0
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text(first.cfg.dump())
    assert plan.prepare(request(data, tmp_path / "run", resume=True)).cfg.SEED == first.cfg.SEED
    with pytest.raises(InputError, match=r"--resume: expected the config that .* was started with, found another"):
        plan.prepare(request(data, tmp_path / "run", "SOLVER.MAX_ITER", "9", "SOLVER.STEPS", "(5,)", resume=True))


@pytest.mark.parametrize("name", plan.RUN_FILES)
def test_a_folder_with_any_file_of_another_run_is_refused(data, tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=f"expected a new folder, found another run .{name}."):
        plan.prepare(request(data, tmp_path))


def test_what_is_given_twice_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="expected either --seed or SEED, found both; leave one out"):
        plan.prepare(request(data, tmp_path / "run", "SEED", "3", seed=3))
