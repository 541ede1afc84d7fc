import pytest

from transfer.detectors import config as detector_config
from transfer.errors import InputError
from transfer.finetuning import schedule


@pytest.fixture
def cfg():
    return detector_config.read_config(detector_config.find_config("coco_mask_rcnn_R_50_FPN_1x"))


def test_an_eighth_of_the_batch_takes_an_eighth_of_the_rate_and_eight_times_the_iterations(cfg):
    cfg.SOLVER.IMS_PER_BATCH = 2
    (line,) = schedule.scale_with_batch(cfg, 16, ())
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER) == (0.0025, 720000)
    assert (cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS) == ((480000, 640000), 8000)
    assert (cfg.SOLVER.CHECKPOINT_PERIOD, cfg.TEST.EVAL_PERIOD) == (40000, 0)
    assert "90000 x 16 images, LR 0.02, steps 60000, 80000, warm-up 1000 becomes 720000 x 2 images, LR 0.0025" in line


def test_the_same_batch_changes_nothing(cfg):
    before = cfg.clone()
    assert "nothing to scale" in schedule.scale_with_batch(cfg, 16, ())[0]
    assert detector_config.differences(before, cfg) == []


def test_shorter(cfg):
    schedule.shorten(cfg, 0.1, ("SOLVER.CHECKPOINT_PERIOD",))
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS) == (9000, (6000, 8000), 1000)
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.CHECKPOINT_PERIOD) == (0.02, 5000)  # the second was given


@pytest.mark.parametrize("key", ["SOLVER.BASE_LR", "SOLVER.MAX_ITER", "SOLVER.STEPS"])
def test_a_key_that_would_be_scaled_is_not_taken_as_well(cfg, key):
    cfg.SOLVER.IMS_PER_BATCH = 2
    with pytest.raises(InputError, match=f"--lr-scale batch: expected it to set {key}"):
        schedule.scale_with_batch(cfg, 16, [key])
