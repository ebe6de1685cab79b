"""Exports on the engines themselves, as printed, with the recall they promise."""

import warnings
from itertools import product

import numpy as np
import pytest
from engines import RUNNABLE, generated_counts, off_origin, recall

from skbq import BinaryNeighbors, QuantizationAdvisor
from skbq._quantization.strategy import Strategy
from skbq.datasets import load_wordnet_minilm
from skbq.exports import export

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]

METRICS = ("cosine", "euclidean", "inner_product")
SETS = ("shipped", "off origin", "counts")
N_ROWS, N_QUERIES, K = 2500, 120, 10
# An index that is built at random may miss the promised interval by that much.
SLACK = 0.01


@pytest.fixture(scope="module", params=sorted(RUNNABLE))
def engine(request, tmp_path_factory):
    """Start an engine; give its name and what runs a program on it."""
    modules, start = RUNNABLE[request.param]
    for module in modules:
        pytest.importorskip(module)
    with start(tmp_path_factory.mktemp("server")) as run:
        yield request.param, run


@pytest.fixture(scope="session")
def advised():
    """Return advisors by set and metric, each fitted once when it is asked for."""
    glosses = load_wordnet_minilm()
    shipped = glosses.data[:N_ROWS], glosses.queries[:N_QUERIES]
    data = {
        "shipped": shipped,
        "off origin": off_origin(*shipped),
        "counts": generated_counts(N_ROWS, N_QUERIES),
    }
    known = {}

    def get(name, metric):
        vectors, queries = data[name]
        if (name, metric) not in known:
            advisor = QuantizationAdvisor(metric=metric, random_state=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                known[name, metric] = advisor.fit(vectors, queries=queries)
        return known[name, metric], vectors, queries

    return get


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", SETS)
def test_program_runs_as_printed_and_keeps_its_promise(
    engine, advised, name, metric, tmp_path
):
    engine_name, run = engine
    advisor, vectors, queries = advised(name, metric)
    answer = advisor.export(engine_name)
    neighbors = run(answer, vectors, queries, tmp_path)
    assert neighbors.shape == (len(queries), K)
    measured = recall(neighbors, vectors, queries, metric)
    assert measured >= answer.promise.low - SLACK


def test_every_strategy_runs(engine, tmp_path):
    """Every combination gives something that runs, and finds what is near."""
    name, run = engine
    rng = np.random.default_rng(0)
    X = rng.normal(size=(330, 64)) * np.linspace(0.3, 1.5, 64) + rng.normal(size=64)
    vectors, queries = X[:300].astype(np.float32), X[300:].astype(np.float32)
    seen = set()
    for number, (center, rotate, bits, query, metric, oversampling) in enumerate(
        product(
            (False, True),
            (False, True),
            (1, 2),
            ("codes", "vectors"),
            METRICS,
            (None, 4.0),
        )
    ):
        answer = export(
            {
                "center": center,
                "rotate": rotate,
                "bits": bits,
                "query": query,
                "oversampling": oversampling,
                "metric": metric,
                "n_features": 64,
                "n_neighbors": K,
            },
            name,
        )
        if (answer.python, repr(answer.prepare)) in seen:
            continue
        seen.add((answer.python, repr(answer.prepare)))
        neighbors = run(answer, vectors, queries, tmp_path / str(number))
        assert neighbors.shape == (len(queries), K)
        own = own_recall(answer, metric, oversampling, vectors, queries)
        assert recall(neighbors, vectors, queries, metric) > own - 0.1


def own_recall(answer, metric, oversampling, vectors, queries):
    """Return what skbq's index reaches with one bit of the same strategy."""
    query = "codes" if ", symmetric search" in answer.strategy else "vectors"
    threshold = "mean" if "centered" in answer.strategy else "zero"
    strategy = Strategy(1, query, "rotated" in answer.strategy, threshold)
    index = BinaryNeighbors(
        K,
        quantizer=strategy.make_quantizer(),
        metric=metric,
        query=query,
        oversampling=oversampling,
    )
    found = index.fit(vectors).kneighbors(queries, return_distance=False)
    return recall(found, vectors, queries, metric)
