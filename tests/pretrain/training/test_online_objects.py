"""Objects during training: what is written, that the training is not touched, and what random weights are."""

import json
import logging

import pytest
import torch

from pretrain.__main__ import main
from pretrain.backbones import build_backbone
from pretrain.errors import InputError
from pretrain.settings.schema import load_settings
from pretrain.training.online_objects import online_objects
from pretrain.training.plan import find_checkpoints
from tests.cases.object_sets import object_set

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

CONFIG = """
method = "simclr"
backbone = dict(arch="resnet18")
objective = dict(contrastive_widths=(16, 16))
optimizer = dict(lr=0.01)
schedule = dict(iterations=3, warmup_epochs=0.5)
data = dict(batch=4, workers=0)
views = dict(size=32)
run = dict(log_every=1, checkpoint_every=100)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images to train on, and ten others with objects."""
    root = tmp_path_factory.mktemp("data")
    return object_set(root / "train", images=8, seed=1)[0], object_set(root / "objects", images=10)


def pretrain(images, work, *options, objects=None):
    config = work.parent / "tiny.py"
    config.write_text(CONFIG)
    argv = [str(config), "--data", str(images), "--work-dir", str(work)]
    argv += ["--objects", *map(str, objects)] if objects else []
    return main([*argv, *(["--cfg-options", *options] if options else [])])


def metrics(work):
    return [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]


def state(work):
    return torch.load(find_checkpoints(work / "checkpoints")[-1], weights_only=True)["state_dict"]


def test_looking_leaves_the_training_bit_for_bit_as_it_is(data, tmp_path, caplog):
    caplog.set_level(logging.INFO, "pretrain")
    images, objects = data
    with_look, without = tmp_path / "with", tmp_path / "without"
    assert pretrain(images, with_look, "run.objects_every=1", objects=objects) == 0
    after = torch.get_rng_state()
    assert pretrain(images, without) == 0
    assert torch.equal(after, torch.get_rng_state())
    a, b = state(with_look), state(without)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], v) for k, v in b.items())
    timing = {"images_per_second", "data_wait"}
    plain = [{k: v for k, v in line.items() if k not in timing} for line in metrics(without)]
    lines = metrics(with_look)
    assert [{k: v for k, v in x.items() if k not in timing} for x in lines if "classes_knn_gain" not in x] == plain
    looks = [line for line in lines if "classes_knn_gain" in line]
    assert [line["iteration"] for line in looks] == [2, 3]  # the end of the first epoch, and the last iteration
    for name in ("classes_knn_res4", "objectness_logme_res5", "objectness_knn_gain", "objects_effective_rank"):
        assert all(name in line for line in looks)
    assert looks[0]["held_out_contrastive"] != looks[1]["held_out_contrastive"]
    assert looks[0]["held_out_contrastive_random"] == looks[1]["held_out_contrastive_random"]
    assert "[3/3] verdict: these features look" in caplog.text


class Untrained:
    """What a hook asks of a runner whose model is still random."""

    max_iters = 3

    def __init__(self, model):
        self.model = model


def hook(data, tmp_path, **changes):
    from pretrain.data.sources import open_source
    from pretrain.training.plan import make_plan

    settings = load_settings(
        {
            "method": "simclr",
            "backbone": {"arch": "resnet18"},
            "objective": {"contrastive_widths": (16, 16)},
            "views": {"size": 32},
            "data": {"batch": 4, "workers": 0},
            "schedule": {"iterations": 3},
            "run": {"objects_every": 1, **changes},
        }
    )
    plan = make_plan(settings, open_source([data[0]]), tmp_path)
    return settings, online_objects(settings, plan, data[1])


def test_random_weights_gain_nothing_over_themselves(data, tmp_path):
    """The network that a run begins with, given the statistics of the images, is the one it is compared with."""
    from pretrain.algorithm.pretraining import Pretraining
    from pretrain.probes.features import set_statistics
    from pretrain.probes.region_features import statistics_input

    settings, (look,) = hook(data, tmp_path, seed=7)
    torch.manual_seed(7)
    model = Pretraining(settings=settings, iterations=3)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    look.before_train(Untrained(model))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    losses = model.held_out_losses(look.batch)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    set_statistics(model.backbone, *statistics_input(look.train.data, look.how))
    values = look.look(model)
    assert values["classes_knn_gain"] == values["objectness_knn_gain"] == 0
    assert values["objects_effective_rank"] == values["objects_effective_rank_random"]
    assert values["held_out_contrastive"] == values["held_out_contrastive_random"] == losses["contrastive"]


def test_images_that_are_trained_on_are_not_held_out(data, tmp_path):
    _, objects = data
    _, (look,) = hook((objects[0], objects), tmp_path)
    assert look.batch is None
    _, (look,) = hook(data, tmp_path)
    assert look.batch["views"].shape[:2] == (2, 4)


def test_features_that_are_not_finite_end_the_look_in_one_line(data, tmp_path):
    _, (look,) = hook(data, tmp_path)
    model = torch.nn.Module()
    model.backbone = build_backbone("resnet18")
    look.before_train(Untrained(model))
    model.backbone.bn1.running_var.fill_(float("nan"))
    with pytest.raises(InputError, match="expected finite numbers, found NaN or infinity"):
        look.look(model)


def test_the_setting_and_the_set_belong_together(data, tmp_path, capsys):
    images, objects = data
    assert pretrain(images, tmp_path / "run", objects=objects) == 1
    assert "--objects: expected run.objects_every above 0, found 0" in capsys.readouterr().err
    assert pretrain(images, tmp_path / "run", "run.objects_every=1") == 1
    line = capsys.readouterr().err.strip()
    assert line.startswith("pretrain: run.objects_every: expected --objects IMAGES ANN.json, found none")
    assert pretrain(images, tmp_path / "run", "run.objects_every=1", objects=(images, tmp_path / "no.json")) == 1
    assert "found no readable file" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
