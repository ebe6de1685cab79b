"""Planning: the formulas, against indexes that exist and by hand."""

import json

import numpy as np
import pytest

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    PCAQuantizer,
    TwoBitQuantizer,
    plan_capacity,
)
from skbq.cli import main


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
@pytest.mark.parametrize("query", ["codes", "vectors"])
@pytest.mark.parametrize("bits", [1, 2])
def test_bytes_are_those_of_an_index(rng, bits, query, metric):
    X = rng.standard_normal((50, 21)).astype(np.float32)
    quantizer = BinaryQuantizer() if bits == 1 else TwoBitQuantizer()
    index = BinaryNeighbors(
        quantizer=quantizer, query=query, metric=metric, oversampling=2
    ).fit(X)
    plan = plan_capacity(50, 21, bits=bits, query=query, metric=metric, oversampling=2)
    assert plan.code_bytes + plan.correction_bytes == index.bytes_per_row_
    assert plan.vector_bytes == index.vector_bytes_per_row_


def test_bytes_of_principal_axes(rng):
    X = rng.standard_normal((300, 32)).astype(np.float32)
    quantizer = PCAQuantizer(1.5, correction_bytes=3)
    index = BinaryNeighbors(quantizer=quantizer, query="vectors").fit(X)
    plan = plan_capacity(300, 32, bits=1.5, code="pca", query="vectors")
    assert plan.code_bytes + plan.correction_bytes == index.bytes_per_row_


def test_formulas():
    plan = plan_capacity(
        10**9,
        800,
        bits=2,
        query="vectors",
        oversampling=5,
        vector_bytes=1600,
        probed_share=0.1,
        n_copies=2,
        memory_gb=50,
        n_cores=4,
        scan_gb_per_second=2,
        encode_rows_per_second=50_000,
        read_gb_per_second=1,
        random_reads_per_second=1000,
        shard_rows=10**6,
    )
    assert plan.index_gb == pytest.approx(200 + 3 + 8)
    assert plan.vectors_gb == pytest.approx(1600)
    assert plan.disk_gb == pytest.approx(2 * 1811)
    assert (plan.n_machines, plan.n_shards) == (5, 1000)
    assert plan.encode_hours == pytest.approx(1e9 / (5 * 4 * 50_000) / 3600)
    assert plan.scan_ms == pytest.approx(1e3 * 21.1 / (5 * 4 * 2))
    assert plan.rerank_ms == pytest.approx(1e3 * 50 / (5 * 1000))
    assert plan.query_network_kb == pytest.approx(5 * (3200 + 16 * 50) / 1e3)
    fast = plan_capacity(10**9, 800, latency_ms=10, n_cores=1, scan_gb_per_second=1)
    assert fast.n_machines == 10_000
    assert fast.scan_ms == pytest.approx(10)
    slow = plan_capacity(10**9, 800, read_gb_per_second=0.001)
    assert slow.encode_hours == pytest.approx(3200 / 2 / 0.001 / 3600)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_rows": 0}, "n_rows"),
        ({"bits": 3}, "'bits' parameter.*code='pca'"),
        ({"memory_gb": 0}, "'memory_gb' parameter.*range .0, inf"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"oversampling": 0.5}, "oversampling"),
        ({"probed_share": 1.5}, "probed_share"),
        ({"code": "none"}, "'coordinates', 'pca'"),
        ({"metric": "none"}, "metric"),
    ],
)
def test_what_makes_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        plan_capacity(**{"n_rows": 10, "n_features": 8, **options})


def test_command(capsys):
    assert main(["plan", "1e9", "768", "--query", "vectors", "--cores", "4"]) == 0
    out = capsys.readouterr().out
    assert "index gb" in out
    assert str(plan_capacity(10**9, 768, query="vectors", n_cores=4)) == out.strip("\n")
    assert main(["plan", "1000000", "768", "--bits", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code_bytes"] == 192
    assert main(["plan", "1e9", "768", "--bits", "3"]) == 2
    assert "--bits" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["plan", "1.5", "768"])
