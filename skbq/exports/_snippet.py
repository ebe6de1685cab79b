"""Pieces of text that the snippets of several engines share."""

import json
from string import Template

from ._engine import Plan

_GIVEN = """\
# vectors, queries: float32 arrays, one vector a row
# neighbors: the numbers of the nearest rows of vectors, for each query
"""
_STORED = """\
# queries: float32 array, one query a row; this is run in the folder of this file
# neighbors: the $ids of the nearest rows, for each query
"""
_PREPARE = "import prepare  # prepare.py and prepare.npz, which save(folder) writes\n"


def program(plan: Plan, imports: str, template: str, /, **names: object) -> str:
    """Write a program, which imports ``prepare`` if it calls it."""
    body = fill(plan, template, **names)
    needs = _PREPARE if "prepare." in body else ""
    called = "numbers" if plan.ids == "rows" else "ids"
    given = fill(plan, _STORED, ids=called) if plan.stored else _GIVEN
    return f"{given}{imports}{needs}\n{body.rstrip()}"


def fill(plan: Plan, template: str, /, **names: object) -> str:
    """Fill ``$k`` and the like into a template."""
    known = {
        "d": plan.d,
        "k": plan.k,
        "n_bytes": plan.n_bytes,
        "n_bits": 8 * plan.n_bytes,
        "candidates": plan.n_candidates,
        "given": rows_and_queries(plan),
        "rerank": rerank(plan),
    }
    return Template(template).substitute({**known, **names})


def rows_and_queries(plan: Plan) -> str:
    """Write the line that names what the engine is given."""
    if plan.stored:
        return "query_rows = prepare.query(queries)"
    if plan.prepare.is_identity:
        return "rows, query_rows = vectors, queries"
    return "rows, query_rows = prepare.rows(vectors), prepare.query(queries)"


# Beside an index that holds neither.
VECTORS_FILE, IDS_FILE = "vectors.npy", "ids.npy"
_RERANK = """\
neighbors = np.array([
    ids[np.argsort(-(%s), kind="stable")[:%d]]
    for q, ids in zip(queries, candidates)
])"""


def rerank(plan: Plan) -> str:
    """Write the reranking of ``candidates``: row numbers for each query.

    Stored vectors and ids are read from the files that lie beside the index.
    """
    lines = ["neighbors = candidates"]
    if plan.reranks:
        lines = [_RERANK % (similarities(plan, "vectors[ids]"), plan.k)]
    if plan.stored and plan.reranks:
        lines.insert(0, f'vectors = np.load("{VECTORS_FILE}", mmap_mode="r")')
    if plan.ids in ("numbers", "text"):
        lines.append(f'neighbors = np.load("{IDS_FILE}")[neighbors]')
    return "\n".join(lines)


def similarities(plan: Plan, rows: str) -> str:
    """Write how near ``rows`` are to the query ``q``, more for nearer ones."""
    return {
        "cosine": f"{rows} @ q / np.linalg.norm({rows}, axis=1)",
        "euclidean": f"-np.linalg.norm({rows} - q, axis=1)",
        "inner_product": f"{rows} @ q",
    }[plan.strategy.metric]


def as_python(value: object) -> str:
    """Write a dict of JSON values as Python."""
    text = json.dumps(value, indent=4)
    for theirs, ours in (("true", "True"), ("false", "False"), ("null", "None")):
        text = text.replace(f": {theirs}", f": {ours}")
    return text


def curl(method: str, url: str, body: object) -> str:
    """Write a request; ``"@row.json"`` in its body becomes what that file holds."""
    text = json.dumps(body, indent=2)
    for name in ("row.json", "query.json", "row_code.json", "query_code.json"):
        text = text.replace(f'"@{name}"', f"'\"$(cat {name})\"'")
    return (
        f"curl -fsS -X {method} \"{url}\" -H 'Content-Type: application/json' -d '"
        f"{text}'"
    )
