"""Pooling inside masks and boxes against sums over pixels; what is read, and that nothing else is touched."""

import numpy as np
import pytest
import torch

from pretrain.backbones import build_backbone
from pretrain.errors import InputError
from pretrain.probes.object_set import read_objects
from pretrain.probes.region_features import (
    BACKGROUND,
    STAGES,
    Scale,
    WholeInput,
    extract_region_features,
    pool_boxes,
    pool_masks,
    resized,
    stage_maps,
    statistics_input,
)
from pretrain.probes.regions import Region
from tests.cases.object_sets import edited, object_set

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

HOW = WholeInput(None, (0.5,) * 3, (0.25,) * 3)


@pytest.fixture
def data(tmp_path):
    return read_objects(*object_set(tmp_path / "set"))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return build_backbone("resnet18")


def extracted(net, data, how=HOW, chosen=None, **changes):
    given = {"masked": data.masked, "seed": 0, "most": 1000, **changes}
    return extract_region_features(net, data, range(len(data.items)) if chosen is None else chosen, how, **given)


def blob(rng, top, left, size=(13, 21)):
    return Region((left, top, left + size[1], top + size[0]), top, left, rng.random(size) < 0.6)


def test_a_mask_is_the_mean_over_its_pixels_of_the_cells_that_they_lie_in():
    rng = np.random.default_rng(0)
    cells = torch.randn(5, 6, 9)
    regions = [blob(rng, 0, 0), blob(rng, 17, 30), blob(rng, 35, 51)]  # image of 48 x 72, cells of 8
    pooled = pool_masks(cells, regions, Scale(1 / 8, 1 / 8))
    for row, region in zip(pooled, regions, strict=True):
        y, x = np.nonzero(region.shape)
        expected = cells[:, (y + region.top) // 8, (x + region.left) // 8].mean(dim=1)
        torch.testing.assert_close(row, expected)


def test_a_pixel_across_two_cells_counts_by_its_area_in_each():
    """Against the same mask with every pixel cut into squares that lie in one cell each."""
    rng = np.random.default_rng(1)
    cells, region = torch.randn(4, 6, 9), blob(rng, 3, 4)
    fine = Region(region.box, 21, 28, np.kron(region.shape, np.ones((7, 7), bool)))
    # cells of 2.8 pixels down and 3.5 across: 19.6 and 24.5 fine pixels; twice finer still they are whole numbers
    finest = Region(region.box, 210, 280, np.kron(fine.shape, np.ones((10, 10), bool)))
    coarse = pool_masks(cells, [region], Scale(1 / 2.8, 1 / 3.5))
    y, x = np.nonzero(finest.shape)
    expected = cells[:, (y + 210) // 196, (x + 280) // 245].mean(dim=1)
    torch.testing.assert_close(coarse[0], expected)


def test_many_regions_are_pooled_as_each_alone():
    rng = np.random.default_rng(2)
    cells, regions = torch.randn(3, 6, 9), [blob(rng, t, t + 3) for t in range(30)] * 5
    pooled = pool_masks(cells, regions, Scale(1 / 8, 1 / 8))
    assert torch.equal(pooled[:30], pooled[120:])
    assert len(pooled) == 150


def test_a_box_on_a_map_that_rises_evenly_has_the_value_at_its_centre():
    down, across = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    cells = torch.stack([down, across]) + 0.5  # of each cell's centre, in cells
    box = Region((40.5, 24.25, 91.5, 100.75), 0, 0, np.ones((1, 1), bool))
    pooled = pool_boxes(cells, [box], Scale(1 / 8, 1 / 8))
    torch.testing.assert_close(pooled, torch.tensor([[62.5 / 8, 66 / 8]]))


def test_the_last_stage_is_what_the_backbone_pools(net):
    x = torch.randn(2, 3, 64, 96)
    net.eval()
    with torch.no_grad():
        maps = stage_maps(net, x)
        torch.testing.assert_close(maps["res5"].mean(dim=(2, 3)), net(x))
    assert [tuple(maps[stage].shape[1:]) for stage in STAGES] == [(128, 8, 12), (256, 4, 6), (512, 2, 3)]


@pytest.mark.parametrize("masks", [True, False])
def test_each_object_and_each_place_has_a_row(net, tmp_path, masks):
    data = read_objects(*object_set(tmp_path, images=3, masks=masks))
    regions = extracted(net, data)
    assert (regions.labels != BACKGROUND).sum() == 6
    assert regions.paired.all()
    assert regions.images.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert regions.labels.tolist() == [0, 1, -1, -1, 1, 0, -1, -1, 0, 1, -1, -1]
    assert [tuple(regions.values[stage].shape) for stage in STAGES] == [(12, 128), (12, 256), (12, 512)]


def test_an_image_is_the_same_alone_and_when_it_is_enlarged_by_what_is_cut_off(net, data):
    """Padding to a multiple of 32 moves no cell: the padded colour is the mean, which is zero after normalisation."""
    together, alone = extracted(net, data), extracted(net, data, chosen=[4])
    rows = together.images == 4
    for stage in STAGES:
        assert torch.equal(together.values[stage][rows], alone.values[stage])


def test_two_backbones_are_asked_about_the_same_places_and_nothing_is_moved(net, data):
    torch.manual_seed(1)
    other = build_backbone("resnet18").train()
    state = torch.get_rng_state()
    before = {k: v.clone() for k, v in other.state_dict().items()}
    a, b, c = extracted(net, data), extracted(other, data), extracted(other, data, seed=1)
    assert torch.equal(a.labels, b.labels)
    assert torch.equal(b.values["res3"][b.labels != BACKGROUND], c.values["res3"][c.labels != BACKGROUND])
    assert not torch.equal(b.values["res3"], c.values["res3"])
    assert torch.equal(state, torch.get_rng_state())
    assert other.training
    assert all(torch.equal(v, before[k]) for k, v in other.state_dict().items())


def test_of_too_many_objects_a_random_part_is_taken(net, data):
    parts = [extracted(net, data, most=5, seed=seed) for seed in (0, 0, 1)]
    assert all(int((part.labels != BACKGROUND).sum()) == 5 for part in parts)
    assert torch.equal(parts[0].images, parts[1].images)
    assert not torch.equal(parts[0].images, parts[2].images)


def test_the_shorter_side_is_brought_to_the_size_and_masks_follow(net, data):
    assert resized(np.zeros((96, 128, 3), np.uint8), 48).shape == (48, 64, 3)
    assert resized(np.zeros((128, 96, 3), np.uint8), 192).shape == (256, 192, 3)
    assert resized(np.zeros((96, 128, 3), np.uint8), None).shape == (96, 128, 3)
    small = extracted(net, data, WholeInput(48, HOW.mean, HOW.std))
    assert torch.equal(small.labels, extracted(net, data).labels)


def test_batch_norms_learn_from_squares_at_the_size_of_the_probe(data):
    crops, how = statistics_input(data, WholeInput(48, HOW.mean, HOW.std))
    assert (how.size, how.resize) == (48, 48)
    assert crops.read(0).shape == (48, 48, 3)
    assert len(crops) == len(data.items)
    _, how = statistics_input(data, HOW)
    assert how.size == 96
    data.items[0].file.write_bytes(b"no image")
    assert crops.read(0) is None


def test_loader_processes_read_the_same(net, data):
    for stage in STAGES:
        assert torch.equal(extracted(net, data, workers=1).values[stage], extracted(net, data).values[stage])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_of_another_size_is_one_line(net, tmp_path, workers):
    images, annotations = object_set(tmp_path)
    edited(annotations, lambda content: content["images"][3].update(width=200))
    with pytest.raises(InputError, match=r"3\.png: expected 200x96 pixels, as .*, found 128x96 \(upright\)"):
        extracted(net, read_objects(images, annotations), workers=workers)


def test_what_cannot_be_looked_at_is_one_line(net, data, tmp_path):
    broken = build_backbone("resnet18")
    broken.bn1.running_var.fill_(np.nan)
    with pytest.raises(InputError, match="expected finite numbers, found NaN or infinity"):
        extracted(broken, data)
    data.items[2].file.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"2\.png: expected a readable image, found none"):
        extracted(net, data)
    images, annotations = object_set(tmp_path / "empty")
    edited(annotations, lambda content: content["annotations"].clear())
    with pytest.raises(InputError, match="expected objects in 6 images, found none"):
        extracted(net, read_objects(images, annotations))
