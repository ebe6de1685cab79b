"""Load many damaged index files; ``test_fuzzed_files.py`` runs it in a process.

    python tests/faults/fuzz_loader.py COUNT SEED

Files of every version are damaged: flat, in lists, of mixed depth, with short and exact
corrections, with identifiers, with vectors in another file, and folders of shards with
their manifest.

Half of them are damaged blindly: these must be refused, or give the answers of the
whole file. The other half are forged: a value of the header, of an array or of the
manifest is replaced and sizes and checksums are made to match, as an attacker would.
These may load, but neither loading nor searching may crash, hang or take memory beyond
a small multiple of the file's size, and loading may fail with a ValueError only.

Prints what came of them as JSON; files that break a rule are written to the folder
given by ``SKBQ_FUZZ_KEEP``, if any.
"""

import copy
import faulthandler
import json
import os
import shutil
import signal
import sys
import tempfile
import tracemalloc
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    PCAQuantizer,
    RandomRotation,
    ShardedNeighbors,
    TwoBitQuantizer,
)
from skbq._neighbors.file_format import _PREFIX as PREFIX
from skbq._neighbors.file_format import _header_checksum as header_checksum
from skbq._neighbors.row_ids import ids_of, pack_ids
from skbq._sharding.manifest import _checksum as manifest_checksum

# Seconds of the processor that loading, or searching, a file of a few kilobytes may
# take, with kernels that are compiled for it; and of the clock, for what waits.
LIMIT, CLOCK_LIMIT = 60, 600
# What Python takes for a small file whatever its size.
OVERHEAD = 2**20
SPARE = 600

X = np.random.default_rng(0).standard_normal((60, 20)).astype(np.float32)


def rotated(method):
    return make_pipeline(RandomRotation(method, random_state=0), TwoBitQuantizer())


PCA = PCAQuantizer(2.0, random_state=0)
LISTS = {"algorithm": "ivf", "n_lists": 4, "random_state": 0}
INDEXES = {
    "codes": BinaryNeighbors(),
    "one bit": BinaryNeighbors(quantizer=BinaryQuantizer(), code_metric="hamming"),
    "rotated": BinaryNeighbors(quantizer=rotated("haar"), code_metric="penalty"),
    "short corrections": BinaryNeighbors(
        quantizer=rotated("hadamard"), query="vectors"
    ),
    "exact corrections": BinaryNeighbors(
        query="vectors", corrections="exact", metric="inner_product"
    ),
    "vectors": BinaryNeighbors(
        quantizer=rotated("dct"), query="vectors", oversampling=2
    ),
    "Lloyd-Max": BinaryNeighbors(
        quantizer=TwoBitQuantizer(levels="lloyd_max"),
        query="vectors",
        oversampling=2,
        metric="euclidean",
    ),
    "principal axes": BinaryNeighbors(quantizer=PCA, query="vectors"),
    "codes of principal axes": BinaryNeighbors(quantizer=PCA, metric="euclidean"),
    "lists": BinaryNeighbors(quantizer=BinaryQuantizer(), **LISTS),
    "lists, vectors": BinaryNeighbors(query="vectors", oversampling=2, **LISTS),
    "lists, principal axes": BinaryNeighbors(
        quantizer=PCA, query="vectors", n_probes=2, **LISTS
    ),
}
# Vectors of these are in another file.
REFERRING = "vectors", "lists, vectors"
SHARDED = {
    "shards": {"query": "vectors"},
    "shards, principal axes": {"quantizer": PCA, "query": "vectors"},
    "shards, vectors": {"quantizer": BinaryQuantizer(), "oversampling": 2},
}
MANIFEST = "manifest.json"
# What replaces a value of the header.
NASTY = [
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**63, -(2**63), 10**30),
    *(0.0, 0.5, -1.5, 1e308, 1e-308, float("inf"), float("nan")),
    *(
        "",
        "x",
        "/dev/zero",
        "../x",
        "learned.skbq",
        "BinaryNeighbors",
        "Pipeline",
        "<f4",
        "|O",
        "<M8[s]",
        "|V8",
        ">f8",
    ),
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
    change_array = rng.random() < 0.5 and any(map(len, arrays))
    if change_array:
        number = rng.choice([i for i, data in enumerate(arrays) if len(data)])
        _overwrite(arrays[number], header["arrays"][number]["dtype"], rng)
    length = len(json.dumps(header)) + SPARE
    end = PREFIX.size + length
    for entry, data in zip(header["arrays"], arrays, strict=True):
        entry["offset"] = end + -end % 64
        entry["crc32"] = zlib.crc32(data)
        end = entry["offset"] + len(data)
    header["size"] = end
    if not change_array:
        _replace(header, rng)
    if rng.random() < 0.1:
        version = int(rng.choice([0, 1, 2, 3, 4, 2**32 - 1]))
    text = json.dumps(header).encode().ljust(length)[:length]
    out = bytearray(max(end, PREFIX.size + len(text)))
    checksum = header_checksum(text, version)
    out[: PREFIX.size] = PREFIX.pack(content[:8], version, checksum, len(text))
    out[PREFIX.size : PREFIX.size + len(text)] = text
    place = PREFIX.size + length
    for data in arrays:
        place += -place % 64
        out[place : place + len(data)] = data
        place += len(data)
    return bytes(out)


def _overwrite(data, dtype, rng):
    """Change some values of an array to what hurts."""
    if rng.random() < 0.4:  # to what is almost right
        _change_values(data, np.dtype(dtype), rng)
        return
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


def _change_values(data, dtype, rng):
    """Change values as numbers: by one, by sign, or two for each other."""
    values = np.frombuffer(bytes(data), dtype).copy()
    i, j = rng.integers(len(values), size=2)
    kind = rng.integers(4)
    with np.errstate(all="ignore"):
        if dtype.kind == "b" or kind == 0:
            values[[i, j]] = values[[j, i]]
        elif kind == 1:
            values[i] += dtype.type(1)
        elif kind == 2:
            values[i] -= dtype.type(1)
        else:
            values[i] = -values[i]
    data[:] = values.tobytes()


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


@dataclass(frozen=True)
class Whole:
    """An index as it was saved: a file, or a folder of them.

    ``files`` by name, ``loaded`` loads it from a path, ``expected`` is what it finds.
    """

    name: str
    files: dict[str, bytes]
    loaded: Callable
    expected: list

    @property
    def size(self):
        return sum(map(len, self.files.values()))

    def path(self, folder):
        """What to load after ``write``."""
        return folder if MANIFEST in self.files else folder / "index.skbq"

    def write(self, folder):
        folder.mkdir()
        for name, content in self.files.items():
            (folder / name).write_bytes(content)

    def mutated(self, rng, blind):
        """Return it with one file changed."""
        names = sorted(name for name in self.files if name != "vectors.npy")
        name = names[rng.integers(len(names))]
        content = self.files[name]
        if blind:
            return replace(self, files={**self.files, name: damaged(content, rng)})
        if name == MANIFEST:
            return replace(self, files={**self.files, name: _forged_list(content, rng)})
        files = {**self.files, name: forged(content, rng)}
        if MANIFEST in files:
            files[MANIFEST] = _with_mark(files[MANIFEST], name, files[name])
        return replace(self, files=files)


def _forged_list(text, rng):
    body = json.loads(text)
    del body["crc32"]
    _replace(body, rng)
    return _sealed(body)


def _with_mark(text, name, content):
    """A manifest that lists the file that was forged."""
    body = json.loads(text)
    del body["crc32"]
    for record in (body["learned"], *body["shards"]):
        if record["file"] == name:
            record["size"] = len(content)
            record["checksum"] = PREFIX.unpack(content[: PREFIX.size])[2]
    return _sealed(body)


def _sealed(body):
    return json.dumps({**body, "crc32": manifest_checksum(body)}).encode()


def searched(index):
    """What an index finds, of all rows and of some."""
    mask = np.arange(index.n_samples_fit_) % 3 != 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = index.kneighbors(X[:7], 3)
        ids = ids_of(getattr(index, "_ids", None), range(9))
        return [*whole, *index.kneighbors(X[:7], 3, mask=mask), ids]


def saved(folder):
    """Yield indexes that were saved."""
    np.save(folder / "vectors.npy", X)
    mapped = np.load(folder / "vectors.npy", mmap_mode="r")
    path = folder / "index.skbq"
    load = BinaryNeighbors.load
    for name, index in INDEXES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lists are of few rows
            index.fit(X).partial_fit(X[:3]).remove([1, 5])
        if name in ("codes", "lists"):
            ids = np.array([f"row {i}" for i in range(60)], object)
            index._ids = pack_ids(ids if name == "codes" else np.arange(60))
        index.save(path)
        files = {path.name: path.read_bytes()}
        yield Whole(name, files, load, searched(load(path)))
    for name in REFERRING:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            INDEXES[name].fit(mapped).save(path, vectors="refer")
        files = {path.name: path.read_bytes()}
        yield Whole(f"{name}, referred", files, load, searched(load(path)))
    for number, (name, parameters) in enumerate(SHARDED.items()):
        place = folder / str(number)
        index = ShardedNeighbors(folder=place, shard_rows=25, **parameters)
        index.fit(X).partial_fit(X[:3]).remove([1, 30])
        files = {file.name: file.read_bytes() for file in place.iterdir()}
        answer = searched(ShardedNeighbors.load(place))
        yield Whole(name, files, _load_shards, answer)


def _load_shards(path, mmap_mode):
    """All of a folder that may be damaged: shards are opened when searched."""
    return ShardedNeighbors.load(path, verify=mmap_mode is None)


def main(count, seed):
    faulthandler.enable()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # a hang ends the process
    rng = np.random.default_rng(seed)
    folder = Path(tempfile.mkdtemp())
    whole = list(saved(folder))
    seen, faults = Counter(), []
    tracemalloc.start()
    for number in range(count):
        given = whole[rng.integers(len(whole))]
        blind = rng.random() < 0.5
        mutated = given.mutated(rng, blind)
        mapped = "r" if rng.random() < 0.3 else None
        # Shards verify when they are told to: else they may be searched as they are.
        if blind and mutated.loaded is _load_shards:
            mapped = None
        # Never the same path twice: opened shards are remembered.
        place = folder / f"mutated {number}"
        mutated.write(place)
        fault = try_one(mutated, place, blind, mapped, seen)
        if fault is not None:
            faults.append(f"{number}, {given.name}, {fault}")
            keep = os.environ.get("SKBQ_FUZZ_KEEP")
            if keep:
                shutil.copytree(place, Path(keep, f"{seed}-{number}"))
        shutil.rmtree(place)
    shutil.rmtree(folder)
    print(json.dumps({"seen": dict(seen), "faults": faults[:20], "n": len(faults)}))


@contextmanager
def time_limit():
    """End the process where something does not end."""
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    faulthandler.dump_traceback_later(CLOCK_LIMIT, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()


def try_one(whole, place, blind, mapped, seen):
    """Load and search what was changed; return what is wrong, or None."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    kind = "damaged" if blind else "forged"
    try:
        with time_limit():
            index = whole.loaded(whole.path(place), mmap_mode=mapped)
    except ValueError:
        seen[f"{kind}, refused"] += 1
        index = None
    except Exception as error:
        seen[f"{kind}, refused badly"] += 1
        return f"{kind}: {type(error).__name__}: {error}"
    finally:
        taken = tracemalloc.get_traced_memory()[1] - before
    if taken > 2 * whole.size + OVERHEAD:
        return f"{kind}: took {taken} bytes for {whole.size}"
    if index is None:
        return None
    try:
        with time_limit():
            answer = searched(index)
    except ValueError:  # as for queries that are too long for what is stored
        seen[f"{kind}, loaded, search refused"] += 1
        return "damaged: search refused" if blind else None
    except Exception as error:
        seen[f"{kind}, loaded, search failed: {type(error).__name__}"] += 1
        return f"{kind}: loaded, but {type(error).__name__}: {error}"
    seen[f"{kind}, loaded"] += 1
    if blind and not all(map(np.array_equal, answer, whole.expected)):
        return "damaged: other answers"
    return None


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
