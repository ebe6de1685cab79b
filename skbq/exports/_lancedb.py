"""LanceDB: IVF_RQ, which is RaBitQ of one bit or more."""

from math import ceil

from ._candidates import Candidate
from ._engine import Engine, Method, Plan, Snippets
from ._snippet import program

_IMPORTS = """\
import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfRq
"""
_PYTHON = """\
$given
database = lancedb.connect("items.lance")
table = database.create_table("items", pa.table({
    "id": np.arange(len(rows)),
    "vector": pa.FixedSizeListArray.from_arrays(
        pa.array(np.asarray(rows, dtype=np.float32).ravel()), $d
    ),
}))
# Lists of about 4,000 rows; all of them are searched, as recall was measured.
lists = max(1, len(rows) // 4096)
table.create_index(
    "vector",
    config=IvfRq(distance_type="$metric", num_bits=$bits, num_partitions=lists),
)

def search(q):
    search = table.search(q).nprobes(lists).limit($k)$refine
    return search.select(["id", "_distance"]).to_arrow()["id"].to_numpy()

neighbors = np.array([search(q) for q in query_rows])
"""
_METRICS = {"cosine": "cosine", "euclidean": "l2", "inner_product": "dot"}
# RaBitQ sees the lengths of vectors only roughly: .86 at 8 and .98 at 20 was measured
# under "dot" where they are uneven, and without reranking .17 less than skbq's code.
_DOT_FACTOR = 20.0


def _oversample(strategy: Candidate) -> float | None:
    if strategy.metric != "inner_product":
        return strategy.oversampling
    return max(strategy.oversampling or 1.0, _DOT_FACTOR)


def _write(plan: Plan) -> Snippets:
    factor = ceil(plan.strategy.oversampling or 1)
    refine = f".refine_factor({factor})" if plan.reranks else ""
    text = program(
        plan,
        _IMPORTS,
        _PYTHON,
        metric=_METRICS[plan.metric],
        bits=int(plan.strategy.bits),
        refine=refine,
    )
    return Snippets("", "", "", text)


LANCEDB = Engine(
    "lancedb",
    (
        Method(
            "IVF_RQ (RaBitQ)",
            (1, 2),
            "vectors",
            "engine",
            "engine",
            oversample=_oversample,
            notes=(
                "refine_factor is a whole number, here rounded up, and at least "
                f"{_DOT_FACTOR:g} under 'dot', where vectors of uneven length need it, "
                "even if skbq would not rerank.",
            ),
        ),
    ),
    _write,
    "Run with LanceDB 0.40.0 in skbq's tests (2026-12). "
    "https://docs.lancedb.com/indexing/quantization",
    largest=100_000,
    notes=("Call table.optimize() after rows are added, so that the index has them.",),
)
