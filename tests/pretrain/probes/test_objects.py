"""The command on squares of known colour: objects are told apart, invisible ones are not, and bad input is one line."""

import json

import pytest
import torch

import pretrain
from pretrain.__main__ import main
from pretrain.backbones import save_backbone
from pretrain.errors import InputError
from pretrain.probes.features import set_statistics
from pretrain.probes.frozen import load_frozen
from pretrain.probes.object_set import read_objects
from pretrain.probes.objects import parts_of
from pretrain.probes.region_features import WholeInput, statistics_input
from tests.cases.object_sets import edited, object_set

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

WEIGHTS = "random:resnet18"


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    return object_set(root / "train", images=8), object_set(root / "test", images=6, seed=1)


def evaluated(out, data, *options, weights=WEIGHTS):
    argv = ["evaluate", weights, "--protocol", "objects", "--out", str(out), "--device", "cpu"]
    return main([*argv, "--coco", *map(str, data), *map(str, options)])


def test_coloured_squares_are_told_apart_and_from_the_background(sets, tmp_path):
    train, test = sets
    assert evaluated(tmp_path / "r.json", train, "--query", *test, "--k", 3) == 0
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["schema"] == "pretrain.objects/1"
    assert record["protocol"]["k"] == 3
    assert record["protocol"]["regions"] == "masks"
    assert record["data"]["test"]["looked_at"] == {"images": 6, "objects": 12, "places_without_an_object": 12}
    assert record["data"]["train"]["classes"] == ["blue", "red"]
    for stage in ("res3", "res4"):
        for question in ("classes", "objectness"):
            for probe in ("knn", "linear"):
                assert record["results"][stage][question][probe]["accuracy"] == 100
    assert record["weights"]["statistics"]["n"] == 8
    assert record["collapse_alarm"]["res5"]["width"] == 512
    assert record["seconds_per_thousand_images"].keys() == {"forward", "knn", "linear", "logme"}
    assert all(spent > 0 for spent in record["seconds_per_thousand_images"].values())


def test_objects_that_cannot_be_seen_are_not_told_from_the_background(tmp_path):
    """Squares that are marked and not drawn: the answers are those of chance, within three standard errors."""
    data = object_set(tmp_path / "set", images=60, visible=False)
    record = pretrain.evaluate(WEIGHTS, data, "objects", device="cpu")
    knn = record["results"]["res3"]["objectness"]["knn"]
    assert abs(knn["accuracy"] - 50) < 3 * knn["standard_error"]


def test_one_set_is_split_by_images_and_boxes_serve_where_there_is_no_mask(tmp_path):
    data = object_set(tmp_path / "set", images=10, masks=False)
    record = pretrain.evaluate(WEIGHTS, data, "objects", size=64, device="cpu")
    assert record["protocol"]["regions"] == "boxes"
    assert record["protocol"]["size"] == 64
    assert [record["data"][part]["looked_at"]["images"] for part in ("train", "test")] == [8, 2]
    assert record["results"]["res3"]["classes"]["knn"]["accuracy"] == 100


def test_a_split_shares_no_image_and_depends_on_the_seed(sets):
    data = read_objects(*sets[0])
    splits = [parts_of(data, None, seed) for seed in (0, 0, 1, 2)]
    for train, test in splits:
        assert sorted([*train.chosen, *test.chosen]) == list(range(8))
        assert len(test.chosen) == 2
    assert splits[0][1].chosen == splits[1][1].chosen
    assert len({tuple(test.chosen) for _, test in splits}) > 1


def test_a_second_measurement_gives_the_same_numbers(sets):
    first, second = (pretrain.evaluate(WEIGHTS, sets[0], "objects", device="cpu") for _ in range(2))
    assert first["results"] == second["results"]


@pytest.mark.gpu
def test_a_gpu_gives_the_same_answers(sets):
    here, there = (pretrain.evaluate(WEIGHTS, sets[0], "objects", query=sets[1], device=d) for d in ("cpu", "cuda"))
    for stage in ("res3", "res4"):
        for question, entry in here["results"][stage].items():
            assert there["results"][stage][question]["knn"]["accuracy"] == entry["knn"]["accuracy"]
            assert there["results"][stage][question]["logme"] == pytest.approx(entry["logme"], abs=0.02)


def refused(capsys, *args, **kwargs):
    """The one line on stderr of a command that must end with exit code 1 and write nothing."""
    assert evaluated(*args, **kwargs) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert not args[0].exists()
    return line


def test_bad_input_is_one_line(sets, tmp_path, capsys):
    train, out = sets[0], tmp_path / "r.json"
    assert "expected other images than those of" in refused(capsys, out, train, "--query", *train)
    assert "--query: expected a folder of images and COCO's annotation file" in refused(
        capsys, out, train, "--query", "q"
    )
    assert "--data: expected only with --protocol knn or linear" in refused(capsys, out, train, "--data", "d")
    assert "--resize: expected only with" in refused(capsys, out, train, "--resize", 64)
    assert "--most: expected a whole number from 1" in refused(capsys, out, train, "--most", 0)
    assert "--masked: expected --protocol knn" in refused(capsys, out, train, "--masked")
    assert "found no readable file" in refused(capsys, out, (train[0], tmp_path / "no.json"))
    other = object_set(tmp_path / "other", classes=("blue",))
    assert "expected the categories of" in refused(capsys, out, train, "--query", *other)
    single = object_set(tmp_path / "single", images=1)
    assert "expected objects in at least two images" in refused(capsys, out, single)
    full = object_set(tmp_path / "full", classes=("blue",))
    crowd = {"id": 99, "image_id": 0, "category_id": 5, "bbox": [0, 0, 128, 96], "iscrowd": 1}
    edited(full[1], lambda c: c["annotations"].extend({**crowd, "id": 99 + k, "image_id": k} for k in range(6)))
    assert "or room for places without an object" in refused(capsys, out, full)


def test_python_callers_get_the_same_errors(sets, tmp_path):
    with pytest.raises(InputError, match="--coco: expected a folder of images and COCO's annotation file, found"):
        pretrain.evaluate(WEIGHTS, tmp_path, "objects")
    with pytest.raises(InputError, match="--data: expected one folder, found"):
        pretrain.evaluate(WEIGHTS, sets[0], "knn", size=32)
    with pytest.raises(InputError, match="--resize: expected only with"):
        pretrain.evaluate(WEIGHTS, sets[0], "objects", resize=32)


def test_global_randomness_is_left_alone(sets):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    pretrain.evaluate(WEIGHTS, sets[0], "objects", device="cpu")
    assert torch.equal(before, torch.get_rng_state())


def saved(path, change=None):
    """Random weights of seed 0 with the statistics of the training images, after ``change``, as a file."""
    data = path.parent / "train"
    frozen = load_frozen(WEIGHTS, 0)
    how = WholeInput(None, frozen.mean, frozen.std)
    set_statistics(frozen.backbone, *statistics_input(read_objects(data / "images", data / "ann.json"), how))
    if change is not None:
        change(frozen.backbone)
    about = {"arch": "resnet18", "stem": "imagenet", "mean": frozen.mean, "std": frozen.std, "method": "simclr"}
    save_backbone(path, frozen.backbone, about)
    return path


@pytest.mark.parametrize("ruined", [False, True])
def test_the_verdict_against_random_weights(tmp_path, caplog, ruined):
    """The very weights of the baseline gain nothing; without their first convolution they cannot see colours."""
    train, test = object_set(tmp_path / "train", images=8), object_set(tmp_path / "test", images=6, seed=1)
    weights = saved(tmp_path / "b.safetensors", (lambda net: net.conv1.weight.data.zero_()) if ruined else None)
    record = pretrain.evaluate(weights, train, "objects", query=test, device="cpu")
    baseline = record["baseline"]
    assert baseline["weights"] == "random:resnet18:imagenet"
    assert baseline["verdict"] in caplog.text or not ruined  # a warning where they look worse
    if ruined:
        assert baseline["outcome"] == "worse"
        assert baseline["numbers"]["classes_knn_gain"] < -20
    else:
        assert baseline["outcome"] == "alike"
        assert baseline["numbers"]["classes_knn_gain"] == baseline["numbers"]["objectness_knn_gain"] == 0
        knn = record["results"]["res4"]["classes"]["knn"]
        assert baseline["results"]["res4"]["classes"]["knn"] == knn
    plain = pretrain.evaluate(weights, train, "objects", query=test, baseline=False, device="cpu")
    assert plain["baseline"] is None
    assert plain["results"] == record["results"]
