"""MongoDB (Atlas) Vector Search: "quantization": "binary"."""

import json

from ._engine import Engine, Method, Plan, Snippets
from ._snippet import as_python, fill, program

_MOST_CANDIDATES = 10_000
_LEAST_TIMES = 20  # numCandidates for each neighbor, which its documentation advises
_SIMILARITY = {"cosine": "cosine", "euclidean": "euclidean"}

_SCHEMA = """\
// in mongosh
db.items.createSearchIndex("embedding_binary", "vectorSearch", $definition);"""
_INSERT = """\
const fs = require("fs");
db.items.insertOne({_id: 0, embedding: JSON.parse(fs.readFileSync("row.json"))});"""
_QUERY = """\
const q = JSON.parse(require("fs").readFileSync("query.json"));
db.items.aggregate([
  {$$vectorSearch: {...$search, queryVector: q}},
  {$$project: {_id: 1}}
]);"""
_IMPORTS = """\
import time

import numpy as np
from pymongo import MongoClient
from pymongo.operations import SearchIndexModel
"""
_PYTHON = """\
$given
items = MongoClient()["test"]["items"]  # or your connection string
items.insert_many(
    {"_id": i, "embedding": row.tolist()} for i, row in enumerate(rows)
)
definition = $definition
items.create_search_index(SearchIndexModel(
    name="embedding_binary", type="vectorSearch", definition=definition
))
while not any(index.get("queryable") for index in items.list_search_indexes()):
    time.sleep(1)

settings = $search

def search(q):
    stage = {**settings, "queryVector": q.tolist()}
    found = items.aggregate([{"$$vectorSearch": stage}, {"$$project": {"_id": 1}}])
    return [item["_id"] for item in found]

neighbors = np.array([search(q) for q in query_rows])
"""


def _write(plan: Plan) -> Snippets:
    field = {
        "type": "vector",
        "path": "embedding",
        "numDimensions": plan.d,
        "similarity": _SIMILARITY[plan.metric],
        "quantization": "binary",
    }
    definition = {"fields": [field]}
    candidates = max(_LEAST_TIMES * plan.k, plan.n_candidates)
    search = {
        "index": "embedding_binary",
        "path": "embedding",
        "numCandidates": min(candidates, _MOST_CANDIDATES),
        "limit": plan.k,
    }
    return Snippets(
        fill(plan, _SCHEMA, definition=json.dumps(definition, indent=2)),
        _INSERT,
        fill(plan, _QUERY, search=json.dumps(search)),
        program(
            plan,
            _IMPORTS,
            _PYTHON,
            definition=as_python(definition),
            search=as_python(search),
        ),
    )


MONGODB = Engine(
    "mongodb",
    (
        Method(
            "automatic binary quantization",
            (1,),
            "codes",
            "you",
            "you",
            # Its dotProduct asks for vectors of unit length, which is the cosine.
            metrics=("cosine", "euclidean"),
            notes=("All numCandidates are always rescored with the vectors.",),
        ),
    ),
    _write,
    "Not run on a server. In skbq's tests program, with the classes of pymongo 4.20.1, "
    "and statements, in Node.js, ask a stand-in the same, which searches exactly "
    "(2026-12). Keys and meanings follow excerpts of 'Vector Quantization' and "
    "'$vectorSearch'. "
    "https://www.mongodb.com/docs/vector-search/about/vector-quantization/",
    largest=8192,
    multiple=8,
    shell="js",
    notes=(
        "Bits are signs about 0, of rows and queries alike, and rescoring reads the "
        "vectors as they were given.",
        "numCandidates is at least 20 for each neighbor, as its documentation advises.",
    ),
)
