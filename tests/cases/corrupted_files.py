"""Read thousands of checkpoints damaged at the level of instructions and entries, in a process of little memory.

Run as ``python -m tests.cases.corrupted_files SEED COUNT FOLDER``; prints one JSON object. A crash and a file that
takes more than some seconds end the process, so the caller sees them in its exit status; memory beyond the limit is a
fault that is listed.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import io
import itertools
import json
import pathlib
import pickle
import pickletools
import random
import re
import resource
import signal
import struct
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from transfer.checkpoints.checkpoint import read
from transfer.errors import InputError

MEMORY = 256 << 20  # bytes beyond what the imported libraries take; the files have some thousand
SECONDS = 10  # a file, on a machine that does other things too


def content() -> dict[str, object]:
    """A checkpoint with everything that training scripts leave, in a few kilobytes."""
    state = collections.OrderedDict((f"layer{n}.0.conv1.weight", torch.arange(8.0).view(2, 4)) for n in range(12))
    state["parameter"] = torch.nn.Parameter(torch.ones(3))
    return {
        "state_dict": state,
        "arrays": {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.float64(0.5), "c": np.array([True, False])},
        "args": argparse.Namespace(lr=0.1, arch="resnet50"),
        "cfg": OmegaConf.create({"backbone": {"name": "resnet50"}}),
        "when": datetime.datetime(2026, 1, 1),
        "where": pathlib.PurePosixPath("a/b"),
        "groups": collections.defaultdict(list, {1: [2, 3]}),
        "large": 1 << 100,
        "set": {1, 2},
    }


# What a mutation puts in the place of an instruction.
HOSTILE = (
    b"r\xff\xff\xff\x7f", b"j\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f", b"\x8a\xff", b"X\xff\xff\xff\x7f",
    b"T\xff\xff\xff\x7f", b"B\xff\xff\xff\xff", b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", b"J\xff\xff\xff\x7f",
    b"\x96\xff\xff\xff\xff\xff\x00\x00\x00", b"K\x00", b"(", b"0", b"1", b"2", b"R", b"\x81", b"\x92", b"b", b"t",
    b"\x85", b"\x86", b"\x87", b"u", b"s", b"e", b"a", b"\x90", b"\x91", b"d", b"l", b"o", b"Q", b"}", b"]", b")",
    b"N", b"\x8f", b"h\x00", b"q\x00", b"\x94", b"\x93", b"\x82\x01", b"Pid\n", b"L99999999999999999999L\n", b".",
    b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"cos\nsystem\n",
    b"cnumpy.core.multiarray\nscalar\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n",
    b"ctorch._utils\n_rebuild_tensor_v3\n", b"ctorch.storage\n_load_from_bytes\n", b"ccollections\nOrderedDict\n",
    b"c_codecs\nencode\n", b"cbuiltins\nbytearray\n", b"cbuiltins\nset\n", b"ctorch\nSize\n", b"iargparse\nNamespace\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n", b"cnumpy._core.numeric\n_frombuffer\n", b"cbuiltins\ncomplex\n",
)  # fmt: skip


def pieces(code: bytes) -> list[bytes]:
    """A pickle, one piece an instruction."""
    starts = [position for _, _, position in pickletools.genops(code)] + [len(code)]
    return [code[a:b] for a, b in itertools.pairwise(starts)]


def mutated(code: bytes, rng: random.Random) -> bytes:
    """A pickle with some of its instructions dropped, repeated, exchanged, replaced or given other arguments."""
    parts = pieces(code)
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        at, kind = rng.randrange(len(parts)), rng.randrange(6)
        if kind == 0:
            parts[at] = b""
        elif kind == 1:
            parts[at] *= rng.choice([2, 2, 3, 1000])
        elif kind == 2:
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        elif kind == 3:
            parts[at] = rng.choice(HOSTILE)
        elif kind == 4:
            parts.insert(at, b"".join(rng.choices(HOSTILE, k=rng.randint(1, 6))))
        elif len(parts[at]) > 1:
            place = rng.randrange(1, len(parts[at]))
            parts[at] = parts[at][:place] + bytes([rng.randrange(256)]) + parts[at][place + 1 :]
    return b"".join(parts)


def headers(raw: bytes) -> list[int]:
    """Where a zip archive's local headers, directory records and end record stand."""
    return [match.start() for match in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", raw)]


def mutated_directory(raw: bytes, places: list[int], rng: random.Random) -> bytes:
    """A zip archive whose directory, local headers or end record say something else."""
    damaged = bytearray(raw)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.choice(places) + rng.randrange(4, 46)
        value = rng.choice([0, 1, 8, 0x41, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, rng.randrange(len(raw))])
        width = rng.choice("BHI")
        size = struct.calcsize(width)
        if at + size <= len(damaged):
            damaged[at : at + size] = struct.pack(f"<{width}", value & ((1 << 8 * size) - 1))
    if rng.random() < 0.2:
        damaged += rng.choice([b"PK\x05\x06", b"PK\x05\x06" + bytes(18), bytes(100), raw])
    return bytes(damaged)


def _archive(entries: dict[str, bytes], **options: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as archive:
        for name, part in entries.items():
            archive.writestr(name, part)
    return out.getvalue()


class Damage:
    """Makes one damaged file after another from three good ones."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        new, old = io.BytesIO(), io.BytesIO()
        torch.save(content(), new)
        torch.save(content(), old, _use_new_zipfile_serialization=False)
        self.zip, self.old = new.getvalue(), old.getvalue()
        self.places = headers(self.zip)
        # The old format is magic number, protocol and system, then the object: four pickles, and the storages.
        old.seek(0)
        ends = [[old.tell() for _ in pickletools.genops(old)][-1] for _ in range(4)]
        self.start, self.end = ends[2], ends[3]
        with zipfile.ZipFile(new) as archive:
            self.entries = {name: archive.read(name) for name in archive.namelist()}
        self.bare = [pickle.dumps(content(), protocol) for protocol in range(6)]

    def next(self) -> bytes:
        """One file's bytes."""
        kind = self.rng.randrange(4)
        if kind == 0:
            return mutated(self.rng.choice(self.bare), self.rng)
        if kind == 1:
            name = "archive/data.pkl"
            return _archive({**self.entries, name: mutated(self.entries[name], self.rng)})
        if kind == 2:
            return mutated_directory(self.zip, self.places, self.rng)
        return self.old[: self.start] + mutated(self.old[self.start : self.end], self.rng) + self.old[self.end :]


def limit_memory() -> None:
    """Leave this process ``MEMORY`` beyond the address space that its libraries take."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    taken = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize"))
    resource.setrlimit(resource.RLIMIT_AS, (taken * 1024 + MEMORY, resource.RLIM_INFINITY))


def main(seed: int, count: int, folder: Path) -> None:
    """Read ``count`` files."""
    damage, path = Damage(seed), folder / "x.pth"
    limit_memory()
    kinds: collections.Counter[str] = collections.Counter()
    faults, slowest = [], 0.0
    for number in range(count):
        path.write_bytes(damage.next())
        signal.alarm(SECONDS)  # whose default is to end the process
        start = time.perf_counter()
        try:
            read(path)
        except InputError as error:
            text = str(error)
            kinds["opened" if text.startswith("no ") else "refused"] += 1
            if "\n" in text or "MemoryError" in text or len(text) > 4000:
                faults.append(f"{number}: {text[:300]}")
        except BaseException as error:
            faults.append(f"{number}: {type(error).__name__} {str(error)[:300]}")
        slowest = max(slowest, time.perf_counter() - start)
    signal.alarm(0)
    print(json.dumps({**kinds, "faults": faults[:20], "slowest": slowest}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
