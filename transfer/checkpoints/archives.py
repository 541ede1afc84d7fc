"""The three ways in which a pickle lies in a file: PyTorch's zip archive, its older format, and bare."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from typing import Any, BinaryIO

import torch
from torch import Tensor

from transfer.checkpoints.unpickle import Budget, Machine
from transfer.errors import CheckpointError

ZIP = b"PK\x03\x04"
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of PyTorch's magic number
_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LONGEST_LINE = 1 << 16
LARGEST_DIRECTORY = 8 << 20  # bytes; a thousand storages take a hundred thousand
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class Stream:
    """A file that gives no more than it holds, whatever length is asked for."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, count: int, /) -> bytes:
        """Up to ``count`` bytes (a length in the file may be any number: it never becomes an allocation)."""
        content = self._file.read(max(0, min(count, self._left)))
        self._left -= len(content)
        return content

    def readline(self) -> bytes:
        """A line of a pickle: names and decimal numbers, so a short one."""
        line = self._file.readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE:
            raise pickle.UnpicklingError("a line longer than any name")
        self._left -= len(line)
        return line

    def fill(self, memory: Tensor) -> None:
        """Read a (bytes,) uint8 tensor's worth.

        Raises:
            EOFError: the file ends before.
        """
        if memory.numel() and self._file.readinto(memory.numpy()) != memory.numel():  # type: ignore[attr-defined]
            raise EOFError("the file ends within a tensor")
        self._left -= memory.numel()


def load(file: BinaryIO, size: int, budget: Budget, *, outermost: bool = True) -> Any:
    """Read whichever of the three formats the first bytes say, as PyTorch decides it.

    Args:
        file: at its start.
        size: its length, bytes.
        budget: what it may cost; a file inside a file shares it.
        outermost: a pickle may hold files of its own (one level: tensors pickled without ``torch.save``).

    Raises:
        CheckpointError, pickle.UnpicklingError: not accepted, and why.
        Exception: of any kind, for bytes that are no checkpoint.
    """

    def inner(content: bytes) -> Any:
        if not isinstance(content, bytes):
            raise pickle.UnpicklingError("a storage without bytes")
        budget.spend(len(content))
        return load(io.BytesIO(content), len(content), budget, outermost=False)

    within = inner if outermost else None
    start = file.read(len(_LEGACY))
    file.seek(0)
    if start.startswith(ZIP):
        return _load_zip(file, size, budget, within)
    if start == _LEGACY:
        return _load_legacy(Stream(file, size), size, budget, within)
    return Machine(budget, inner=within).load(Stream(file, size))


class _Bounded:
    """A file for ``zipfile``, which reads a central directory in one piece however long it claims to be."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        content = self._file.read(LARGEST_DIRECTORY + 1 if count < 0 else min(count, LARGEST_DIRECTORY + 1))
        if len(content) > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile("a directory larger than any checkpoint's")
        return content


class _Archive:
    """The entries of what ``torch.save`` wrote: all stored, apart from each other and within the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        with zipfile.ZipFile(_Bounded(file)) as archive:
            listed = archive.infolist()
        self.entries = {entry.filename: entry for entry in listed}
        self.root = _root(self.entries)
        self._starts: dict[str, int] = {}
        self._check(listed, size)

    def _check(self, listed: list[zipfile.ZipInfo], size: int) -> None:
        if len(self.entries) != len(listed):
            raise CheckpointError("expected one entry of each name, found several")
        for entry in listed:
            if entry.compress_type != zipfile.ZIP_STORED:
                raise CheckpointError("expected the stored entries torch.save writes, found them compressed")
            if entry.flag_bits & 1 or entry.compress_size != entry.file_size:
                raise CheckpointError("expected plain entries, found encrypted ones or two sizes for one")
        if (claimed := sum(entry.file_size for entry in listed)) > size:
            raise CheckpointError(f"expected at most {size} bytes in its entries, found {claimed} claimed")
        end = 0
        for entry in sorted(listed, key=lambda entry: entry.header_offset):
            start = self._data_start(entry)
            if entry.header_offset < end or start + entry.file_size > size:
                raise CheckpointError("expected entries apart from each other, found them overlapping")
            end = start + entry.file_size
            self._starts[entry.filename] = start

    def _data_start(self, entry: zipfile.ZipInfo) -> int:
        self._file.seek(entry.header_offset)
        signature, name, extra = _LOCAL_HEADER.unpack(self._file.read(_LOCAL_HEADER.size))
        if signature != ZIP or self._file.read(name) != entry.orig_filename.encode(
            "utf-8" if entry.flag_bits & 0x800 else "cp437"
        ):
            raise CheckpointError("expected the directory's entries, found others in their places")
        return entry.header_offset + _LOCAL_HEADER.size + name + extra

    def memory(self, name: str) -> Tensor:
        """An entry as (bytes,) uint8, its checksum compared.

        PyTorch writes checksums and does not read them: without this, a flipped bit is a slightly other network.
        """
        entry = self.entries[name]
        memory = torch.empty(entry.file_size, dtype=torch.uint8)
        self._file.seek(self._starts[name])
        Stream(self._file, entry.file_size).fill(memory)
        # Zero means that none was written (torch.serialization.set_crc32_options).
        if entry.CRC and zlib.crc32(memory.numpy().data) != entry.CRC:
            raise zipfile.BadZipFile("a wrong checksum")
        return memory

    def content(self, name: str) -> bytes:
        """A small entry's bytes."""
        return self.memory(name).numpy().tobytes()


def _load_zip(file: BinaryIO, size: int, budget: Budget, within: Any) -> Any:
    archive = _Archive(file, size)
    root = archive.root
    if archive.entries.get(f"{root}/byteorder") and archive.content(f"{root}/byteorder") != b"little":
        raise CheckpointError("expected numbers in little-endian order, found big-endian ones")
    read: dict[str, Tensor] = {}

    def storage(key: str, elements: int, itemsize: int) -> Tensor:
        if key not in read:
            if f"{root}/data/{key}" not in archive.entries:
                raise pickle.UnpicklingError("a tensor whose numbers are not in the archive")
            read[key] = archive.memory(f"{root}/data/{key}")
        if read[key].numel() != elements * itemsize:
            raise pickle.UnpicklingError("a storage of another length than the archive's")
        return read[key]

    content = archive.content(f"{root}/data.pkl")
    return Machine(budget, storage, within).load(Stream(io.BytesIO(content), len(content)))


def _root(names: Any) -> str:
    """The folder of a ``torch.save`` archive, or an error that says what else it is."""
    roots = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")]
    if any(name.endswith("/constants.pkl") for name in names):
        raise CheckpointError("expected tensors, found a TorchScript program; save its state_dict() where it was made")
    if len(roots) == 1 and "/" not in roots[0]:
        return roots[0]
    kind = "a NumPy .npz archive" if any(name.endswith(".npy") for name in names) else "a zip archive of other files"
    raise CheckpointError(f"expected what torch.save writes, found {kind}; unpack it and give the checkpoint inside")


def _load_legacy(stream: Stream, size: int, budget: Budget, within: Any) -> Any:
    """PyTorch before 1.6: magic number, protocol, system, the object, the storages' keys, and then their bytes."""
    plain = Machine(budget)
    magic, protocol, system = (plain.load(stream) for _ in range(3))
    if magic != _MAGIC or protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
        raise pickle.UnpicklingError("another version of PyTorch's old format")
    if system.get("little_endian") is False:
        raise CheckpointError("expected numbers in little-endian order, found big-endian ones")
    storages = _Claimed(size)
    content = Machine(budget, storages.claim, within).load(stream)
    keys = plain.load(stream)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages.memory):
        raise pickle.UnpicklingError("other storages than its tensors name")
    for key in keys:
        storages.fill(str(key), stream)
    return content


class _Claimed:
    """Storages that tensors claim before their bytes come: together never more than the file has."""

    def __init__(self, size: int) -> None:
        self.memory: dict[str, Tensor] = {}
        self._elements: dict[str, int] = {}
        self._left = size

    def claim(self, key: str, elements: int, itemsize: int) -> Tensor:
        """The memory of a storage, not yet filled."""
        if key not in self.memory:
            self._left -= elements * itemsize
            if self._left < 0:
                raise pickle.UnpicklingError("more tensors than the file has bytes")
            self.memory[key] = torch.empty(elements * itemsize, dtype=torch.uint8)
            self._elements[key] = elements
        if self._elements[key] * itemsize != self.memory[key].numel() or self._elements[key] != elements:
            raise pickle.UnpicklingError("two lengths for one storage")
        return self.memory[key]

    def fill(self, key: str, stream: Stream) -> None:
        """Read what was claimed; the file says its length again, in elements."""
        (elements,) = struct.unpack("<q", stream.read(8))
        if elements != self._elements[key]:
            raise pickle.UnpicklingError("a storage of another length than its tensors'")
        stream.fill(self.memory[key])
