"""Saving and loading: whole, unaltered, without pickle."""

import copy
import dataclasses
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import rotated
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer

from skbq import (
    BinaryNeighbors,
    BinaryNeighborsTransformer,
    BinaryQuantizer,
    RandomRotation,
    ShardedNeighbors,
    TwoBitQuantizer,
)
from skbq._neighbors import file_checks, file_format
from skbq._neighbors.file_checks import coordinates, number, whole
from skbq._neighbors.file_format import _array_at, read_file, write_file
from skbq._neighbors.inverted_lists import fit_together
from skbq._neighbors.state import IndexState, read_index, write_index
from skbq._neighbors.vector_files import VectorFile


@pytest.fixture
def X(rng):
    return rng.standard_normal((80, 20)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "index.skbq"


INDEXES = {
    "default": BinaryNeighbors(),
    "1 bit": BinaryNeighbors(quantizer=BinaryQuantizer(np.full(20, 0.1))),
    "float queries": BinaryNeighbors(quantizer=rotated(), query="vectors"),
    "dct": BinaryNeighbors(quantizer=rotated(method="dct"), metric="euclidean"),
    "hadamard": BinaryNeighbors(quantizer=rotated(method="hadamard"), query="vectors"),
    "reranked": BinaryNeighbors(query="vectors", oversampling=2, n_jobs=2),
    "lloyd_max": BinaryNeighbors(
        quantizer=make_pipeline(
            Normalizer(), TwoBitQuantizer("median", "coordinate", "lloyd_max")
        )
    ),
    "transformer": BinaryNeighborsTransformer(4, mode="connectivity"),
}


@pytest.mark.parametrize("mmap_mode", [None, "r"])
@pytest.mark.parametrize("name", INDEXES)
def test_round_trip(X, path, name, mmap_mode):
    index = INDEXES[name].fit(X)
    expected = index.kneighbors(X)
    index.save(path)
    loaded = type(index).load(path, mmap_mode=mmap_mode)
    assert_array_equal(loaded.kneighbors(X), expected)
    assert repr(loaded) == repr(index)
    assert loaded.bytes_per_row_ == index.bytes_per_row_
    assert loaded.n_features_in_ == 20
    assert loaded.codes_.flags.writeable == (mmap_mode is None)
    # It goes on as it would have.
    again = loaded.partial_fit(X[:7]).remove([3, 81])
    assert_array_equal(
        again.kneighbors(X), index.partial_fit(X[:7]).remove([3, 81]).kneighbors(X)
    )
    again.save(path)
    assert_array_equal(type(index).load(path).kneighbors(X), again.kneighbors(X))


def test_flat_and_frozen(X, path):
    codes = TwoBitQuantizer().fit_transform(X)
    BinaryNeighbors().fit(codes).save(path)
    loaded = BinaryNeighbors.load(path)
    assert loaded.quantizer_ is None
    assert_array_equal(loaded.kneighbors(codes)[1][:, 0], range(80))
    frozen = BinaryNeighbors(quantizer=FrozenEstimator(rotated().fit(X))).fit(X)
    frozen.save(path)
    assert_array_equal(BinaryNeighbors.load(path).kneighbors(X), frozen.kneighbors(X))


def test_feature_names(X, path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(20)])
    index = BinaryNeighbors().fit(frame)
    index.save(path)
    loaded = BinaryNeighbors.load(path)
    assert_array_equal(loaded.feature_names_in_, frame.columns)
    assert_array_equal(loaded.kneighbors(frame), index.kneighbors(frame))


def test_no_pickle_inside(X, path):
    BinaryNeighbors(quantizer=rotated()).fit(X).save(path)
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(path.read_bytes())
    with pytest.raises(TypeError, match=r"PCA cannot be saved.*joblib"):
        BinaryNeighbors(quantizer=make_pipeline(PCA(9), BinaryQuantizer())).fit(X).save(
            path
        )


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_every_truncation_is_noticed(X, path, mmap_mode):
    BinaryNeighbors(oversampling=1).fit(X[:2]).save(path)
    size = path.stat().st_size
    for length in [size + 1, *range(size - 1, -1, -1)]:
        os.truncate(path, length)
        with pytest.raises(ValueError, match="cut short or altered|no index of skbq"):
            BinaryNeighbors.load(path, mmap_mode=mmap_mode)


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_every_altered_byte_is_noticed(X, path, mmap_mode):
    BinaryNeighbors(query="vectors").fit(X[:2]).save(path)
    with open(path, "r+b", buffering=0) as file:
        for place, byte in enumerate(path.read_bytes()):
            for value in (byte ^ 1 << place % 8, byte):  # altered, and restored
                file.seek(place)
                file.write(bytes([value]))
                if value != byte:
                    with pytest.raises(ValueError, match="altered|no index|version"):
                        BinaryNeighbors.load(path, mmap_mode=mmap_mode)


def test_checksums_of_arrays_can_be_skipped(X, path):
    BinaryNeighbors().fit(X).save(path)
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="does not match its checksum"):
        BinaryNeighbors.load(path, mmap_mode="r")
    assert BinaryNeighbors.load(path, mmap_mode="r", verify=False).n_samples_fit_ == 80


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no index of skbq"),
        (b"PK\x03\x04" + bytes(100), "no index of skbq"),
        (struct.pack("<8sIIQ", b"SKBQ", 9, 0, 0), "version 9"),
        (struct.pack("<8sIIQ", b"SKBQ", 1, 0, 10**15), "header is damaged"),
        (struct.pack("<8sIIQ", b"SKBQ", 1, zlib.crc32(b"x"), 9), "header is damaged"),
    ],
)
def test_other_files(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        BinaryNeighbors.load(path)


def test_other_class(X, path):
    BinaryNeighbors().fit(X).save(path)
    with pytest.raises(ValueError, match=r"holds a BinaryNeighbors: load it with"):
        BinaryNeighborsTransformer.load(path)
    with pytest.raises(ValueError, match="mmap_mode"):
        BinaryNeighbors.load(path, mmap_mode="w")


def test_saving_is_atomic(X, path, monkeypatch):
    BinaryNeighbors().fit(X).save(path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        BinaryNeighbors().fit(X[:9]).save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_killed_while_saving(X, path):
    index = BinaryNeighbors(oversampling=1).fit(X)
    index.save(path)
    code = (
        "import os, signal, sys; import skbq\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        "index = skbq.BinaryNeighbors.load(sys.argv[1])\n"
        "index.remove([1]).save(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)])
    assert done.returncode == -signal.SIGKILL
    again = BinaryNeighbors.load(path)
    assert_array_equal(again.kneighbors(X), index.kneighbors(X))
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        index.save(path.parent / "none" / "index.skbq")


def test_mapped_codes_are_not_read_at_load(X, path):
    """Padding bits, in the last column, would bring in all pages: they go unseen."""
    index = BinaryNeighbors().fit(X)
    index.save(path)
    whole = path.read_bytes()
    codes = np.asarray(index.codes_).tobytes()
    place = whole.index(codes) + len(codes) - 2  # signs of the last four
    path.write_bytes(whole[:place] + bytes([whole[place] | 1]) + whole[place + 1 :])
    loaded = BinaryNeighbors.load(path, mmap_mode="r", verify=False)
    assert np.any(loaded.codes_ != index.codes_)


@pytest.mark.parametrize("oversampling", [None, 4, "bound"])
def test_searching_a_mapped_file_takes_little_memory(rng, path, oversampling):
    X = rng.standard_normal((40_000, 64)).astype(np.float32)
    index = BinaryNeighbors(5, query="vectors", oversampling=oversampling)
    index.fit(X).save(path)
    queries = X[: 100 if oversampling == "bound" else 1500]
    expected = index.kneighbors(queries)
    index = BinaryNeighbors.load(path, mmap_mode="r", verify=False)
    index.kneighbors(X[:64])  # compile
    megabyte = 2**20
    with config_context(working_memory=2):
        tracemalloc.start()
        found = index.kneighbors(queries)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert_array_equal(found, expected)
    # Queries and results besides; the vectors of the file are 10 MB.
    assert peak < 4 * megabyte


def test_unfitted(path):
    with pytest.raises(ValueError, match="not fitted"):
        BinaryNeighbors().save(path)
    assert not path.exists()


# Files of earlier versions.

GOLDEN = [
    ("vectors", BinaryNeighbors, [[0, 59, 17], [1, 12, 34], [2, 59, 28]]),
    ("codes", BinaryNeighborsTransformer, [[0, 14, 16], [1, 5, 12], [2, 28, 59]]),
    ("product", BinaryNeighbors, [[0, 59, 17], [1, 5, 12], [2, 59, 28]]),
]


@pytest.mark.parametrize(("name", "kind", "rows"), GOLDEN)
def test_files_of_version_0_1_are_read(name, kind, rows):
    path = Path(__file__).parent / "data" / f"index-0.1-{name}.skbq"
    X = np.sin(np.arange(60 * 13) ** 1.5).reshape(60, 13).astype(np.float32)
    assert kind.load(path).kneighbors(X[:3], 3)[1].tolist() == rows
    mapped = kind.load(path, mmap_mode="r")
    assert mapped.kneighbors(X[:3], 3)[1].tolist() == rows


# Files made to do damage: their checksums are right, what they hold is not.


def taken_apart(path):
    """Return the header and the arrays of a file."""
    whole = path.read_bytes()
    _, _, _, length = struct.unpack("<8sIIQ", whole[:24])
    header = json.loads(whole[24 : 24 + length])
    arrays = [
        np.frombuffer(whole, e["dtype"], int(np.prod(e["shape"])), e["offset"])
        .reshape(e["shape"])
        .copy()
        for e in header["arrays"]
    ]
    return header, arrays


def put_together(path, header, arrays):
    """Write a file whose checksums, size and places of arrays are right."""
    header = copy.deepcopy(header)
    room = len(json.dumps(header)) + 400
    end = 24 + room
    data = b""
    entries = header.get("arrays") if isinstance(header, dict) else None
    entries = entries if isinstance(entries, list) else []
    for entry, array in zip(entries, arrays, strict=False):
        if isinstance(entry, dict):
            start = end + -end % 64
            data += bytes(start - end) + array.tobytes()
            entry.update(offset=start, crc32=zlib.crc32(array.tobytes()))
            end = start + array.nbytes
    if "size" in header:
        header["size"] = end
    text = json.dumps(header).encode().ljust(room)
    prefix = struct.pack("<8sIIQ", b"SKBQ", 1, zlib.crc32(text), len(text))
    path.write_bytes(prefix + text + data)


def array_of(header, *names):
    """Return the number of the array that an attribute is."""
    state = header["state"]["attributes"]
    for name in names:
        steps = state.get("steps")
        if name.isdigit():
            state = steps["list"][int(name)]["tuple"][1]["attributes"]
        else:
            state = state[name]
            state = state.get("attributes", state)
    return state["array"]


def alter_signs(header, arrays):
    arrays[array_of(header, "quantizer_", "0", "signs_")][0, 0] = 0


def alter_order(header, arrays):
    arrays[array_of(header, "quantizer_", "0", "orders_")][1, 3] = 2**40


def repeat_order(header, arrays):
    orders = arrays[array_of(header, "quantizer_", "0", "orders_")]
    orders[1, 3] = orders[1, 4]


def negative_order(header, arrays):
    arrays[array_of(header, "quantizer_", "0", "orders_")][1, 3] -= 20


def thresholds_not_finite(header, arrays):
    arrays[array_of(header, "quantizer_", "1", "thresholds_")][2] = np.nan


def corrections_not_finite(header, arrays):
    arrays[array_of(header, "_corrections")][0, 2] = np.inf


def removed_by_two(header, arrays):
    arrays[array_of(header, "_removed")].view(np.uint8)[3] = 2


def fewer_vectors(header, arrays):
    number = array_of(header, "_vectors")
    arrays[number] = arrays[number][:50]
    header["arrays"][number]["shape"] = [50, 20]


def wider_codes(header, arrays):
    header["state"]["n_features"] = 24


def narrower_quantizer(header, arrays):
    steps = header["state"]["attributes"]["quantizer_"]["attributes"]["steps"]
    steps["list"][0]["tuple"][1]["attributes"]["n_features_in_"] = 19


def levels_falling(header, arrays):
    header["state"]["levels"] = {"tuple": [3, 1]}


def codes_of_one_bit(header, arrays):
    number = header["state"]["codes"]["array"]
    header["arrays"][number]["dtype"] = "|u1"
    header["state"]["levels"] = None
    arrays[number] = (arrays[number] & 255).astype(np.uint8)


def orders_as_floats(header, arrays):
    number = array_of(header, "quantizer_", "0", "orders_")
    header["arrays"][number]["dtype"] = "<f8"


def objects(header, arrays):
    header["arrays"][0]["dtype"] = "|O8"


def huge(header, arrays):
    header["arrays"][0]["shape"] = [2**40, 2**40]


def method_replaced(header, arrays):
    header["state"]["attributes"]["kneighbors"] = 3


def memory_of_pickles(header, arrays):
    quantizer = header["state"]["attributes"]["quantizer"]
    quantizer["attributes"]["memory"] = "/tmp"


def other_number_of_rows(header, arrays):
    for name, value in header["state"]["attributes"].items():
        if isinstance(value, dict) and name == "_removed":
            number = value["array"]
            arrays[number] = np.r_[arrays[number], arrays[number]]
            header["arrays"][number]["shape"] = [160]


def step_missing(header, arrays):
    header["state"]["attributes"]["quantizer_"]["attributes"]["steps"] = {"list": []}


ALTERATIONS = [
    *(alter_signs, alter_order, repeat_order, negative_order, orders_as_floats),
    *(thresholds_not_finite, corrections_not_finite, removed_by_two, fewer_vectors),
    *(wider_codes, narrower_quantizer, levels_falling, codes_of_one_bit, objects),
    *(huge, method_replaced, memory_of_pickles, other_number_of_rows, step_missing),
]


@pytest.mark.parametrize("alter", ALTERATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_what_a_kernel_relies_on_is_checked(X, path, alter, mmap_mode):
    index = BinaryNeighbors(
        quantizer=rotated(method="hadamard"),
        query="vectors",
        oversampling=2,
        corrections="exact",
    )
    index.fit(X).remove([5]).save(path)
    header, arrays = taken_apart(path)
    put_together(path, header, arrays)
    assert BinaryNeighbors.load(path).n_samples_fit_ == 80
    alter(header, arrays)
    put_together(path, header, arrays)
    for verify in (False, True):
        with pytest.raises(ValueError, match="was altered"):
            BinaryNeighbors.load(path, mmap_mode=mmap_mode, verify=verify)


def test_lengths_are_positive(X, path):
    index = BinaryNeighbors(quantizer=TwoBitQuantizer(magnitude="coordinate"))
    index.fit(X).save(path)
    header, arrays = taken_apart(path)
    number = array_of(header, "quantizer_", "magnitude_thresholds_")
    arrays[number][7] *= -1
    put_together(path, header, arrays)
    with pytest.raises(ValueError, match="magnitude_thresholds_ of TwoBitQuantizer"):
        BinaryNeighbors.load(path, verify=False)


VALUES = [
    *(None, True, -1, 0, 1, 7, 2**31, 2**63, 10**30, 1e308, float("nan"), 0.5, "x"),
    *("codes", "vectors", "<u8", [], {}, [1, 2], {"array": 0}, {"array": -1}),
    *({"tuple": [5, 2]}, {"class": "Pipeline", "attributes": {}}, {"names": ["a"]}),
]


def places(value, path=()):
    """List the ways to every value within a header."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def alter_at_random(rng, header, arrays):
    if rng.random() < 0.5:
        *way, last = list(places(header))[rng.integers(len(list(places(header))))]
        target = header
        for key in way:
            target = target[key]
        if rng.random() < 0.1:
            del target[last]
        else:
            target[last] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
        return
    array = arrays[rng.integers(len(arrays))]
    if array.size:
        data = array.reshape(-1).view(np.uint8)
        for place in rng.integers(len(data), size=rng.integers(1, 9)):
            data[place] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])


def test_files_altered_at_random(X, path):
    """No crash and no hang: an error that Python can catch, or an answer."""
    rounds = int(os.environ.get("SKBQ_FUZZ_ROUNDS", "15"))
    rng = np.random.default_rng(int(os.environ.get("SKBQ_FUZZ_SEED", "0")))
    refused = 0
    for name, index in INDEXES.items():
        index.fit(X).remove([3]).save(path)
        header, arrays = taken_apart(path)
        for _ in range(rounds):
            altered = copy.deepcopy(header), copy.deepcopy(arrays)
            alter_at_random(rng, *altered)
            put_together(path, *altered)
            mode = rng.choice([None, "r"])
            try:
                loaded = type(index).load(path, mmap_mode=mode, verify=False)
            except ValueError:
                refused += 1
                continue
            except TypeError as error:
                raise AssertionError((name, error)) from error
            with np.errstate(all="ignore"):
                try:
                    loaded.kneighbors(X[:5], 3)
                    loaded.partial_fit(X[:2]).kneighbors(n_neighbors=3)
                except (ValueError, TypeError):
                    pass
    assert refused > rounds


def test_a_hostile_header_takes_no_memory(X, path):
    BinaryNeighbors().fit(X).save(path)
    header, arrays = taken_apart(path)
    header["state"]["attributes"]["quantizer"] = [[]] * 10**6
    put_together(path, header, arrays)
    deep = path.with_name("deep")
    text = b'{"size":0,"arrays":[],"state":' + b"[" * 10**6 + b"]" * 10**6 + b"}"
    prefix = struct.pack("<8sIIQ", b"SKBQ", 1, zlib.crc32(text), len(text))
    deep.write_bytes(prefix + text)
    for file in (path, deep):
        tracemalloc.start()
        with pytest.raises(ValueError, match="altered"):
            BinaryNeighbors.load(file, mmap_mode="r")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100 * 2**20


def test_a_length_that_is_made_up_takes_no_memory(path):
    path.write_bytes(struct.pack("<8sIIQ", b"SKBQ", 1, 0, 2**22) + b"{}")
    tracemalloc.start()
    with pytest.raises(ValueError, match="its header is damaged"):
        BinaryNeighbors.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("n_arrays", [0, 1, 2, 30])
def test_headers_have_room_for_the_places_of_arrays(path, n_arrays):
    arrays = [np.arange(5 * i) for i in range(n_arrays)]
    write_file(path, {"a": 1}, arrays)
    state, found = read_file(path)
    assert state == {"a": 1}
    assert [array.tolist() for array in found] == [array.tolist() for array in arrays]


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "<c8"},
        {"dtype": ">i8"},
        {"offset": 64},
        {"offset": 128},
        {"shape": [-4]},
        {"shape": [True]},
        {"shape": [2.0]},
    ],
    ids=str,
)
def test_places_of_arrays_are_checked(change):
    """Each by itself: the type, the place and the shape."""
    entry = {"dtype": "<i8", "shape": [4], "offset": 192, "crc32": 0}
    whole = np.zeros(512, np.uint8)
    assert _array_at(whole, entry, 150).tolist() == [0] * 4
    assert _array_at(whole, {**entry, **change}, 150) is None


def test_rules_of_attributes():
    """Their limits, which a file made by this class seldom meets."""
    sizes = {"d": 4}
    assert [whole(1, 3)(n, sizes) for n in (0, 1, 3, 4)] == [False, True, True, False]
    assert not whole(0)(True, sizes)
    assert [number(0, 1)(x, sizes) for x in (-0.1, 0, 1, 1.1, np.nan, "1")] == [
        *(False, True, True, False, False, False)
    ]
    for right in ([0], [0, 3], [1, 2, 3]):
        assert coordinates(np.array(right), sizes)
    for wrong in ([], [0, 0], [2, 1], [-1, 2], [3, 4]):
        assert not coordinates(np.array(wrong, np.int64), sizes)


def test_vectors_in_another_file_lie_inside_of_it(tmp_path, X):
    path = tmp_path / "vectors.npy"
    np.save(path, X[:1])  # one row is enough
    vectors = np.load(path, mmap_mode="r")
    file = VectorFile.of(vectors)
    assert_array_equal(file.open(verify=True), X[:1])
    for change in (
        {"offset": file.offset + 1},
        {"offset": -1},
        {"shape": (0, 20)},
        {"shape": (2, 20)},
        {"strides": (-80, 4)},
    ):
        with pytest.raises(ValueError, match="has changed since"):
            dataclasses.replace(file, **change).open(verify=False)
    single = VectorFile.of(vectors[:, :1])
    assert_array_equal(single.open(verify=True), X[:1, :1])


def test_short_corrections_without_their_unit(X, path):
    """Only files that are older than short corrections have none."""
    BinaryNeighbors(query="vectors").fit(X).save(path)
    header, arrays = taken_apart(path)
    del header["state"]["attributes"]["_unit"]
    put_together(path, header, arrays)
    with pytest.raises(ValueError, match="short corrections are not what they must"):
        BinaryNeighbors.load(path)


# What mutants of the format showed to be looked at by no test.


def test_an_index_of_one_row(X, path):
    BinaryNeighbors().fit(X[:1]).save(path)
    assert BinaryNeighbors.load(path).kneighbors(X[:3], 1)[1].tolist() == [[0]] * 3
    of_one_row = FrozenEstimator(BinaryQuantizer().partial_fit(X[:1]))
    BinaryNeighbors(quantizer=of_one_row).fit(X).save(path)
    assert BinaryNeighbors.load(path).quantizer_.n_samples_seen_ == 1


def test_files_can_be_read_by_whom_the_umask_lets(X, path, tmp_path):
    BinaryNeighbors().fit(X).save(path)
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    ShardedNeighbors(folder=tmp_path / "shards").fit(X)
    manifest = tmp_path / "shards" / "manifest.json"
    assert manifest.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "change",
    [{"metric": "l2"}, {"n_neighbors": 0}, {"n_jobs": 0}, {"oversampling": -1}],
)
def test_parameters_of_a_file_are_checked(X, path, change):
    BinaryNeighbors().fit(X).save(path)
    index = read_index(path, BinaryNeighbors, mapped=False, verify=True)
    write_index(path, BinaryNeighbors, index)
    BinaryNeighbors.load(path)
    attributes = {**index.attributes, **change}
    write_index(path, BinaryNeighbors, IndexState(index.codes, attributes))
    with pytest.raises(ValueError, match="altered|holds what no index"):
        BinaryNeighbors.load(path)


def test_vectors_without_quantizer_are_refused(X, path):
    BinaryNeighbors().fit(BinaryQuantizer().fit_transform(X)).save(path)
    index = read_index(path, BinaryNeighbors, mapped=False, verify=True)
    assert index.attributes["quantizer_"] is None
    attributes = {**index.attributes, "_vectors": X}
    write_index(path, BinaryNeighbors, IndexState(index.codes, attributes))
    with pytest.raises(ValueError, match="altered|holds what no index"):
        BinaryNeighbors.load(path)


def test_what_belongs_together():
    quantizer = BinaryQuantizer()
    assert file_checks._pipeline_fits(Pipeline([("q", quantizer)]))
    for steps in (
        [("q", 3)],
        [("q", quantizer, 1)],
        [["q", quantizer]],
        [(1, quantizer)],
        [],
        [("q", quantizer), ("r", 3)],
    ):
        assert not file_checks._pipeline_fits(Pipeline(steps))
    rotation = RandomRotation("hadamard").fit(np.ones((2, 20)))
    assert file_checks._rotation_fits(rotation)
    rotation.orders_ = rotation.orders_[:-1]
    assert not file_checks._rotation_fits(rotation)


def test_identifiers_and_lists_of_other_types_are_refused():
    sizes = {"n": 3, "values": 20, "d": 20}
    text, ends = np.frombuffer(b"abc", np.uint8), np.array([1, 2, 3])
    assert file_checks._row_ids((text, ends), sizes)
    assert file_checks._row_ids(np.arange(3), sizes)
    for wrong in (
        *(None, 3, [1, 2], (text,), (text, ends, ends), (text, [1, 2, 3])),
        *((b"abc", ends), (text, ends[::-1]), (text, ends[:0]), (text, ends[:2])),
        *((text, np.array([1, 2, 3, 3])), np.arange(4)),
    ):
        assert not file_checks._row_ids(wrong, sizes)
    for wrong in (None, 3, (), (text,) * 5, (None,) * 6):
        assert not file_checks._are_lists(wrong, sizes)


def test_checksums_are_those_of_crc32(X, tmp_path):
    assert file_format._checksum(X) == zlib.crc32(X.tobytes())
    np.save(tmp_path / "X.npy", X)
    vectors = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert VectorFile.of(vectors).checksum == zlib.crc32(X.tobytes())


def test_lists_that_do_not_fit_together(X, path):
    lists = {"algorithm": "ivf", "n_lists": 20, "n_probes": 2, "random_state": 0}
    index = BinaryNeighbors(**lists).fit(X)
    index.partial_fit(X[:3]).save(path)
    state = read_index(path, BinaryNeighbors, mapped=False, verify=True)
    packed, n = state.attributes["_lists"], len(state.codes)

    def fits(**change):
        names = ("parents", "children", "centroids", "starts", "order", "added")
        parts = {**dict(zip(names, packed, strict=True)), **change}
        return fit_together(tuple(parts.values()), 20, n)

    assert fits()
    assert not fit_together(packed, 21, n)
    assert not fit_together(packed, 20, n + 1)
    parents, children, centroids, starts, order, added = packed
    assert len(parents) == 1
    assert len(added) == 3
    turned = np.copy(order)
    turned[:2] = turned[0]
    for change in (
        {"parents": parents[:, :-1]},
        {"parents": parents[:-1]},
        {"parents": parents[0]},
        {"parents": parents.astype("i2")},
        {"children": children[:-1]},
        {"children": children + 1},
        {"children": children[::-1]},
        {"children": children.astype("i4")},
        {"centroids": centroids[:, :-1]},
        {"centroids": centroids[:-1]},
        {"centroids": centroids.astype("f4")},
        {"centroids": centroids[:0]},
        {"starts": starts[:-1]},
        {"starts": starts + 1},
        {"starts": starts * (np.arange(len(starts)) < 5)},
        {"starts": starts[None]},
        {"order": order[:-1]},
        {"order": turned},
        {"order": order + np.uint32(1)},
        {"order": order.astype("i8")},
        {"added": added[:-1]},
        {"added": added + np.uint32(20)},
        {"added": np.append(added, added[:1])},
        {"added": added.astype("u8")},
    ):
        assert not fits(**change), change
