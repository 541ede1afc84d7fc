"""Pretraining and everything after it see the same pixels of the same file, and look at the same files of a folder."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import pretrain.data.image_files
import pretrain.data.pixels as pretraining
import transfer.files.image_files
from transfer.files import pixels as fine_tuning

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (24, 40), dtype=np.uint16)
GREY16[0, :2] = 0, 65535


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png16(samples, colour_type):
    """A PNG of 16 bits a channel, written out by hand: Pillow has no mode for its colours."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_with(*chunks, behind=()):
    """A PNG of COLOUR with further chunks before and behind its pixels."""
    plain = saved(Image.fromarray(COLOUR), "PNG")
    header, pixels, end = plain[:33], plain[33:-12], plain[-12:]
    return header + b"".join(chunks) + pixels + b"".join(behind) + end


def tiff12():
    """A TIFF of 12-bit grey: 0, 4095, 2048, 16."""
    return tiff(bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x10]), 4, 1, 12)


def tiff(strip, width, height, bits, photometric=1, sample_format=1):
    """A TIFF of one strip of grey, written out by hand; photometric 0 counts down from white."""
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    tags += [(278, height), (279, len(strip)), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory


def jpeg_after(segments):
    """A JPEG of COLOUR with further bytes behind its start marker."""
    plain = saved(Image.fromarray(COLOUR), "JPEG")
    return plain[:2] + segments + plain[2:]


def exif_segment(kind, order):
    """An APP1 segment that says orientation 6 in a SHORT (3) or a LONG (4), by either byte order."""
    value = struct.pack(order + "HH", 6, 0) if kind == 3 else struct.pack(order + "I", 6)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    content = b"Exif\0\0" + start + struct.pack(order + "HHHI", 1, 0x0112, kind, 1) + value + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


def animated(kind, **options):
    first, second = Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)
    return saved(first, kind, save_all=True, append_images=[second], **options)


def alpha():
    layer = RNG.integers(0, 256, (24, 40, 1), dtype=np.uint8)
    return Image.fromarray(np.concatenate([COLOUR, layer], axis=2))


def palette():
    return Image.fromarray(COLOUR).quantize(16)


def three(grey):
    return np.repeat(grey[:, :, None], 3, axis=2)


HIGH = (GREY16 >> 8).astype(np.uint8)
COLOUR16 = (COLOUR.astype(np.uint16) << 8) | RNG.integers(0, 256, COLOUR.shape, dtype=np.uint16)
GREY = np.asarray(Image.fromarray(COLOUR).convert("L"))
ONE_BIT = GREY > 127
CMYK = Image.fromarray(COLOUR).convert("CMYK")

# name -> (bytes, the pixels that are right, or None where the two are only held equal: lossy kinds)
FILES = {
    "8-bit PNG": (saved(Image.fromarray(COLOUR), "PNG"), COLOUR),
    "8-bit BMP": (saved(Image.fromarray(COLOUR), "BMP"), COLOUR),
    "8-bit PPM": (saved(Image.fromarray(COLOUR), "PPM"), COLOUR),
    "8-bit TIFF": (saved(Image.fromarray(COLOUR), "TIFF"), COLOUR),
    "LZW TIFF": (saved(Image.fromarray(COLOUR), "TIFF", compression="tiff_lzw"), COLOUR),
    "lossless WebP": (saved(Image.fromarray(COLOUR), "WEBP", lossless=True), COLOUR),
    "grey PNG": (saved(Image.fromarray(GREY), "PNG"), three(GREY)),
    "1-bit PNG": (saved(Image.fromarray(ONE_BIT), "PNG"), three(ONE_BIT * np.uint8(255))),
    "1-bit TIFF": (saved(Image.fromarray(ONE_BIT), "TIFF"), three(ONE_BIT * np.uint8(255))),
    "LA PNG": (saved(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(255 - GREY)]), "PNG"), three(GREY)),
    "RGBA PNG": (saved(alpha(), "PNG"), COLOUR),
    "RGBA TIFF": (saved(alpha(), "TIFF"), COLOUR),
    "RGBA WebP": (saved(alpha(), "WEBP", lossless=True, exact=True), COLOUR),
    "palette PNG": (saved(palette(), "PNG"), np.asarray(palette().convert("RGB"))),
    "palette with transparency": (
        saved(palette(), "PNG", transparency=bytes(range(0, 160, 10))),
        np.asarray(palette().convert("RGB")),
    ),
    "palette TIFF": (saved(palette(), "TIFF"), np.asarray(palette().convert("RGB"))),
    "RGB with a transparent colour": (saved(Image.fromarray(COLOUR), "PNG", transparency=(1, 2, 3)), COLOUR),
    "GIF": (saved(palette(), "GIF"), np.asarray(palette().convert("RGB"))),
    "16-bit grey PNG": (saved(Image.fromarray(GREY16), "PNG"), three(HIGH)),
    "16-bit grey TIFF": (saved(Image.fromarray(GREY16), "TIFF"), three(HIGH)),
    "16-bit big-endian TIFF": (saved(Image.fromarray(GREY16.astype(">u2")), "TIFF"), three(HIGH)),
    "16-bit colour PNG": (png16(COLOUR16, 2), COLOUR),
    "16-bit grey with alpha": (png16(np.stack([GREY16, 65535 - GREY16], 2), 4), three(HIGH)),
    "16-bit PGM": (b"P5 40 24 65535\n" + GREY16.astype(">u2").tobytes(), three(HIGH)),
    "12-bit TIFF": (tiff12(), three(np.array([[0, 255, 128, 1]], np.uint8))),
    "16-bit TIFF that counts down from white": (tiff(GREY16.astype("<u2").tobytes(), 40, 24, 16, 0), three(255 - HIGH)),
    "8-bit TIFF that counts down from white": (tiff(GREY.tobytes(), 40, 24, 8, 0), three(255 - GREY)),
    "PNG with a text": (png_with(chunk(b"tEXt", b"Comment\0hello"), chunk(b"gAMA", bytes(4))), COLOUR),
    "PNG with a text behind": (png_with(behind=[chunk(b"tEXt", b"Comment\0hello")]), COLOUR),
    "CMYK TIFF": (saved(CMYK, "TIFF"), np.asarray(CMYK.convert("RGB"))),
    "animated PNG": (animated("PNG"), COLOUR),
    "animated WebP": (animated("WEBP", lossless=True), COLOUR),
    "TIFF of two pages": (animated("TIFF"), COLOUR),
    "JPEG": (saved(Image.fromarray(COLOUR), "JPEG", quality=90), None),
    "JPEG 4:4:4": (saved(Image.fromarray(COLOUR), "JPEG", quality=90, subsampling=0), None),
    "progressive JPEG": (saved(Image.fromarray(COLOUR), "JPEG", progressive=True), None),
    "grey JPEG": (saved(Image.fromarray(GREY), "JPEG"), None),
    "CMYK JPEG": (saved(CMYK, "JPEG"), None),
    "JPEG with bytes behind it": (saved(Image.fromarray(COLOUR), "JPEG") + b"trailer", None),
    "WebP": (saved(Image.fromarray(COLOUR), "WEBP"), None),
}


def both(encoded):
    return pretraining.decode(encoded, pretraining.read_header(encoded)), fine_tuning.decode(encoded)


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_same_pixels_in_all_stages_and_they_are_right(name):
    encoded, right = FILES[name]
    ours, theirs = both(encoded)
    assert ours.dtype == theirs.dtype == np.uint8
    assert np.array_equal(ours, theirs)
    if right is not None:
        assert np.array_equal(theirs, right)
    width, height = fine_tuning.sizes(encoded)[0]
    assert theirs.shape == (height, width, 3)


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_orientation_comes_upright_in_all_stages(kind, orientation):
    options = {"lossless": True} if kind == "WEBP" else {}
    encoded = saved(Image.fromarray(COLOUR), kind, exif=turned(orientation), **options)
    ours, theirs = both(encoded)
    assert np.array_equal(ours, theirs)
    stored = fine_tuning.decode(saved(Image.fromarray(COLOUR), kind, **options))
    assert np.array_equal(theirs, UPRIGHT[orientation](stored))
    upright, as_stored = fine_tuning.sizes(encoded)
    assert (upright[1], upright[0]) == theirs.shape[:2]
    assert as_stored == (40, 24)


# name -> (bytes, the same pixels without an orientation): all say that the camera was turned by a quarter
TURNED = {
    "PNG, EXIF before the pixels": (png_with(chunk(b"eXIf", turned(6).removeprefix(b"Exif\0\0"))), COLOUR),
    "PNG, EXIF behind the pixels": (png_with(behind=[chunk(b"eXIf", turned(6).removeprefix(b"Exif\0\0"))]), COLOUR),
    **{
        f"JPEG, a {name} by {order}": (jpeg_after(exif_segment(kind, order)), None)
        for kind, name in ((3, "SHORT"), (4, "LONG"))
        for order in "<>"
    },
    "JPEG with fill bytes before the segment": (jpeg_after(b"\xff\xff" + exif_segment(3, "<")), None),
}


@pytest.mark.parametrize("name", TURNED)
def test_an_orientation_is_read_wherever_and_however_it_is_written(name):
    encoded, stored = TURNED[name]
    ours, theirs = both(encoded)
    right = np.rot90(fine_tuning.decode(jpeg_after(b"")) if stored is None else stored, -1)
    assert np.array_equal(ours, right)
    assert np.array_equal(theirs, right)
    assert fine_tuning.sizes(encoded) == ((24, 40), (40, 24))


REFUSED = {
    "signed 8-bit TIFF": (tiff(GREY.tobytes(), 40, 24, 8, sample_format=2), "signed numbers in mode L"),
    "signed 16-bit TIFF": (tiff(GREY16.tobytes(), 40, 24, 16, sample_format=2), "TIFF in mode I, whose range"),
    "PNG with a broken text": (
        png_with(chunk(b"tEXt", b"Comment\0hello").replace(b"hello", b"jello")),
        "UnidentifiedImageError: cannot identify image file$",
    ),
    "PNG whose text unpacks to 5 MB": (
        png_with(chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(5_000_000)))),
        "too large",
    ),
    "PNG whose text behind the pixels does": (
        png_with(behind=[chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(5_000_000)))]),
        "too large",
    ),
    "PNG with a cut gamma": (png_with(chunk(b"gAMA", b"")), "gAMA"),
    "float TIFF": (saved(Image.fromarray(GREY16.astype(np.float32)), "TIFF"), "TIFF in mode F"),
    "32-bit TIFF": (saved(Image.fromarray(GREY16.astype(np.int32)), "TIFF"), "TIFF in mode I"),
    "float PFM": (b"Pf 2 2 -1.0\n" + np.zeros(4, "<f4").tobytes(), "PPM in mode F"),
    "cut PNG": (saved(Image.fromarray(COLOUR), "PNG")[:200], "OSError"),
    "cut JPEG": (saved(Image.fromarray(COLOUR), "JPEG")[:-200], "OSError"),
    "too many pixels": (b"P6 65535 65535 255\n", "pixels"),
    "EPS, which would start a program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "Unidentified"),
    "no image": (b"no image", "UnidentifiedImageError"),
    "nothing": (b"", "UnidentifiedImageError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_rule_covers_is_refused_in_all_stages(name):
    encoded, reason = REFUSED[name]
    assert pretraining.decode(encoded, pretraining.read_header(encoded)) is None
    assert re.search(reason, pretraining.why_not(encoded))
    with pytest.raises(ValueError, match=reason) as error:
        fine_tuning.decode(encoded)
    assert "\n" not in str(error.value)


def test_a_jpeg_of_more_pixels_than_can_be_held_is_refused_in_all_stages():
    encoded = bytearray(saved(Image.fromarray(COLOUR), "JPEG"))
    at = encoded.index(b"\xff\xc0")
    encoded[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    assert pretraining.decode(bytes(encoded), pretraining.read_header(bytes(encoded))) is None
    with pytest.raises(ValueError, match="pixels"):
        fine_tuning.decode(bytes(encoded))


def test_both_look_at_the_same_files_of_a_folder(tmp_path):
    rules = pretrain.data.image_files, transfer.files.image_files
    assert rules[0].SUFFIXES == rules[1].SUFFIXES
    images = ["a.jpg", "deep/b.PNG", "deep/er/c.tiff"]
    hidden = ["._a.jpg", ".hidden.png", ".ipynb_checkpoints/a.jpg", "__MACOSX/deep/b.png", "deep/.git/x.png"]
    hidden += ["@eaDir/a.jpg", "Thumbs.db", ".DS_Store", "deep/desktop.ini", "notes.txt"]
    root = tmp_path / ".cache"  # the folder that is asked for may be hidden
    for name in images + hidden:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    for rule in rules:
        assert [path.relative_to(root).as_posix() for path in rule.find(root)] == images
        assert [path.name for path in rule.find(root, deep=False)] == ["a.jpg"]


def test_both_know_what_would_be_found_below_a_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to("images")
    for rule in (pretrain.data.image_files, transfer.files.image_files):
        for name, among in (
            ("images", True),
            ("images/run/deep", True),
            ("link/run", True),
            ("images/.cache/run", False),
            ("images/../run", False),
            ("images2", False),
        ):
            assert rule.is_among(tmp_path / name, tmp_path / "images") is among, name
            assert rule.is_among(tmp_path / name, tmp_path / "link") is among, name
