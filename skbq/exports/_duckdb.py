"""DuckDB: skbq's codes as BIT, searched by bit_count(xor(...)) in plain SQL."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import fill, program

_SCHEMA = """\
CREATE TABLE items (id $type PRIMARY KEY, $columns);"""
_INSERT = """\
INSERT INTO items SELECT 0, $values;"""
_QUERY = """\
SELECT id FROM (
  SELECT id, embedding FROM $items
  ORDER BY bit_count(xor(code, $code)), id LIMIT $candidates
)
ORDER BY $distance LIMIT $k;"""
_QUERY_ONCE = """\
SELECT id FROM $items ORDER BY bit_count(xor(code, $code)), id LIMIT $k;"""

STORED_FILE = "items.duckdb"
PARQUET_FILE = "items.parquet"
_IMPORTS = """\
import duckdb
import numpy as np
"""
_FILL = """\
import pyarrow as pa

def binary(codes):
    width = codes.shape[1]
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(codes), [None, pa.py_buffer(np.ascontiguousarray(codes))]
    )

rows = pa.table({
    "id": pa.array(np.arange(len(vectors), dtype=np.int32)),
    "code": binary(prepare.codes(vectors)),
    "embedding": pa.FixedSizeListArray.from_arrays(
        pa.array(np.asarray(vectors, dtype=np.float32).ravel()), $d
    ),
})
$open
connection.execute("$schema")
connection.execute("INSERT INTO items SELECT id, code::BIT$embedding FROM rows")
"""
_SEARCH = """\
statement = \"\"\"
$query
\"\"\"
neighbors = np.array([
    [i for (i,) in connection.execute(statement, $bound).fetchall()]
    for q, code in zip(queries, prepare.codes(queries))
])
connection.close()
"""
_DISTANCES = {
    "cosine": "array_cosine_distance",
    "euclidean": "array_distance",
    "inner_product": "array_negative_inner_product",
}


def _write(plan: Plan) -> Snippets:
    return _snippets(plan, "items", f'connection = duckdb.connect("{STORED_FILE}")')


def write_for_parquet(plan: Plan) -> Snippets:
    """Write snippets that search a Parquet file where it lies."""
    # Parquet knows neither BIT nor, as DuckDB reads it, arrays of a fixed size.
    columns = "id, code::BIT AS code"
    if plan.reranks:
        columns += f", embedding::FLOAT[{plan.d}] AS embedding"
    items = f"(SELECT {columns} FROM '{PARQUET_FILE}')"
    return _snippets(plan, items, "connection = duckdb.connect()")


def _snippets(plan: Plan, items: str, connect: str) -> Snippets:
    columns = "code BIT" + (f", embedding FLOAT[{plan.d}]" if plan.reranks else "")
    types = {None: "INTEGER", "rows": "BIGINT", "numbers": "BIGINT", "text": "VARCHAR"}
    schema = fill(plan, _SCHEMA, type=types[plan.ids], columns=columns)
    text = "(SELECT content FROM read_text('{}'))"
    # A string of as many bits, filled up to whole bytes as prepare.codes fills them.
    code = f"rpad({text}, {8 * plan.n_bytes}, '0')::BIT"
    values = code.format("row_code.bits")
    if plan.reranks:
        values += f", {text.format('row.json')}::FLOAT[{plan.d}]"

    def query(code: str, q: str) -> str:
        distance = (
            f"{_DISTANCES[plan.strategy.metric]}(embedding, {q}::FLOAT[{plan.d}])"
        )
        template = _QUERY if plan.reranks else _QUERY_ONCE
        return fill(plan, template, items=items, code=code, distance=distance)

    bound = '{"code": code.tobytes()' + (', "q": q.tolist()}' if plan.reranks else "}")
    return Snippets(
        schema,
        fill(plan, _INSERT, values=values),
        query(code.format("query_code.bits"), text.format("query.json")),
        program(
            plan,
            _IMPORTS,
            (f"{connect}\n" if plan.stored else _FILL) + _SEARCH,
            open=connect,
            schema=schema.rstrip(";"),
            embedding=", embedding" if plan.reranks else "",
            query=query("$code::BLOB::BIT", "$q").rstrip(";"),
            bound=bound,
        ),
    )


DUCKDB = Engine(
    "duckdb",
    (
        Method(
            "a scan of a BIT column by Hamming distance",
            (1,),
            "codes",
            "codes",
            "codes",
        ),
    ),
    _write,
    "Program and statements run with DuckDB 2.0.1 in skbq's tests (2026-12). "
    "https://duckdb.org/docs/stable/sql/data_types/bitstring",
    largest=100_000,
    shell="sql",
)
