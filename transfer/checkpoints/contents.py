"""What a file is by its first bytes, whatever its name says: for the one line that refuses it."""

from __future__ import annotations

_MAGIC = (
    (b"\x1f\x8b", "a gzip archive", "unpack it and give the checkpoint inside"),
    (b"BZh", "a bzip2 archive", "unpack it and give the checkpoint inside"),
    (b"\xfd7zXZ", "an xz archive", "unpack it and give the checkpoint inside"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it and give the checkpoint inside"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it and give the checkpoint inside"),
    (b"Rar!", "a RAR archive", "unpack it and give the checkpoint inside"),
    (b"PK\x05\x06", "an empty zip archive", "copy or download it again"),
    (b"\x89HDF", "an HDF5 file (Keras, TensorFlow)", "convert it to PyTorch where it was made"),
    (b"\x93NUMPY", "a single NumPy array", "give a checkpoint with named tensors"),
    (b"\x89PNG", "an image", "give a checkpoint"),
    (b"\xff\xd8\xff", "an image", "give a checkpoint"),
    (b"\x7fELF", "a program", "give a checkpoint"),
    (b"GGUF", "a GGUF file", "give a PyTorch or safetensors checkpoint"),
    (b"version https://git-lfs", "a Git LFS pointer, which stands for the file", "fetch the file with git lfs pull"),
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
    for magic, kind, advice in _MAGIC:
        if start.startswith(magic):
            return kind, advice
    if start[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "a tar archive", "unpack it and give the checkpoint inside"
    text = start[:_SAMPLE].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.lower().startswith(_MARKUP):
        return "a web page", "download the file itself, not the page about it"
    if text[:1] == b"{" and _is_text(text):
        return "JSON text", "give the checkpoint, not its settings or its index"
    if _is_text(start[:_SAMPLE]):
        return "text", "give the checkpoint itself"
    return None


def _is_text(sample: bytes) -> bool:
    return bool(sample) and all(byte >= 32 or byte in b"\t\r\n\f" for byte in sample) and b"\x7f" not in sample
