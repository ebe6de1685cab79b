"""faiss: skbq's one-bit codes, or RaBitQ for float queries and two bits."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import program

STORED_FILE = "items.faiss"
_BUILD = """\
codes = prepare.codes(vectors)
index = faiss.IndexBinaryFlat(8 * codes.shape[1])
index.add(codes)
"""
_READ = f'index = faiss.read_index_binary("{STORED_FILE}")\n'
_SEARCH = """\
_, candidates = index.search(prepare.codes(queries), min($candidates, index.ntotal))
$rerank
"""

# With qb = 0 queries stay floats. The rows' mean is the center, unless it is set.
_RABITQ = """\
rows, query_rows = np.array(vectors), np.array(queries)
assert np.isfinite(rows).all() and np.isfinite(query_rows).all()  # faiss does not say
${unit}rabitq = faiss.IndexRaBitQ($d, faiss.$metric, $bits)
rabitq.qb = 0  # float queries
index = rabitq
${rotate}index.train(rows)
${center}${refine}index.add(rows)
_, neighbors = index.search(query_rows, $k)
"""
_UNIT = "faiss.normalize_L2(rows)\nfaiss.normalize_L2(query_rows)\n"
_ROTATE = "index = faiss.IndexPreTransform(faiss.RandomRotationMatrix($d, $d), index)\n"
_NO_CENTER = 'faiss.copy_array_to_vector(np.zeros($d, "float32"), rabitq.center)\n'


def _write(plan: Plan) -> Snippets:
    imports = "import faiss\nimport numpy as np\n"
    if plan.method is _CODES:
        index = _READ if plan.stored else _BUILD
        return Snippets("", "", "", program(plan, imports, index + _SEARCH))
    d = str(plan.d)
    factor = plan.strategy.oversampling
    refine = f"index = faiss.IndexRefineFlat(index)\nindex.k_factor = {factor}\n"
    text = program(
        plan,
        imports,
        _RABITQ,
        unit=_UNIT if plan.strategy.metric == "cosine" else "",
        metric="METRIC_L2" if plan.metric == "euclidean" else "METRIC_INNER_PRODUCT",
        bits=int(plan.strategy.bits),
        rotate=_ROTATE.replace("$d", d) if plan.strategy.rotate else "",
        center="" if plan.strategy.center else _NO_CENTER.replace("$d", d),
        refine=refine if plan.reranks else "",
    )
    return Snippets("", "", "", text)


_CODES = Method(
    "IndexBinaryFlat on skbq's codes", (1,), "codes", "codes", "codes", reranks=False
)
_RABITQ_METHOD = Method("IndexRaBitQ", (1, 2), "vectors", "option", "option")

FAISS = Engine(
    "faiss",
    (_CODES, _RABITQ_METHOD),
    _write,
    "Run with faiss 1.15.1 in skbq's tests (2026-12). "
    "https://github.com/facebookresearch/faiss/wiki",
    largest=100_000,
)
