"""What a file is by its first bytes, whatever its name says: for the one line that refuses it."""

from __future__ import annotations

# What else a file may be -> what to do about it; docs/checks.md shows the table.
KINDS = {
    **dict.fromkeys(
        ("a gzip archive", "a bzip2 archive", "an xz archive", "a Zstandard archive", "a 7-Zip archive",
         "a RAR archive", "a tar archive"),
        "unpack it and give the checkpoint inside",
    ),
    "an empty zip archive": "copy or download it again",
    "an HDF5 file (Keras, TensorFlow)": "convert it to PyTorch where it was made",
    "a single NumPy array": "give a checkpoint with named tensors",
    "an image": "give a checkpoint",
    "a program": "give a checkpoint",
    "a GGUF file": "give a PyTorch or safetensors checkpoint",
    "a Git LFS pointer, which stands for the file": "fetch the file with git lfs pull",
    "a web page": "download the file itself, not the page about it",
    "JSON text": "give the checkpoint, not its settings or its index",
    "text": "give the checkpoint itself",
}  # fmt: skip
_MAGIC = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x89HDF", "an HDF5 file (Keras, TensorFlow)"),
    (b"\x93NUMPY", "a single NumPy array"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"\x7fELF", "a program"),
    (b"GGUF", "a GGUF file"),
    (b"version https://git-lfs", "a Git LFS pointer, which stands for the file"),
)
_TAR_AT = 257
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head")
_SAMPLE = 1024
MOST_SAFETENSORS_HEADER = 8 << 20  # bytes; a thousand tensors take a hundred thousand


def is_safetensors(start: bytes, size: int) -> bool:
    """Whether a file begins with the length of a JSON header that fits into it, and the header's brace."""
    header = int.from_bytes(start[:8], "little")
    return len(start) > 8 and start[8:9] == b"{" and 2 <= header <= size - 8


def described(start: bytes) -> tuple[str, str] | None:
    """What else a file is, and what to do about it; None when its first bytes tell nothing.

    Args:
        start: the first kilobyte or less.
    """
    kind = _kind(start)
    return None if kind is None else (kind, KINDS[kind])


def _kind(start: bytes) -> str | None:
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if start[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "a tar archive"
    text = start[:_SAMPLE].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.lower().startswith(_MARKUP):
        return "a web page"
    if text[:1] == b"{" and _is_text(text):
        return "JSON text"
    return "text" if _is_text(start[:_SAMPLE]) else None


def _is_text(sample: bytes) -> bool:
    return bool(sample) and all(byte >= 32 or byte in b"\t\r\n\f" for byte in sample) and b"\x7f" not in sample
