import cv2
import numpy as np
import pytest

from pretrain.data.colour import Colour, Operation, coloured
from pretrain.data.sources import find_images, open_source
from pretrain.data.two_views import TwoViews, collate
from pretrain.data.views import ViewSettings
from pretrain.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Eight images in two folders, one damaged, one empty, one tiny."""
    rng = np.random.default_rng(0)
    for k in range(8):
        path = tmp_path / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (20, 30, 3), np.uint8))
    (tmp_path / "a" / "damaged.jpg").write_bytes(b"\xff\xd8 not an image")
    (tmp_path / "a" / "empty.jpg").touch()
    cv2.imwrite(str(tmp_path / "b" / "tiny.png"), np.zeros((3, 3, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_an_unreadable_image_gives_way_and_is_named(folder):
    views = TwoViews(open_source([folder]), ViewSettings(size=16), seed=0)
    damaged = next(k for k, p in enumerate(find_images(folder)) if p.name == "damaged.jpg")
    sample = views[(0, damaged)]
    assert [name.rsplit("/", 1)[-1] for name in sample.unreadable] == ["damaged.jpg", "empty.jpg"]
    batch = collate([sample, views[(0, 0)]])
    assert batch["views"].shape == (2, 2, 3, 16, 16)
    assert len(batch["unreadable"]) == 2


def test_views_depend_on_seed_epoch_and_image_only(folder):
    source = open_source([folder])
    views = [
        TwoViews(source, ViewSettings(size=16), seed)[key].views
        for seed, key in ((0, (0, 0)), (0, (1, 0)), (1, (0, 0)))
    ]
    again = TwoViews(source, ViewSettings(size=16), 0)
    again[(3, 4)]
    assert np.array_equal(again[(0, 0)].views, views[0])
    assert not np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])
    assert not np.array_equal(views[0][0], views[0][1])


def test_who_does_the_colours_changes_nothing_that_is_drawn(folder):
    """OpenCV does later, from the rows of the batch, what it does at once by default."""
    source, drawn = open_source([folder]), {"size": 16, "brightness": 0.8, "blur": 0.5, "second_solarise": 0.5}
    now, later = (TwoViews(source, ViewSettings(**drawn, colour=c), seed=0) for c in ("loader", "device"))
    keys = [(epoch, k) for epoch in range(3) for k in range(6)]
    done, rest = collate([now[key] for key in keys]), collate([later[key] for key in keys])
    assert "colour" not in done
    assert rest["colour"].shape == (2, len(keys), 12)
    assert rest["paths"] == done["paths"]
    for view in range(2):
        for k in range(len(keys)):
            *row, sigma, solarise = rest["colour"][view, k].tolist()
            work = [(Operation(int(o)), amount) for o, amount in zip(row[:5], row[5:], strict=True) if o >= 0]
            pixels = rest["views"][view, k].permute(1, 2, 0).numpy()
            final = coloured(pixels, Colour(tuple(work), sigma if sigma >= 0 else None, solarise > 0))
            assert np.array_equal(final, done["views"][view, k].permute(1, 2, 0).numpy())
    assert not np.array_equal(rest["views"], done["views"])
    assert rest["colour"][0, :, -1].sum() == 0 < rest["colour"][1, :, -1].sum()


def test_images_of_a_mode_without_a_rule_are_named_with_the_reason(tmp_path):
    from PIL import Image

    for k in range(3):
        Image.new("F", (20, 20)).save(tmp_path / f"{k}.tiff")
    views = TwoViews(open_source([tmp_path]), ViewSettings(size=16), 0)
    with pytest.raises(InputError, match=r"3 images in a row .*0\.tiff \(TIFF in mode F, whose range nothing says"):
        views[0, 0]
