"""Which images come when, against Detectron2's own sampler and by hand."""

import itertools

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.samplers import RepeatFactorTrainingSampler, TrainingSampler

from tests.cases.coco_sets import edit, write_coco
from transfer.data import splits
from transfer.data.labels import Labels
from transfer.detectors import config as detector_config
from transfer.errors import InputError
from transfer.finetuning import batches


@pytest.fixture
def cfg(tmp_path):
    cfg = detector_config.read_config(detector_config.find_config("any_mask_rcnn_R_18_FPN_small"))
    split, _ = splits.from_files(*write_coco(tmp_path / "set", 7), masks=True)
    name = splits.register(split, "train")
    cfg.merge_from_list(["DATASETS.TRAIN", (name,), "SEED", 5, "SOLVER.IMS_PER_BATCH", 2])
    cfg.merge_from_list(["INPUT.MIN_SIZE_TRAIN", (48, 56, 64), "DATALOADER.NUM_WORKERS", 0])
    yield cfg
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def taken(loader, count):
    return [[(entry["image_id"], entry["image"]) for entry in batch] for batch in itertools.islice(loader, count)]


def equal(a, b):
    return [[i for i, _ in batch] for batch in a] == [[i for i, _ in batch] for batch in b] and all(
        torch.equal(p, q) for x, y in zip(a, b, strict=True) for (_, p), (_, q) in zip(x, y, strict=True)
    )


def test_the_order_is_detectron2s(cfg):
    data = batches.train_set(cfg, None)
    ours = [image for _, image in itertools.islice(batches.order(data, 5), 30)]
    assert ours == list(itertools.islice(TrainingSampler(7, seed=5), 30))
    cfg.DATALOADER.SAMPLER_TRAIN = "RepeatFactorTrainingSampler"
    cfg.DATALOADER.REPEAT_THRESHOLD = 0.9
    data = batches.train_set(cfg, None)
    assert data.factors.max() > 1
    ours = [image for _, image in itertools.islice(batches.order(data, 5), 30)]
    assert ours == list(itertools.islice(RepeatFactorTrainingSampler(data.factors, seed=5), 30))


def test_workers_and_the_place_of_the_start_change_no_pixel(cfg):
    data = batches.train_set(cfg, None)
    whole = taken(batches.train_loader(cfg, data), 9)
    assert equal(whole[4:], taken(batches.train_loader(cfg, data, start=4), 5))
    assert equal(whole, taken(batches.train_loader(cfg, data, workers=2), 9))
    shapes = {tuple(image.shape) for batch in whole for _, image in batch}
    assert len(shapes) == 3  # the augmentation draws


def test_loading_leaves_the_models_random_state_alone(cfg):
    data = batches.train_set(cfg, None)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    taken(batches.train_loader(cfg, data), 2)
    assert torch.equal(torch.rand(3), expected)


def test_wide_images_come_with_wide_ones():
    wide = [True, False, True, False, True]
    places = list(enumerate([0, 1, 2, 3, 4, 1]))
    assert list(batches.group(iter(places), wide, 2)) == [[(0, 0), (2, 2)], [(1, 1), (3, 3)]]
    assert list(batches.group(iter(places), None, 3)) == [places[:3], places[3:]]


def test_processes_share_the_batch_of_one(cfg, monkeypatch):
    data = batches.train_set(cfg, None)
    cfg.SOLVER.IMS_PER_BATCH = 4
    one = list(itertools.islice(batches.Batches(cfg, data, 3), 5))
    shares = []
    monkeypatch.setattr(batches.comm, "get_world_size", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr(batches.comm, "get_rank", lambda rank=rank: rank)
        shares.append(list(itertools.islice(batches.Batches(cfg, data, 3), 5)))
    assert [a + b for a, b in zip(*shares, strict=True)] == one
    cfg.SOLVER.IMS_PER_BATCH = 3
    with pytest.raises(InputError, match=r"SOLVER\.IMS_PER_BATCH: expected a multiple of the 2 processes, found 3"):
        batches.Batches(cfg, data)


def test_a_part_of_the_labels_and_images_without_objects(cfg, tmp_path):
    assert len(batches.train_set(cfg, Labels("3")).images) == 3
    coco = write_coco(tmp_path / "empty", 4)
    edit(coco[1], lambda c: c.update(annotations=c["annotations"][:1]))
    split, _ = splits.from_files(*coco, masks=True)
    cfg.DATASETS.TRAIN = (splits.register(split, "train"),)
    assert len(batches.train_set(cfg, None).images) == 1
    cfg.DATALOADER.SAMPLER_TRAIN = "RandomSubsetTrainingSampler"
    with pytest.raises(InputError, match="for a part of the images use --labels"):
        batches.train_set(cfg, None)
