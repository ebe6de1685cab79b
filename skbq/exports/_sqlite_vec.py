"""sqlite-vec: a bit column of skbq's codes, and the vectors beside it."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import fill, program

_LARGEST_K = 4096  # of a KNN query of vec0

_SCHEMA = """\
-- in the sqlite3 shell, after: .load vec0
CREATE VIRTUAL TABLE items USING vec0($columns);"""
_INSERT = """\
INSERT INTO items ($names) VALUES ($values);"""
_QUERY = """\
WITH candidates AS MATERIALIZED (
  SELECT $kept FROM items WHERE code MATCH vec_bit($code) AND k = $candidates
)
SELECT id FROM candidates ORDER BY $distance LIMIT $k;"""
_QUERY_ONCE = """\
SELECT id FROM items
WHERE code MATCH vec_bit($code) AND k = $candidates ORDER BY distance;"""

_IMPORTS = """\
import sqlite3  # pysqlite3 instead, where sqlite3 cannot load extensions

import numpy as np
import sqlite_vec
"""
STORED_FILE = "items.db"
_OPEN = f"""\
connection = sqlite3.connect("{STORED_FILE}")
connection.enable_load_extension(True)
sqlite_vec.load(connection)
"""
_FILL = """\
connection.execute(
    "CREATE VIRTUAL TABLE IF NOT EXISTS items USING vec0($columns)"
)
rows = np.asarray(vectors, dtype="<f4")
connection.executemany(
    "INSERT INTO items ($names) VALUES ($marks)",
    ($row for i, code in enumerate(prepare.codes(vectors))),
)
connection.commit()
"""
_SEARCH = """\
statement = \"\"\"
$query
\"\"\"
neighbors = np.array([
    [i for (i,) in connection.execute(statement, $bound)]
    for q, code in zip(np.asarray(queries, dtype="<f4"), prepare.codes(queries))
])
connection.close()
"""
_DISTANCES = {
    "cosine": "vec_distance_cosine(embedding, {q})",
    "euclidean": "vec_distance_L2(embedding, {q})",
    # |x - q|^2 - |x|^2 = |q|^2 - 2 <x, q>: there is no inner product in sqlite-vec.
    "inner_product": (
        "vec_distance_L2(embedding, {q}) * vec_distance_L2(embedding, {q}) - square"
    ),
}


def _write(plan: Plan) -> Snippets:
    reranks, square = plan.reranks, plan.strategy.metric == "inner_product"
    names = ["id", "code", "embedding", "square"]
    names = names[: (4 if square else 3) if reranks else 2]
    types = {
        "id": f"id {'TEXT' if plan.ids == 'text' else 'INTEGER'} PRIMARY KEY",
        "code": f"code bit[{8 * plan.n_bytes}]",
        "embedding": f"embedding float[{plan.d}]",
        "square": "+square FLOAT",
    }
    files = {
        "id": "0",
        "code": "vec_bit(readfile('row_code.bin'))",
        "embedding": "vec_f32(CAST(readfile('row.json') AS TEXT))",
        # Numbers that are whole have a whole sum, which FLOAT does not take.
        "square": "(SELECT sum(value * value) + 0.0 FROM json_each("
        "CAST(readfile('row.json') AS TEXT)))",
    }
    python = {
        "id": "i",
        "code": "code",
        "embedding": "rows[i]",
        "square": "float(rows[i] @ rows[i])",
    }
    marks = {"id": "?", "code": "vec_bit(?)", "embedding": "?", "square": "?"}
    columns = ", ".join(types[n] for n in names)
    shared = {"columns": columns, "names": ", ".join(names)}
    kept = ", ".join(n for n in names if n != "code")
    asked = "CAST(readfile('query.json') AS TEXT)"

    def query(code: str, q: str) -> str:
        template = _QUERY if reranks else _QUERY_ONCE
        distance = _DISTANCES[plan.strategy.metric].format(q=q)
        return fill(plan, template, kept=kept, code=code, distance=distance)

    return Snippets(
        fill(plan, _SCHEMA, **shared),
        fill(plan, _INSERT, **shared, values=", ".join(files[n] for n in names)),
        query("readfile('query_code.bin')", asked),
        program(
            plan,
            _IMPORTS,
            _OPEN + ("" if plan.stored else _FILL) + _SEARCH,
            **shared,
            marks=", ".join(marks[n] for n in names),
            row=f"({', '.join(python[n] for n in names)})",
            query=query(":code", ":q").rstrip(";"),
            bound='{"code": code, "q": q}' if reranks else '{"code": code}',
        ),
    )


SQLITE_VEC = Engine(
    "sqlite-vec",
    (
        Method(
            "a scan of a bit column by Hamming distance",
            (1,),
            "codes",
            "codes",
            "codes",
        ),
    ),
    _write,
    "Program and statements, in the sqlite3 shell, run with sqlite-vec 0.1.9 in skbq's "
    "tests (2026-12). "
    "https://alexgarcia.xyz/sqlite-vec/guides/binary-quant.html",
    largest=8192,
    shell="sql",
    notes=(f"A query gives {_LARGEST_K:,} candidates at most.",),
)
