"""Exports of a linear map to the strongest axes, whose signs an engine compares."""

import sys

import numpy as np
import pytest

from skbq import QuantizationAdvisor
from skbq.datasets import make_gaussian
from skbq.exports import ENGINES, export
from skbq.metrics import neighbor_recall

D = 72
TAKE_CODES = {
    "duckdb",
    "faiss",
    "pgvector",
    "redis",
    "sentence-transformers",
    "sqlite-vec",
    "usearch",
    "vespa",
}


@pytest.fixture(scope="module")
def data():
    X = make_gaussian(1200, D, spectrum=0.9, mean=1.0, random_state=0)
    return X[200:].astype(np.float32), X[:200].astype(np.float32)


@pytest.fixture(scope="module")
def advisor(data):
    """Half a bit for each coordinate: nothing else is so small."""
    rows, queries = data
    advisor = QuantizationAdvisor(target_recall=0.9, max_bytes=4, random_state=0)
    return advisor.fit(rows, queries=queries)


@pytest.fixture(scope="module")
def unlimited(data):
    rows, queries = data
    advisor = QuantizationAdvisor(target_recall=0.9, random_state=0)
    return advisor.fit(rows, queries=queries)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("engine", sorted(TAKE_CODES))
def test_an_engine_that_takes_codes_gets_the_map(engine, advisor):
    answer = advisor.export(engine)
    assert answer.strategy.startswith("PCA to 32 bits, symmetric search")
    curve = advisor.recall_curves_["PCA to 32 bits, symmetric search"]
    assert answer.promise == curve.at(answer.oversampling)
    assert answer.prepare.rotation_.shape == (D, 32)
    assert "X @ rotation - center" in str(answer)
    if engine == "pgvector":
        assert "embedding vector(72), code bit(32)" in answer.schema
        assert "count=32" in answer.python
    if engine == "redis":
        assert "VALUES 32" in answer.insert
    compile(answer.python, engine, "exec")


@pytest.mark.parametrize("engine", sorted({*ENGINES} - TAKE_CODES))
def test_an_engine_that_codes_itself_says_that_it_cannot(engine, advisor):
    with pytest.raises(ValueError, match=f"{engine} can run none of these.*PCA to 32"):
        advisor.export(engine)


def test_the_promise_holds_for_the_prepared_codes(advisor, data, tmp_path, monkeypatch):
    rows, queries = data
    answer = advisor.export("usearch")
    answer.save(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "prepare", raising=False)
    import prepare as module

    codes, asked = module.codes(rows), module.codes(queries)
    monkeypatch.delitem(sys.modules, "prepare")
    np.testing.assert_array_equal(codes, answer.prepare.codes(rows))
    assert codes.shape == (1000, 4)
    apart = np.bitwise_count(asked[:, None] ^ codes).sum(axis=2, dtype=int)
    n_candidates = int(np.ceil(10 * (answer.oversampling or 1)))
    found = np.argsort(apart, axis=1, kind="stable")[:, :n_candidates]
    exact = 1 - unit(queries) @ unit(rows).T
    reranked = np.sort(np.take_along_axis(exact, found, axis=1), axis=1)[:, :10]
    recall = neighbor_recall(np.sort(exact, axis=1)[:, :10], reranked)
    # The promise is read off a curve between two depths that were measured.
    assert recall == pytest.approx(answer.promise.value, abs=0.01)


def test_the_plain_code_is_kept_where_it_reranks_less(unlimited):
    answer = unlimited.export("usearch")
    plain = [
        point
        for point in unlimited.bytes_curve_.measured
        if (point.family, point.query) == ("1 bit", "codes")
    ]
    assert len(plain) == 1
    assert answer.oversampling == plain[0].oversampling
    assert answer.strategy.startswith(plain[0].strategy)
    assert answer.promise == plain[0].recall_reranked


def test_a_code_of_principal_axes_is_refused_as_a_recommendation(unlimited):
    assert unlimited.recommended_["code"] == "principal axes"
    with pytest.raises(ValueError, match=r"no other engine takes.*export\(engine\)"):
        export(unlimited.recommended_, "pgvector")


def test_vectors_of_many_coordinates_are_prepared_whole(rng):
    """The profile is that of 2,048 of them."""
    X = rng.standard_normal((60, 2100)).astype(np.float32)
    advisor = QuantizationAdvisor(n_neighbors=3, random_state=0).fit(X)
    assert advisor.export("duckdb").prepare.codes(X).shape == (60, 263)
