"""Random damages of a good JSON or XML file: types, ranges, structure, encodings. One seed damages one way."""

import copy
import json

import numpy as np

VALUES = [
    *(None, True, False, 0, -1, 1, 1.5, 2, 1e300, -1e300, 10**25, -(10**25), 2**53 + 1, float(2**60), 255, 65536),
    *(float("nan"), float("inf"), -float("inf"), "", "x", "5", "NaN", "a\nb", "\0", "\ud800", "ü" * 40, "/", ".."),
    *(
        [],
        {},
        [1],
        [[1]],
        [None],
        [[[]]],
        {"a": 1},
        [1, 2, 3, 4],
        [[1, 1, 2, 2]],
        [[1, 1, 9, 9, 1, 9]],
        [0.1, 0.1, 0.2, 0.2],
    ),
    *(
        {"size": [4, 4], "counts": [16]},
        {"size": "x", "counts": "y"},
        {"size": [64, 64], "counts": "0"},
        [1e9, 1, 2, 3],
    ),
]


def places(value, path=()):
    """Every place in a JSON value, the whole included."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for i in range(len(value)):
            yield from places(value[i], (*path, i))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def json_bytes(content, rng):
    """Return the bytes of a damaged copy of a JSON value."""
    content = copy.deepcopy(content)
    kind = rng.integers(10)
    if kind < 7:
        every = [path for path in places(content) if path]
        # As often in a field as in one of the many numbers of a mask.
        depth = int(rng.integers(1, max(map(len, every)) + 1))
        chosen = [path for path in every if len(path) == depth]
        path = chosen[rng.integers(len(chosen))]
        change(content, path, rng)
        return json.dumps(content).encode()
    return bytes_of(json.dumps(content).encode(), rng)


def change(content, path, rng):
    parent, key = at(content, path[:-1]), path[-1]
    way = rng.integers(8)
    if way == 0:
        del parent[key]
    elif way == 1 and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    elif way == 2 and isinstance(parent, dict):
        parent[f"{key} "] = parent.pop(key)
    elif way == 3 and isinstance(parent[key], int | float):
        parent[key] = str(parent[key])
    elif way == 4 and isinstance(parent[key], int | float):
        parent[key] = parent[key] * float(rng.choice([-1, 1e-3, 1e3, 1e12, float("nan")]))
    elif way == 5:
        parent[key] = [parent[key]]
    else:
        parent[key] = VALUES[rng.integers(len(VALUES))]


def bytes_of(raw, rng):
    """Damage bytes: cut, bits turned, a stretch doubled, removed or filled, another encoding."""
    way = rng.integers(8)
    start = int(rng.integers(len(raw)))
    stop = min(len(raw), start + int(rng.integers(1, 40)))
    if way == 0:
        return raw[:start]
    if way == 1:
        turned = bytearray(raw)
        turned[start] ^= 1 << int(rng.integers(8))
        return bytes(turned)
    if way == 2:
        return raw[:stop] + raw[start:]
    if way == 3:
        return raw[:start] + raw[stop:]
    if way == 4:
        return raw[:start] + bytes(stop - start) + raw[stop:]
    if way == 5:
        return raw.decode().encode(str(rng.choice(["utf-16", "utf-32", "utf-16-le", "utf-8-sig"])))
    if way == 6:
        return raw[:start] + rng.bytes(stop - start) + raw[stop:]
    return b""


def xml_text(raw, rng):
    """Return the bytes of a damaged XML file: one text, one tag, or its bytes."""
    way = rng.integers(3)
    if way == 0:
        return bytes_of(raw, rng)
    text = raw.decode()
    marks = [i for i, c in enumerate(text) if c == "<" and not text.startswith("</", i)]
    start = marks[rng.integers(len(marks))]
    end = text.index(">", start)
    tag = text[start + 1 : end].split()[0].rstrip("/")
    close = text.find(f"</{tag}>", end)
    if way == 1:
        value = rng.choice(
            ["", " ", "x", "-5", "0", "1e300", "nan", "64.0", "1e9", "7.5", "1_0", "٣", "&lt;", "a\nb", "999"]
        )
        return (text[: end + 1] + str(value) + text[close:] if close > 0 else text[:start]).encode()
    return (text[:start] + text[close + len(tag) + 3 :] if close > 0 else text[end:]).encode()


def generator(*seed):
    return np.random.default_rng(seed)
