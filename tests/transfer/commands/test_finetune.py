"""The command line of fine-tuning, end to end on tiny sets; everything runs on the CPU."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from detectron2.engine.train_loop import HookBase

from tests.cases.finetuning import MEAN, SMALL, TINY, refused, run
from transfer import train_net
from transfer.finetuning import outcome
from transfer.finetuning.trainer import Trainer
from transfer.records import record_file
from transfer.records.record import Counts, Schedule

pytestmark = pytest.mark.usefixtures("one_thread")
MEAN_255 = [127.5, 114.75, 102.0]
NORMALISATION = ["MODEL.PIXEL_MEAN", MEAN_255, "MODEL.PIXEL_STD", [63.75, 63.75, 63.75]]


@pytest.fixture(scope="module")
def finished(data, weights_file, tmp_path_factory):
    """One whole run from converted weights."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    run("--init", weights_file, "--seed", 3, *data, "OUTPUT_DIR", folder, *TINY)
    return folder


def test_the_record_of_a_run(finished, weights_file, data):
    record = record_file.read(finished)
    assert (record.name, record.init, record.seed) == ("first", "simclr", 3)
    assert (record.weights.loaded, record.weights.expected) == (100, 100)
    assert record.weights.file == str(weights_file)
    assert record.data.train.images == data[1]
    assert (record.data.train.n_images, record.data.val.n_images) == (6, 2)
    assert record.data.val.classes == ["square", "cross"]
    assert record.schedule == Schedule(2, 2, 0.02, [1], 0)
    assert (record.engine, record.protocol) == ("hotcoco", "coco")
    assert record.seconds.train > 0
    assert record.seconds.evaluate > 0
    for task in ("bbox", "segm"):
        assert record.metrics[task]["AP"] is not None
        assert record.metrics[task]["APl"] is None  # no large square in the set
        assert set(record.per_class[task]) == {"square", "cross"}
    raw = (finished / record.detections).read_bytes()
    assert record.detections_sha256 == hashlib.sha256(raw).hexdigest()
    assert record.counts == Counts(2, 2, 0, 2, len(json.loads(raw)))
    assert record.data.val.fingerprint == hashlib.sha256(Path(data[5]).read_bytes()).hexdigest()


def test_what_the_detector_costs(finished):
    cost = record_file.read(finished).cost
    model = torch.load(finished / "model_final.pth", weights_only=True)["model"]
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert cost.parameters == sum(v.numel() for k, v in model.items() if not k.endswith(statistics))
    assert 0 < cost.trainable <= cost.parameters
    # The stem alone, 7 x 7 x 3 -> 64 at half of 64 x 64 pixels, is 9.6 million multiply-adds.
    assert 9.6e6 < cost.flops < 1e9
    assert cost.flops_images == 2
    assert cost.peak_memory > 100e6  # PyTorch is loaded


def test_the_record_can_be_made_again_from_what_the_run_left(finished, tmp_path):
    from transfer.__main__ import main

    words = ["evaluate", "--run", finished, "--cross-check", "--out", tmp_path / "again.json"]
    assert main(list(map(str, words))) == 0
    first, again = record_file.read(finished), record_file.read(tmp_path / "again.json")
    for name in ("metrics", "per_class", "tide", "counts", "detections_sha256", "data", "weights", "cost", "engine"):
        assert getattr(first, name) == getattr(again, name), name
    assert again.cross_check < 1e-9


def test_a_run_leaves_what_detectron2_leaves_and_a_log_with_the_count(finished):
    for name in ("config.yaml", "model_final.pth", "last_checkpoint", "metrics.json"):
        assert (finished / name).is_file()
    assert list(finished.glob("events.out.tfevents*"))
    assert "100/100 tensors of the backbone" in (finished / "log.txt").read_text()


def test_the_weights_normalisation_reaches_the_config(finished):
    text = (finished / "config.yaml").read_text()
    pixel_mean = text[text.index("PIXEL_MEAN") :].splitlines()[1:4]
    assert [float(line.strip(" -")) for line in pixel_mean] == [round(v * 255, 6) for v in MEAN]


def test_the_folder_of_another_run_is_refused_and_kept(finished, data, capsys):
    before = (finished / "record.json").read_bytes()
    line = refused(capsys, "--init", "random", *data, "OUTPUT_DIR", finished, *TINY)
    assert "expected a new folder, found another run (config.yaml, last_checkpoint" in line
    assert (finished / "record.json").read_bytes() == before


def test_resuming_a_finished_run_needs_the_same_config(finished, weights_file, data, capsys, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    (folder / "record.json").unlink()
    same = ["--init", weights_file, *data, "--resume", "OUTPUT_DIR", folder]
    line = refused(capsys, *same, *TINY, "SOLVER.BASE_LR", "0.5")
    assert "SOLVER.BASE_LR: 0.02 -> 0.5" in line
    run(*same, *TINY)  # nothing left to train: evaluates again and writes the record
    again, first = record_file.read(folder), record_file.read(finished)
    assert again.seed == first.seed  # taken from the run, since --seed was not given
    assert again.metrics == first.metrics
    assert again.seconds.train is None


def test_evaluation_alone_gives_the_same_numbers_and_leaves_the_record(finished, data, capsys):
    before = (finished / "record.json").read_bytes()
    run("--eval-only", *data[3:], "OUTPUT_DIR", finished, *TINY)
    again, first = record_file.read(finished / outcome.EVALUATION), record_file.read(finished)
    assert again.metrics == first.metrics
    assert (finished / "record.json").read_bytes() == before
    assert "segm" in capsys.readouterr().out


class Spy(HookBase):
    """Notes the heads' initial weights and the images of every iteration."""

    seen: list = []  # noqa: RUF012  read by the test after the trainer is gone

    def before_train(self):
        loader, model = self.trainer._trainer.data_loader, self.trainer.model
        heads = {n: p.detach().clone() for n, p in model.named_parameters() if "bottom_up" not in n}
        backbone = {n: p.detach().clone() for n, p in model.named_parameters() if "bottom_up" in n}
        images = []

        def noted(batches):
            for batch in batches:
                images.append([(entry["file_name"], entry["image"].float().sum().item()) for entry in batch])
                yield batch

        self.trainer._trainer._data_loader_iter_obj = noted(iter(loader))
        self.seen.append((heads, backbone, images))


def test_one_seed_gives_the_same_heads_and_images_whatever_the_weights(data, weights_file, tmp_path, monkeypatch):
    monkeypatch.setattr(Spy, "seen", [])
    original = Trainer.build_hooks
    monkeypatch.setattr(Trainer, "build_hooks", lambda self: [Spy(), *original(self)])
    for name, init, seed in (("a", "random", 5), ("b", weights_file, 5), ("c", "random", 6)):
        run("--init", init, "--seed", seed, *data, "OUTPUT_DIR", tmp_path / name, *TINY)
    (heads_a, backbone_a, images_a), (heads_b, backbone_b, images_b), (heads_c, _, images_c) = Spy.seen
    assert all(torch.equal(heads_a[name], heads_b[name]) for name in heads_a)
    assert not any(torch.equal(backbone_a[n], backbone_b[n]) for n in backbone_a if n.endswith("conv1.weight"))
    assert len(images_a) == 2
    assert images_a == images_b  # names, and pixels after augmentation
    assert not torch.equal(
        heads_a["proposal_generator.rpn_head.conv.weight"], heads_c["proposal_generator.rpn_head.conv.weight"]
    )
    assert images_a != images_c


def test_an_interrupted_run_is_resumed(data, weights_file, tmp_path):
    words = ["--init", weights_file, "--seed", 3, *data, "OUTPUT_DIR", tmp_path / "run", *TINY]
    words += ["SOLVER.MAX_ITER", 3, "SOLVER.CHECKPOINT_PERIOD", 2]
    run(*words)
    for name in ("record.json", "model_final.pth"):
        (tmp_path / "run" / name).unlink()
    (tmp_path / "run/last_checkpoint").write_text("model_0000001.pth")
    run(*words, "--resume")
    assert "Starting training from iteration 2" in (tmp_path / "run/log.txt").read_text()
    assert (tmp_path / "run/model_final.pth").is_file()
    record = record_file.read(tmp_path / "run")
    assert record.seconds.train is None  # only a part of it was timed
    assert (record.weights.loaded, record.weights.expected) == (100, 100)


def test_a_run_that_diverges_says_so(data, tmp_path, capsys):
    words = [*data, "OUTPUT_DIR", tmp_path / "run", *TINY, "SOLVER.BASE_LR", "1e20", "SOLVER.MAX_ITER", 9]
    line = refused(capsys, "--init", "random", *words)
    assert "training diverged: expected finite losses, found: " in line
    assert line.endswith("lower SOLVER.BASE_LR")
    assert not (tmp_path / "run/record.json").exists()


def test_runs_that_differ_in_weights_and_seed_share_the_config_hash(finished, data, tmp_path):
    first = record_file.read(finished)
    run("--init", "random", "--seed", 4, *data, "OUTPUT_DIR", tmp_path / "b", *TINY, "MODEL.PIXEL_MEAN", MEAN_255)
    assert record_file.read(tmp_path / "b").config.sha256 != first.config.sha256  # its PIXEL_STD is the config's
    run("--init", "random", *data, "OUTPUT_DIR", tmp_path / "c", *TINY, *NORMALISATION)
    assert record_file.read(tmp_path / "c").config.sha256 == first.config.sha256


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["MODEL.WEIGHTS", "x.pth", "--init", "random"], "expected either --init or MODEL.WEIGHTS, found both"),
        (["--init", "nowhere.pth"], "nowhere.pth"),
        (["--init", "random", "SOLVER.MAX_ITERS", "3"], "found SOLVER.MAX_ITERS; did you mean SOLVER.MAX_ITER?"),
        (["--init", "random", "SOLVER.MAX_ITER"], "expected KEY VALUE pairs, found"),
        (["--init", "random", "DATASETS.TEST", "('x',)"], "expected either --val or DATASETS.TEST, found both"),
        (["--init", "random", "MODEL.ROI_HEADS.NUM_CLASSES", "7"], "NUM_CLASSES: expected 2"),
        (["--seed", "1", "SEED", "2"], "expected either --seed or SEED, found both"),
        (["--freeze-backbone", "MODEL.BACKBONE.FREEZE_AT", "2"], "expected either --freeze-backbone or MODEL.BACK"),
        (["--init", "random", "--machine-rank", "1"], "--machine-rank: expected 0 to 0"),
        (["--eval-only"], "--eval-only: expected weights, found none"),
        (["--seed", "-1"], "--seed: expected 0 to 2147483647, found -1"),
        (["--num-gpus", "0"], "--num-gpus: expected at least 1, found 0"),
        (["--lr", "-0.1"], "--lr: expected a number above 0, found -0.1"),
        (["--schedule-scale", "nan"], "--schedule-scale: expected a number above 0, found nan"),
        (["--labels", "0%"], "--labels: expected a share such as 10% or a number of images, found 0%"),
        (["SOLVER.IMS_PER_BATCH", "-4"], "SOLVER.IMS_PER_BATCH: expected 1 or more, found -4"),
        (["SOLVER.MAX_ITER", "0"], "SOLVER.MAX_ITER: expected 1 or more, found 0"),
        (["SOLVER.BASE_LR", "-0.1"], "SOLVER.BASE_LR: expected above 0, at most inf, found -0.1"),
        (["SOLVER.WARMUP_ITERS", "-1"], "SOLVER.WARMUP_ITERS: expected 0 or more, found -1"),
        (["SOLVER.CHECKPOINT_PERIOD", "0"], "SOLVER.CHECKPOINT_PERIOD: expected 1 or more, found 0"),
        (["TEST.EVAL_PERIOD", "-1"], "TEST.EVAL_PERIOD: expected 0 or more, found -1"),
        (["DATALOADER.NUM_WORKERS", "-1"], "DATALOADER.NUM_WORKERS: expected 0 or more, at most 1024, found -1"),
        (["INPUT.MIN_SIZE_TRAIN", "(0,)"], "INPUT.MIN_SIZE_TRAIN: expected 1 or more, at most 32768, found (0,)"),
        (["INPUT.MIN_SIZE_TRAIN", "()"], "INPUT.MIN_SIZE_TRAIN: expected at least one number in each list, found ()"),
        (["SEED", "-2"], "SEED: expected -1 or more, found -2"),
    ],
)
def test_what_is_refused_in_one_line(data, tmp_path, capsys, words, message):
    line = refused(capsys, *data, "OUTPUT_DIR", tmp_path / "run", *TINY, *words)
    assert message in line
    assert not (tmp_path / "run").exists()


def test_wrong_usage_exits_with_2(capsys):
    for words in (["--seed", "x"], ["--num-gpus", "1.5"], ["--no-such-flag"], []):
        with pytest.raises(SystemExit) as stop:
            train_net.main([*words] if not words else ["--config-file", SMALL, *words])
        assert stop.value.code == 2
    capsys.readouterr()


def test_the_doctor_looks_before_the_first_iteration(data, tmp_path, capsys, caplog):
    words = ["--init", "random", *data, "OUTPUT_DIR", tmp_path / "run", *TINY]
    line = refused(capsys, *words, "MODEL.RESNETS.RES2_OUT_CHANNELS", 256)
    assert "MODEL.RESNETS.RES2_OUT_CHANNELS: expected 64 for R18, found 256" in line
    assert not (tmp_path / "run").exists()
    run(*words, "MODEL.FPN.NORM", "")
    assert "doctor: MODEL.FPN.NORM" in caplog.text + capsys.readouterr().out
