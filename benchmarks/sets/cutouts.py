"""Cut-out objects with alpha, and pictures to put them on, rebuilt from Debian's packages.

python -m benchmarks.sets.cutouts --out DIR [--packages DIR_OF_DEBS] [--apart] [--inexact]

The packages are fetched (`apt-get download`; nothing is installed) or taken from a folder of .deb files. Which file of
which package becomes what stands in cutouts.csv, the packages' versions and sums in packages.csv. Written below --out,
which appears when all of it is there:

    cutouts/{train,val}/CATEGORY/*.png    RGBA, cut to what is opaque, longer side at most 160 px
    backgrounds/{train,val}/*.jpg         at most 640 px
    licences/PACKAGE.txt                  each package's copyright file
    cutouts.json                          counts, fingerprint, and what is not as expected

No file is in two splits, but nine of val's show the same thing as one of train's: --apart leaves them out.

Licences, as the copyright files have them: objects (tuxpaint-stamps-default) GPL-2+; pictures of gnome-backgrounds
CC BY-SA 3.0 and GPL-2+, mate-backgrounds GPL-2+ and CC BY-SA 4.0, plasma-workspace-wallpapers GPL-2+, ukui-wallpapers
CC BY-SA 3.0, lomiri-wallpapers CC BY 4.0, CC BY-SA 3.0 and 4.0, CC0; each file's in cutouts.csv. What is composed of
them derives from them: pass their licences on with it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from benchmarks import outputs
from benchmarks.sets.fingerprints import fingerprint
from benchmarks.sets.packages import Package, fetch, find, listed, unpack
from transfer.errors import InputError
from transfer.files.atomic import check_new_folder, new_folder
from transfer.progress import progress

MANIFEST = Path(__file__).with_name("cutouts.csv")
BACKGROUND = "background"  # in place of a category
OBJECT_SIDE, BACKGROUND_SIDE = 160, 640  # longest, pixels
OPAQUE = 127  # alpha above this counts when an object is cut to what is seen of it
QUALITY = 88  # of the photographs' JPEGs
MADE_WITH = "13.0.0"  # Pillow


@dataclass(frozen=True)
class Item:
    """One line of the manifest: a file of a package and what becomes of it.

    Attributes:
        package: name.
        path: of the source in the package.
        split: train or val.
        category: of the object, or ``background``.
        name: of the file that is made; a photograph's is the start of the MD5 sum of its 8 x 8 miniature.
        sha256: of that file as it was made first.
        pixels: the sum of its pixels alone, see `pixel_sum`.
        licence: as the package's copyright file says.
        twin: train's file that shows the same thing, mirrored, in another colour or another pose; else empty.
    """

    package: str
    path: str
    split: str
    category: str
    name: str
    sha256: str
    pixels: str
    licence: str
    twin: str

    @property
    def output(self) -> str:
        """Where the file goes, below --out."""
        if self.category == BACKGROUND:
            return f"backgrounds/{self.split}/{self.name}"
        return f"cutouts/{self.split}/{self.category}/{self.name}"


def items(apart: bool = False) -> list[Item]:
    """The manifest's lines; ``apart``: without val's files that have a twin in train."""
    with MANIFEST.open(encoding="utf-8", newline="") as file:
        return [item for item in (Item(**row) for row in csv.DictReader(file)) if not (apart and item.twin)]


def cutout(image: Image.Image) -> bytes:
    """A stamp as PNG: cut to the pixels that are more than half opaque, reduced if it is large."""
    image = image.convert("RGBA")
    rows, columns = np.nonzero(np.asarray(image.getchannel("A")) > OPAQUE)
    image = image.crop((int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1))
    image.thumbnail((OBJECT_SIDE, OBJECT_SIDE), Image.Resampling.LANCZOS)
    return _encoded(image, "PNG", optimize=True)


def background(image: Image.Image) -> bytes:
    """A photograph as JPEG, reduced."""
    image = image.convert("RGB")  # before reducing: a JPEG would else be decoded at reduced scale
    image.thumbnail((BACKGROUND_SIDE, BACKGROUND_SIDE), Image.Resampling.LANCZOS)
    return _encoded(image, "JPEG", quality=QUALITY)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixel_sum(encoded: bytes) -> str:
    """16 hex digits of a SHA-256 over mode, size and pixels: another compression of the same pixels has the same."""
    image = Image.open(io.BytesIO(encoded))
    return hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes()).hexdigest()[:16]


def rebuild(item: Item, unpacked: Path) -> bytes:
    """The file that a line of the manifest describes.

    Raises:
        InputError: the source is missing or no image.
    """
    try:
        with Image.open(unpacked / item.path) as image:
            return background(image) if item.category == BACKGROUND else cutout(image)
    except OSError as error:
        raise InputError(f"{item.package}: expected an image at {item.path}, found {error}; see {MANIFEST}") from None


def build(
    out: Path, debs: Path | None, inexact: bool, manifest: Sequence[Item], packages: Sequence[Package]
) -> dict[str, Any]:
    """Write everything to ``out`` and return what cutouts.json says.

    Args:
        out: new or empty folder.
        debs: where the .deb files are; None to fetch them.
        inexact: take files with other pixels than expected, too.
        manifest: what to make.
        packages: what to make it from.

    Raises:
        InputError: ``out`` is taken; a package is missing or another one; pixels are not as expected.
    """
    check_new_folder(out)
    with tempfile.TemporaryDirectory() as scratch, new_folder(out) as folder:
        unpacked = Path(scratch)
        _unpack_all(packages, debs, unpacked, folder / "licences")
        outcomes = _rebuild_all(manifest, unpacked, folder)
        different = [name for name, outcome in outcomes.items() if outcome == "different"]
        if different and not inexact:
            raise InputError(
                f"{len(different)} of {len(manifest)} files, such as {different[0]}: expected the manifest's pixels, "
                f"found others; use Pillow {MADE_WITH} in place of {PIL.__version__}, or accept them with --inexact"
            )
        summary = {
            "made_by": "benchmarks.sets.cutouts",
            "packages": {package.name: package.version for package in packages},
            "pillow": PIL.__version__,
            "counts": {"files": len(outcomes)} | Counter(outcomes.values()),
            "different": different,
            "fingerprint": fingerprint(folder, ("backgrounds", "cutouts")),
        }
        (folder / "cutouts.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def _unpack_all(packages: Sequence[Package], debs: Path | None, scratch: Path, licences: Path) -> None:
    """Unpack each package into a folder of its name and keep its copyright file."""
    licences.mkdir()
    with progress("unpacking", len(packages), "packages") as line:
        for package in packages:
            deb = find(package, debs) if debs else fetch(package, scratch)
            unpack(package, deb, scratch / package.name)
            if debs is None:
                deb.unlink()
            copyright_file = scratch / package.name / f"usr/share/doc/{package.name}/copyright"
            shutil.copyfile(copyright_file, licences / f"{package.name}.txt")
            line.update(1)


def _rebuild_all(manifest: Sequence[Item], scratch: Path, folder: Path) -> dict[str, str]:
    """Write the files; of each, by name, whether it is identical, has the same pixels, or is different."""
    outcomes = {}
    with progress("rebuilding", len(manifest), "files") as line:
        for item in manifest:
            content = rebuild(item, scratch / item.package)
            target = folder / item.output
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            if hashlib.sha256(content).hexdigest() == item.sha256:
                outcomes[item.output] = "identical"
            else:
                outcomes[item.output] = "same pixels" if pixel_sum(content) == item.pixels else "different"
            line.update(1)
    return outcomes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sets.cutouts", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder to write")
    parser.add_argument(
        "--packages", type=Path, metavar="DIR", help="folder of .deb files (default: fetch them, 400 MB)"
    )
    parser.add_argument("--apart", action="store_true", help="leave out of val what shows the same as a file of train")
    parser.add_argument("--inexact", action="store_true", help="accept pixels that another Pillow makes")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Make the cut-outs; 0 when done, 1 when the input was at fault, 130 when interrupted."""
    args = _parser().parse_args(argv)
    return outputs.status("benchmarks.sets.cutouts", lambda: _make(args), "nothing was written")


def _make(args: argparse.Namespace) -> None:
    summary = build(args.out, args.packages, args.inexact, items(args.apart), listed())
    counts = ", ".join(f"{count} {name}" for name, count in summary["counts"].items())
    print(f"{args.out}: {counts}; fingerprint {summary['fingerprint'][:16]}")


if __name__ == "__main__":
    sys.exit(main())
