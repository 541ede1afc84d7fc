"""Tiny cut-outs and backgrounds on disk, in the layout of benchmarks.sets.cutouts."""

from PIL import Image

COLOURS = {"blot": (255, 0, 0), "chip": (0, 0, 255)}  # no green: what is green in a picture is its background
GREY = {"train": 100, "val": 200}


def write_cutouts(root, backgrounds=2, cutouts=2):
    """Fill ``root``: opaque rectangles in their category's colour on flat grey, no two files alike; return it."""
    for split, grey in GREY.items():
        folder = root / "backgrounds" / split
        folder.mkdir(parents=True)
        for i in range(backgrounds):
            Image.new("RGB", (120 + i, 90), (grey,) * 3).save(folder / f"{split}{i}.jpg", quality=95)
        for category, colour in COLOURS.items():
            folder = root / "cutouts" / split / category
            folder.mkdir(parents=True)
            for i in range(cutouts):
                side = 30 + 7 * i + (split == "val")
                Image.new("RGBA", (side, 24), (*colour, 255)).save(folder / f"{split}_{category}_{i}.png")
    return root
