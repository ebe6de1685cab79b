"""Redis: a vector set with BIN, which keeps the signs of what it is given."""

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import program, similarities

BUILD_EF = 400
_EF_LEAST, _EF_TIMES = 400, 4

_SCHEMA = "# A vector set has no schema: the first VADD makes it."
_INSERT = """\
redis-cli VADD items VALUES {d} $(tr -d '[],' < row.json) 0 BIN EF {build}"""
_QUERY = """\
redis-cli VSIM items VALUES {d} $(tr -d '[],' < query.json) COUNT {n} EF {ef}
# then rerank these with your vectors, as the Python does"""
_QUERY_ONCE = """\
redis-cli VSIM items VALUES {d} $(tr -d '[],' < query.json) COUNT {n} EF {ef}"""

_IMPORTS = "import numpy as np\nimport redis\n"
STORED_FILE = "items.resp"
_FILL = """\
$given
client = redis.Redis()  # localhost:6379
with client.pipeline(transaction=False) as pipe:
    for i, row in enumerate(np.asarray(rows, dtype="<f4")):
        pipe.execute_command(
            "VADD", "items", "FP32", row.tobytes(), i, "BIN", "EF", $build
        )
        if i % 1000 == 999:
            pipe.execute()
    pipe.execute()

"""
_SEARCH = """\
def search(q):
    found = client.execute_command(
        "VSIM", "items", "FP32", q.tobytes(), "COUNT", $candidates, "EF", $ef
    )
    return np.array([int(i) for i in found])

candidates = [search(q) for q in np.asarray(query_rows, dtype="<f4")]
$rerank
"""

# Its file brings the vectors too, in a hash.
_OPEN = """\
$given
client = redis.Redis()  # localhost:6379

def search(q, prepared):
    found = client.execute_command(
        "VSIM", "items", "FP32", prepared.tobytes(), "COUNT", $candidates, "EF", $ef
    )
$order    return [$name for key in found]

neighbors = np.array([
    search(q, prepared)
    for q, prepared in zip(queries, np.asarray(query_rows, dtype="<f4"))
])
"""
_ORDER = """\
    stored = client.hmget("items:vectors", found)
    rows = np.array([np.frombuffer(row, dtype="<f4") for row in stored])
    order = np.argsort(-({similarity}), kind="stable")
    found = [found[i] for i in order[:{k}]]
"""


def _write(plan: Plan) -> Snippets:
    ef = max(_EF_LEAST, _EF_TIMES * plan.n_candidates)
    numbers = {"d": plan.n_bits, "n": plan.n_candidates, "ef": ef, "build": BUILD_EF}
    if plan.stored:
        order = _ORDER.format(similarity=similarities(plan, "rows"), k=plan.k)
        name = "key.decode()" if plan.ids == "text" else "int(key)"
        names = {"order": order if plan.reranks else "", "name": name}
        return Snippets(
            f"redis-cli --pipe < {STORED_FILE}",
            "",
            _QUERY_ONCE.format(**numbers),
            program(plan, _IMPORTS, _OPEN, ef=ef, **names),
        )
    return Snippets(
        _SCHEMA,
        _INSERT.format(**numbers),
        (_QUERY if plan.reranks else _QUERY_ONCE).format(**numbers),
        program(plan, _IMPORTS, _FILL + _SEARCH, ef=ef, build=BUILD_EF),
    )


REDIS = Engine(
    "redis",
    (
        Method(
            "a vector set with BIN (since 8.0), in an HNSW graph",
            (1,),
            "codes",
            # It is given vectors for their signs alone; reranking takes the user's.
            "codes",
            "codes",
            reranks=False,
        ),
    ),
    _write,
    "Program and statements, in redis-cli, run with Redis 8.2.3 and redis-py 8.1.0 in "
    "skbq's tests (2026-12). "
    "https://redis.io/docs/latest/commands/vadd/",
    largest=32_768,
    shell="redis",
    notes=(
        "Keep the vectors where you can read them by number: a vector set with BIN has "
        "only their signs.",
    ),
)
