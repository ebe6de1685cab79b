"""Load many damaged index files; ``test_fuzzed_files.py`` runs it in a process.

    python tests/faults/fuzz_loader.py COUNT SEED

Half of the files are damaged blindly: these must be refused, or give the answers of the
whole file. The other half are forged: a value of the header or of an array is replaced
and sizes and checksums are made to match, as an attacker would. These may load, but
neither loading nor searching may crash, hang or take memory beyond a small multiple of
the file's size, and loading may fail with a ValueError only.

Prints what came of them as JSON; a file that breaks a rule is written to the folder
given by ``SKBQ_FUZZ_KEEP``, if any.
"""

import copy
import faulthandler
import json
import os
import signal
import struct
import sys
import tempfile
import tracemalloc
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    RandomRotation,
    TwoBitQuantizer,
)

PREFIX = struct.Struct("<8sIIQ")
# Seconds that loading and searching of a file of a few kilobytes may take.
LIMIT = 20
# What Python takes for a small file whatever its size.
OVERHEAD = 2**20
SPARE = 600

X = np.random.default_rng(0).standard_normal((60, 20)).astype(np.float32)


def rotated(method):
    return make_pipeline(RandomRotation(method, random_state=0), TwoBitQuantizer())


INDEXES = [
    BinaryNeighbors(),
    BinaryNeighbors(quantizer=BinaryQuantizer(), code_metric="hamming"),
    BinaryNeighbors(quantizer=rotated("haar"), code_metric="penalty"),
    BinaryNeighbors(quantizer=rotated("hadamard"), query="vectors"),
    BinaryNeighbors(quantizer=rotated("dct"), query="vectors", oversampling=2),
    BinaryNeighbors(
        quantizer=TwoBitQuantizer(levels="lloyd_max"),
        query="vectors",
        oversampling=2,
        metric="euclidean",
    ),
]
# What replaces a value of the header.
NASTY = [
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**63, -(2**63), 10**30),
    *(0.0, 0.5, -1.5, 1e308, 1e-308, float("inf"), float("nan")),
    *("", "x", "BinaryNeighbors", "Pipeline", "<f4", "|O", "<M8[s]", "|V8", ">f8"),
    *([], {}, [0], [2**40], [-1], [2**32, 2**32], {"array": 0}, {"array": 10**9}),
    *({"array": -1}, {"tuple": []}, {"list": [1, 2]}, {"names": ["a"]}),
    *({"class": "os.system", "attributes": {}}, {"class": "Pipeline"}),
]


def parts(content):
    """Return version, header and the data of the arrays of a file."""
    _, version, _, length = PREFIX.unpack(content[: PREFIX.size])
    header = json.loads(content[PREFIX.size : PREFIX.size + length])
    arrays = []
    for entry in header["arrays"]:
        size = np.dtype(entry["dtype"]).itemsize * int(np.prod(entry["shape"]))
        arrays.append(bytearray(content[entry["offset"] :][:size]))
    return version, header, arrays


def forged(content, rng):
    """A file in which one thing is replaced and all checksums match."""
    version, header, arrays = parts(content)
    header = copy.deepcopy(header)
    change_array = rng.random() < 0.4 and any(map(len, arrays))
    if change_array:
        number = rng.choice([i for i, data in enumerate(arrays) if len(data)])
        _overwrite(arrays[number], rng)
    length = len(json.dumps(header)) + SPARE
    end = PREFIX.size + length
    for entry, data in zip(header["arrays"], arrays, strict=True):
        entry["offset"] = end + -end % 64
        entry["crc32"] = zlib.crc32(data)
        end = entry["offset"] + len(data)
    header["size"] = end
    if not change_array:
        _replace(header, rng)
    text = json.dumps(header).encode().ljust(length)[:length]
    out = bytearray(max(end, PREFIX.size + len(text)))
    out[: PREFIX.size] = PREFIX.pack(content[:8], version, zlib.crc32(text), len(text))
    out[PREFIX.size : PREFIX.size + len(text)] = text
    place = PREFIX.size + length
    for data in arrays:
        place += -place % 64
        out[place : place + len(data)] = data
        place += len(data)
    return bytes(out)


def _overwrite(data, rng):
    """Change some bytes of an array to what hurts."""
    width = int(rng.choice([1, 2, 4, 8]))
    start = int(rng.integers(len(data))) // width * width
    hurts = [
        bytes(width),
        b"\xff" * width,
        rng.bytes(width),
        np.float32(np.nan).tobytes() * 2,
        np.float64(1e308).tobytes(),
        np.int64(2**40).tobytes(),
        np.int64(-1).tobytes(),
        np.float32(-np.inf).tobytes(),
    ]
    new = hurts[rng.integers(len(hurts))]
    if rng.random() < 0.2:  # everywhere
        data[:] = (new * (len(data) // len(new) + 1))[: len(data)]
    else:
        data[start : start + len(new)] = new[: len(data) - start]


def _replace(header, rng):
    """Replace, remove or double a value somewhere in the header."""
    nodes = []

    def walk(node):
        keys = node if isinstance(node, dict) else range(len(node))
        for key in keys:
            nodes.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(header)
    node, key = nodes[rng.integers(len(nodes))]
    choice = rng.random()
    if choice < 0.15:
        del node[key]
    elif choice < 0.25 and isinstance(node, list):
        node.append(copy.deepcopy(node[key]))
    elif choice < 0.4 and isinstance(node[key], int | float):
        node[key] = node[key] + int(rng.choice([-1, 1, 64, 2**20]))
    else:
        node[key] = copy.deepcopy(NASTY[rng.integers(len(NASTY))])


def damaged(content, rng):
    """A file that was damaged blindly."""
    data = bytearray(content)
    kind = rng.integers(5)
    if kind == 0:
        for _ in range(1 + rng.integers(8)):
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    elif kind == 1:
        del data[rng.integers(len(data)) :]
    elif kind == 2:
        data += rng.bytes(1 + rng.integers(100))
    elif kind == 3:
        start, size = rng.integers(len(data)), 1 + rng.integers(64)
        data[start : start + size] = rng.bytes(size)
    else:
        start, other = rng.integers(len(data), size=2)
        size = 1 + rng.integers(64)
        data[start : start + size] = data[other : other + size]
    return bytes(data)


def searched(index):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return index.kneighbors(X[:7], 3)


def main(count, seed):
    faulthandler.enable()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a hang ends the process
    rng = np.random.default_rng(seed)
    folder = Path(tempfile.mkdtemp())
    whole = []
    for number, index in enumerate(INDEXES):
        path = folder / f"{number}.skbq"
        index.fit(X).partial_fit(X[:3]).remove([1, 5]).save(path)
        whole.append((path.read_bytes(), searched(BinaryNeighbors.load(path))))
    seen, faults = Counter(), []
    path = folder / "mutated.skbq"
    tracemalloc.start()
    for number in range(count):
        content, expected = whole[rng.integers(len(whole))]
        blind = rng.random() < 0.5
        mutated = damaged(content, rng) if blind else forged(content, rng)
        path.write_bytes(mutated)
        mapped = "r" if rng.random() < 0.3 else None
        fault = try_one(path, mutated, expected, blind, mapped, seen)
        if fault is not None:
            faults.append(fault)
            keep = os.environ.get("SKBQ_FUZZ_KEEP")
            if keep:
                Path(keep, f"{seed}-{number}.skbq").write_bytes(mutated)
    print(json.dumps({"seen": dict(seen), "faults": faults[:20], "n": len(faults)}))


def try_one(path, content, expected, blind, mapped, seen):
    """Load and search one file; return what is wrong, or None."""
    signal.alarm(LIMIT)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    kind = "damaged" if blind else "forged"
    try:
        index = BinaryNeighbors.load(path, mmap_mode=mapped)
    except ValueError:
        seen[f"{kind}, refused"] += 1
        index = None
    except Exception as error:
        seen[f"{kind}, refused badly"] += 1
        return f"{kind}: {type(error).__name__}: {error}"
    finally:
        taken = tracemalloc.get_traced_memory()[1] - before
        signal.alarm(0)
    if taken > 2 * len(content) + OVERHEAD:
        return f"{kind}: took {taken} bytes for {len(content)}"
    if index is None:
        return None
    signal.alarm(LIMIT)
    try:
        answer = searched(index)
    except ValueError:  # as for queries that are too long for what is stored
        seen[f"{kind}, loaded, search refused"] += 1
        return "damaged: search refused" if blind else None
    except Exception as error:
        seen[f"{kind}, loaded, search failed: {type(error).__name__}"] += 1
        return f"{kind}: loaded, but {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    seen[f"{kind}, loaded"] += 1
    if blind and not all(map(np.array_equal, answer, expected)):
        return "damaged: other answers"
    return None


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
