"""pgvector: signs taken by binary_quantize, or skbq's codes in a bit column."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import fill, program

# Rows that an HNSW scan looks at: at least these, that many for each candidate, and
# the most that hnsw.ef_search may be. Set once and kept, not measured on their own.
_EF_LEAST, _EF_TIMES, _EF_MOST = 200, 4, 1000

_SCHEMA = """\
CREATE EXTENSION IF NOT EXISTS vector;  -- 0.8.3 or later: before, HNSW was corrupted
CREATE TABLE items (id $type PRIMARY KEY, $columns);
$rows
CREATE INDEX items_code ON items USING hnsw ($indexed bit_hamming_ops);"""
_COPY = "\\copy items (id{names}) FROM '{file}' WITH (FORMAT binary)"
_INSERT = """\
-- in psql, from the folder of row.json; many rows: COPY, as in the Python
${set}INSERT INTO items (id$names) VALUES (0$values);"""
_QUERY = """\
-- each session needs this, or once: ALTER DATABASE name SET hnsw.ef_search = $ef
SET hnsw.ef_search = $ef;${iterative}
${set}$select"""
_SELECT_RERANKED = """\
SELECT id FROM (
  SELECT id, embedding FROM items
  ORDER BY $code <~> $asked LIMIT $candidates
) AS candidates
ORDER BY embedding $operator $q LIMIT $k;"""
_SELECT = "SELECT id FROM items ORDER BY $code <~> $asked LIMIT $k;"

_IMPORTS = """\
import numpy as np
import psycopg
"""
STORED_FILE = "items.copy"
_OPEN = """\
${bits}def text(vector):
    return "[" + ",".join(map(str, vector.tolist())) + "]"

connection = psycopg.connect(autocommit=True)  # PGHOST, PGUSER, ... say where
"""
_FILL = """\
connection.execute(\"\"\"
$schema
\"\"\")
with connection.cursor().copy("COPY items (id$names) FROM STDIN") as copy:
    for i, $row in enumerate($rows):
        copy.write_row((i, $values))
connection.execute(
    "CREATE INDEX items_code ON items USING hnsw ($indexed bit_hamming_ops)"
)
"""
_SEARCH = """\
connection.execute("SET hnsw.ef_search = $ef")  # each session needs it$iterative
statement = \"\"\"
$query
\"\"\"
neighbors = np.array([
    [i for (i,) in connection.execute(statement, $bound)]
    for $asked in $queries
])
connection.close()
"""
_BITS = """\
def bit_strings(X):
    bits = np.unpackbits(prepare.codes(X), axis=-1, count=$d)
    return ["".join(map(str, row)) for row in bits]

"""
_OPERATORS = {"cosine": "<=>", "euclidean": "<->", "inner_product": "<#>"}


def _write(plan: Plan) -> Snippets:
    own = plan.stored or not plan.prepare.is_identity
    reranks, d, n_bits = plan.reranks, plan.d, plan.n_bits
    embedding = reranks or not own
    columns = [f"embedding vector({d})"] * embedding + [f"code bit({n_bits})"] * own
    names = [", embedding"] * embedding + [", code"] * own
    indexed = "code" if own else f"(binary_quantize(embedding)::bit({d}))"
    ef = min(max(_EF_LEAST, _EF_TIMES * plan.n_candidates), _EF_MOST)
    scan_on = plan.n_candidates > _EF_MOST
    iterative = "SET hnsw.iterative_scan = strict_order;"
    shared = {"names": "".join(names), "indexed": indexed, "ef": ef}
    schema = fill(
        plan,
        _SCHEMA,
        type="text" if plan.ids == "text" else "bigint",
        columns=", ".join(columns),
        rows=_COPY.format(names=shared["names"], file=STORED_FILE)
        if plan.stored
        else "-- once the first rows are in:",
        **shared,
    )

    def select(q: str, q_code: str) -> str:
        return fill(
            plan,
            _SELECT_RERANKED if reranks else _SELECT,
            code="code" if own else indexed[1:-1],
            asked=f"{q_code}::bit({n_bits})"
            if own
            else f"binary_quantize({q}::vector({d}))",
            operator=_OPERATORS[plan.strategy.metric],
            q=f"{q}::vector({d})",
        )

    def psql(name: str) -> str:
        """Set the variables that a statement uses, from files."""
        lines = [f"\\set {name} `cat {name}.json`\n"] * embedding
        return "".join(lines + [f"\\set {name}_code `cat {name}_code.bits`\n"] * own)

    loop = {
        (True, True): ("(row, code)", "zip(vectors, bit_strings(vectors))"),
        (True, False): ("row", "vectors"),
        (False, True): ("code", "bit_strings(vectors)"),
    }[embedding, own]
    asked = {
        (True, True): ("q, code", "zip(queries, bit_strings(queries))"),
        (True, False): ("q", "queries"),
        (False, True): ("code", "bit_strings(queries)"),
    }[embedding, own]
    bound = ['"q": text(q)'] * embedding + ['"code": code'] * own
    values = ["text(row)"] * embedding + ["code"] * own
    return Snippets(
        schema,
        fill(
            plan,
            _INSERT,
            **shared,
            set=psql("row"),
            values=", :'row'" * embedding + ", :'row_code'" * own,
        ),
        fill(
            plan,
            _QUERY,
            ef=ef,
            iterative=f"\n{iterative}" * scan_on,
            set=psql("query"),
            select=select(":'query'", ":'query_code'"),
        ),
        program(
            plan,
            _IMPORTS,
            _OPEN + ("" if plan.stored else _FILL) + _SEARCH,
            **shared,
            bits=_BITS.replace("$d", str(n_bits)) if own else "",
            schema="\n".join(schema.splitlines()[:2]),
            row=loop[0],
            rows=loop[1],
            values=", ".join(values),
            iterative=f'\nconnection.execute("{iterative}")' * scan_on,
            query=select("%(q)s", "%(code)s").rstrip(";"),
            bound="{" + ", ".join(bound) + "}",
            asked=asked[0],
            queries=asked[1],
        ),
    )


PGVECTOR = Engine(
    "pgvector",
    (
        Method(
            "Hamming distance between bit strings, in an HNSW index",
            (1,),
            "codes",
            "codes",
            "codes",
        ),
    ),
    _write,
    "Program and statements, in psql, run with pgvector 0.8.5 on PostgreSQL in skbq's "
    "tests (2026-12). "
    "https://github.com/pgvector/pgvector",
    largest=16_000,
    shell="sql",
    notes=(
        "The program is for psycopg 3. asyncpg takes a code as "
        "asyncpg.BitString(code) for $1::bit, not as text.",
        "Measure recall once in place: an HNSW graph may lose some on more rows; raise "
        "hnsw.ef_search (up to 1,000).",
    ),
)
