"""Saving and loading: whole, unaltered, without pickle."""

import os
import pickle
import signal
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from skbq import (
    BinaryNeighbors,
    BinaryNeighborsTransformer,
    BinaryQuantizer,
    RandomRotation,
    TwoBitQuantizer,
)


@pytest.fixture
def X(rng):
    return rng.standard_normal((80, 20)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "index.skbq"


def rotated(method="haar"):
    return make_pipeline(RandomRotation(method, random_state=0), TwoBitQuantizer())


INDEXES = {
    "default": BinaryNeighbors(),
    "1 bit": BinaryNeighbors(quantizer=BinaryQuantizer(np.full(20, 0.1))),
    "float queries": BinaryNeighbors(quantizer=rotated(), query="vectors"),
    "dct": BinaryNeighbors(quantizer=rotated("dct"), metric="euclidean"),
    "hadamard": BinaryNeighbors(quantizer=rotated("hadamard"), query="vectors"),
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
    assert peak < 3 * megabyte


def test_unfitted(path):
    with pytest.raises(ValueError, match="not fitted"):
        BinaryNeighbors().save(path)
    assert not path.exists()
