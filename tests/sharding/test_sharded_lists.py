"""Lists that shards share: the same are probed in all, for one index's answers."""

import json
import os

import numpy as np
import pytest
from helpers import check_equal, rotated
from numpy.testing import assert_array_equal

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    PCAQuantizer,
    ShardedNeighbors,
    TwoBitQuantizer,
)
from skbq._sharding import index as sharded_index
from skbq._sharding import writing

LISTS = {"algorithm": "ivf", "n_lists": 12, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    centers = 2 * rng.standard_normal((12, 20))
    X = centers[rng.integers(0, 12, 700)] + rng.standard_normal((700, 20))
    X[300:320] = X[:20]  # ties over shards
    return X.astype(np.float32)


KINDS = {
    "1 bit": {"quantizer": BinaryQuantizer()},
    "2 bits": {"quantizer": rotated(TwoBitQuantizer())},
    "float queries": {"quantizer": rotated(BinaryQuantizer()), "query": "vectors"},
    "PCA codes": {"quantizer": PCAQuantizer(2.0, random_state=0), "query": "vectors"},
    "PCA codes, symmetric": {"quantizer": PCAQuantizer(2.0, random_state=0)},
    "reranked": {"quantizer": BinaryQuantizer(), "oversampling": 2.5},
}
MASKS = {
    "none": None,
    "third": np.arange(700) % 3 > 0,
    # Fewer rows than are wanted in the first lists, or in all.
    "few": np.isin(np.arange(700), [5, 31, 222, 400, 401, 402, 500, 601, 650, 699]),
    "three": np.isin(np.arange(700), [5, 400, 401]),
}


@pytest.mark.parametrize("name", KINDS)
def test_answers_equal_those_of_one_index(X, queries, folder, name):
    one = BinaryNeighbors(**KINDS[name], **LISTS).fit(X)
    index = ShardedNeighbors(folder=folder, shard_rows=150, **KINDS[name], **LISTS)
    index.fit(X)
    assert len(index.shard_files_) == 5
    for searched in (index, ShardedNeighbors.load(folder, verify=True)):
        assert searched.n_lists_ == one.n_lists_
        assert_array_equal(searched.list_sizes_, one.list_sizes_)
        assert str(searched.probe_curve_) == str(one.probe_curve_)
        for probes in ("auto", 1, 3, 0.2, 1.0):
            for i in (searched, one):
                i.set_params(n_probes=probes)
            assert searched.n_probes_ == one.n_probes_
            for mask in MASKS.values():
                check_equal(searched, one, queries, mask=mask)
    radius = float(np.median(one.kneighbors(queries, 9)[0][:, -1]))
    for mine, theirs in zip(
        index.radius_neighbors(queries, radius)[1],
        one.radius_neighbors(queries, radius)[1],
        strict=True,
    ):
        assert_array_equal(mine, theirs)


@pytest.mark.parametrize("quantizer", [BinaryQuantizer(), TwoBitQuantizer()])
def test_codes(X, queries, folder, quantizer):
    codes, asked = quantizer.fit(X).transform(X), quantizer.transform(queries)
    index = ShardedNeighbors(folder=folder, shard_rows=150, n_probes=3, **LISTS)
    one = BinaryNeighbors(n_probes=3, **LISTS).fit(codes)
    check_equal(index.fit(codes), one, asked)
    check_equal(ShardedNeighbors.load(folder), one, asked)


def test_rows_are_added_and_removed(X, queries, folder):
    options = {"query": "vectors", "n_probes": 3, **LISTS}
    one = BinaryNeighbors(**options).fit(X[:500]).partial_fit(X[500:])
    index = ShardedNeighbors(folder=folder, shard_rows=150, **options)
    index.fit(X[:500]).partial_fit(X[500:])
    check_equal(index, one, queries)
    gone = [3, 149, 150, 650]
    index.remove(gone)
    one.remove(gone)
    for probes in (3, 0.2):
        for i in (index, one):
            i.set_params(n_probes=probes)
        check_equal(index, one, queries)
    check_equal(ShardedNeighbors.load(folder, verify=True), one, queries)
    index.save(folder.parent / "one.skbq")
    check_equal(BinaryNeighbors.load(folder.parent / "one.skbq"), one, queries)
    queries = queries + np.float32(0.3)
    for i in (index, one):
        i.set_params(n_probes="auto").calibrate(queries)
    assert str(index.probe_curve_) == str(one.probe_curve_)


def test_more_rows_than_lists_learn_from(X, queries, folder, monkeypatch):
    """Lists of a sample are not those of one index; with them the answer is its own."""
    monkeypatch.setattr(writing, "_LIST_ROWS", 300)
    monkeypatch.setattr(writing, "_ROWS_OF_LIST", 8)
    index = ShardedNeighbors(folder=folder, shard_rows=150, query="vectors", **LISTS)
    index.fit(X).set_params(n_probes=3)
    index.save(folder.parent / "one.skbq")
    one = BinaryNeighbors.load(folder.parent / "one.skbq").set_params(n_probes=3)
    for mask in MASKS.values():
        check_equal(index, one, queries, mask=mask)
    brute = BinaryNeighbors(query="vectors").fit(X)
    check_equal(index.set_params(n_probes=1.0), brute, queries)
    # The sample is of all rows, and the same at every fit.
    again = ShardedNeighbors(
        folder=folder.parent / "again", shard_rows=90, query="vectors", **LISTS
    ).fit(X)
    assert_array_equal(again.list_sizes_, index.list_sizes_)


def test_a_stopped_run_goes_on(X, queries, folder, monkeypatch):
    make = {"folder": folder, "shard_rows": 150, "n_probes": 3, **LISTS}
    one = BinaryNeighbors(n_probes=3, **LISTS).fit(X)

    def stop(*args, **options):
        raise KeyboardInterrupt

    for name in ("write_shard", "write_learned"):
        with monkeypatch.context() as patch:
            if name == "write_learned":  # all shards are there, but not measured
                patch.setattr(ShardedNeighbors, "_measure_lists", stop)
            else:
                patch.setattr(sharded_index, name, stop)
            with pytest.raises(KeyboardInterrupt):
                ShardedNeighbors(**make, resume=True).fit(X)
        with pytest.raises(ValueError, match="not finished"):
            ShardedNeighbors.load(folder)
    index = ShardedNeighbors(**make, resume=True).fit(X)
    check_equal(index, one, queries)
    assert str(index.probe_curve_) == str(one.probe_curve_)
    assert json.loads((folder / "manifest.json").read_text())["complete"]
    assert sorted(os.listdir(folder))[:2] == ["learned.1.skbq", "manifest.json"]


def test_a_shard_alone_compares_all_of_its_rows(X, queries, folder):
    index = ShardedNeighbors(folder=folder, shard_rows=350, **LISTS).fit(X)
    for mmap_mode in (None, "r"):
        shard = BinaryNeighbors.load(index.shard_files_[0], mmap_mode=mmap_mode)
        check_equal(shard, BinaryNeighbors.load(index.shard_files_[0]), queries)
        with pytest.raises(ValueError, match="shard of an index.*load\\(folder\\)"):
            shard.set_params(n_probes=3).kneighbors(queries)
        with pytest.raises(ValueError, match="shard of an index"):
            shard.partial_fit(X[:3])


def test_parameters(X, folder):
    with pytest.raises(ValueError, match="algorithm='auto'.*'brute' or 'ivf'"):
        ShardedNeighbors(folder=folder, algorithm="auto").fit(X)
    with pytest.raises(ValueError, match="n_lists"):
        ShardedNeighbors(folder=folder, algorithm="ivf", n_lists=0).fit(X)
    index = ShardedNeighbors(folder=folder).fit(X)
    with pytest.raises(AttributeError, match="only of rows in lists"):
        index.n_lists_  # noqa: B018
