"""usearch: skbq's one-bit codes in a graph."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import program

STORED_FILE = "items.usearch"
_PYTHON = """\
index = Index(ndim=$n_bits, metric="hamming", dtype="b1", expansion_search=$ef)
$fill
matches = index.search(prepare.codes(queries), min($candidates, len(index)))
candidates = np.atleast_2d(matches.keys).astype(int)
$rerank
"""
_ADD = "index.add(np.arange(len(vectors)), prepare.codes(vectors))"
_LOAD = f'index.load("{STORED_FILE}")'
# Nodes that a search visits at least, and for each candidate. Set once and kept, not
# measured on their own.
_EXPANSION = 256
_TIMES = 4


def _write(plan: Plan) -> Snippets:
    imports = "import numpy as np\nfrom usearch.index import Index\n"
    ef = max(_EXPANSION, _TIMES * plan.n_candidates)
    rows = _LOAD if plan.stored else _ADD
    return Snippets("", "", "", program(plan, imports, _PYTHON, ef=ef, fill=rows))


USEARCH = Engine(
    "usearch",
    (
        Method(
            "a graph of skbq's codes by Hamming distance",
            (1,),
            "codes",
            "codes",
            "codes",
            reranks=False,
        ),
    ),
    _write,
    "Run with usearch 2.26.6 in skbq's tests (2026-12). "
    "https://unum-cloud.github.io/USearch/",
    largest=100_000,
)
