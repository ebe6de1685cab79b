"""Stand-ins for products that do not run here: they search what they get exactly.

They speak to the products' own clients, and to curl, and keep what was asked of them.
"""

import importlib
import json
import re
import subprocess
from contextlib import contextmanager
from unittest import mock

import numpy as np
from servers import curl_to, serve

# What the products call a metric.
_METRICS = {
    "cosine": "cosine",
    "cosinesimil": "cosine",
    "cosine_similarity": "cosine",
    "euclidean": "euclidean",
    "l2": "euclidean",
    "l2_norm": "euclidean",
    "l2-squared": "euclidean",
    "-euclidean_distance": "euclidean",
    "dot": "inner_product",
    "innerproduct": "inner_product",
    "max_inner_product": "inner_product",
    "sum": "inner_product",
}


class Exact:
    """Vectors by name, and an exact search of them."""

    def __init__(self, metric):
        self.metric, self.rows = _METRICS[metric], {}

    def nearest(self, query, k):
        """Return the names of the k rows that are nearest, nearest first."""
        assert len(query), "the query has no numbers"
        names, rows = list(self.rows), np.array(list(self.rows.values()))
        q = np.array(query, dtype=float)
        near = rows @ q
        if self.metric == "cosine":
            near /= np.linalg.norm(rows, axis=1)
        if self.metric == "euclidean":
            near = -np.linalg.norm(rows - q, axis=1)
        return [names[i] for i in np.argsort(-near, kind="stable")[:k]]


class Asked:
    """What a product was asked for: the bodies, with arrays of floats left out."""

    def __init__(self):
        self.create = self.insert = self.query = None

    def inserts(self, value):
        """Keep the first insertion."""
        self.insert = self.insert or _bare(value)

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        return repr(vars(self))


def _bare(value):
    """Leave arrays of numbers out, which are other ones for each row."""
    if isinstance(value, dict):
        return {key: _bare(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return (
            "numbers"
            if value and not isinstance(value[0], dict)
            else [*map(_bare, value)]
        )
    return value


class Search:
    """The requests of Elasticsearch and OpenSearch."""

    def __init__(self):
        self.asked = Asked()

    def answer(self, method, path, body):
        """Do what a request asks."""
        words = path.split("?")[0].strip("/").split("/")
        if words == [""]:
            return {"version": {"number": "9.5.1"}, "tagline": "You Know, for Search"}
        if (method, words) == ("PUT", ["items"]):
            return self._create(json.loads(body))
        if (method, words[:2]) == ("PUT", ["items", "_doc"]):
            return self._insert(words[2], json.loads(body))
        if words[-1] == "_bulk":
            return self._bulk(body)
        if words == ["items", "_refresh"]:
            return {"_shards": {"total": 1, "successful": 1, "failed": 0}}
        if words == ["items", "_search"]:
            return self._search(json.loads(body))
        return {"error": f"{method} {path}"}, 404

    def _create(self, body):
        self.asked.create = body
        (field,) = body["mappings"]["properties"].values()
        metric = field.get("similarity") or field.get("space_type")
        self._rows, self._d = Exact(metric), field.get("dims") or field["dimension"]
        return {"acknowledged": True, "shards_acknowledged": True, "index": "items"}

    def _insert(self, name, body):
        self.asked.inserts(body)
        assert len(body["embedding"]) == self._d
        self._rows.rows[name] = body["embedding"]
        return {"_index": "items", "_id": name, "result": "created"}, 201

    def _bulk(self, body):
        lines = [json.loads(line) for line in body.splitlines()]
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            assert action["index"]["_index"] == "items"
            done, status = self._insert(action["index"]["_id"], document)
            items.append({"index": {**done, "status": status}})
        return {"errors": False, "items": items, "took": 1}

    def _search(self, body):
        self.asked.query = _bare(body)
        knn = body.get("knn") or body["query"]["knn"]["embedding"]
        assert knn.get("field", "embedding") == "embedding"
        vector = knn.get("query_vector") or knn["vector"]
        found = self._rows.nearest(vector, min(body["size"], knn["k"]))
        hits = [{"_index": "items", "_id": name, "_score": 1.0} for name in found]
        return {"took": 1, "timed_out": False, "hits": {"hits": hits}}

    @staticmethod
    def found(text):
        """Return the names of rows that an answer holds."""
        return [hit["_id"] for hit in json.loads(text)["hits"]["hits"]]


class Vespa:
    """The requests of Vespa, ranked by the second phase of a schema."""

    def __init__(self, schema):
        self.asked, self._codes = Asked(), {}
        score = re.search(r"expression: (-?\w+)\(query\(q\)", schema)
        self._rows = Exact(score.group(1)) if score else None

    def answer(self, method, path, body):
        """Do what a request asks."""
        words = path.split("?")[0].strip("/").split("/")
        if words[:-1] == ["document", "v1", "items", "items", "docid"]:
            fields = json.loads(body)["fields"]
            if fields["number"] == 0:  # rows come in any order
                self.asked.inserts(json.loads(body))
            assert str(fields["number"]) == words[-1]
            self._codes[fields["number"]] = fields["code"]["values"]
            if self._rows is not None:
                self._rows.rows[fields["number"]] = fields["embedding"]["values"]
            return {"id": f"id:items:items::{words[-1]}", "pathId": path}
        if words == ["search"]:
            return self._search(json.loads(body))
        return {"message": f"{method} {path}"}, 404

    def _search(self, body):
        self.asked.query = _bare(body)
        if self._rows is not None:
            found = self._rows.nearest(body["input.query(q)"], body["hits"])
        else:
            codes = np.array([*self._codes.values()]).astype(np.int8).view(np.uint8)
            code = np.array(body["input.query(code)"]).astype(np.int8).view(np.uint8)
            apart = np.bitwise_count(codes ^ code).sum(axis=1)
            order = np.argsort(apart, kind="stable")[: body["hits"]]
            found = [[*self._codes][i] for i in order]
        hits = [
            {"id": str(i), "relevance": 1.0, "fields": {"number": i}} for i in found
        ]
        return {"root": {"children": hits}}

    @staticmethod
    def found(text):
        """Return the names of rows that an answer holds."""
        hits = json.loads(text)["root"]["children"]
        return [str(hit["fields"]["number"]) for hit in hits]


class Weaviate:
    """Calls of Weaviate's client, with its own classes, and its requests."""

    def __init__(self):
        self.asked = Asked()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    @property
    def collections(self):
        return self

    items = query = batch = collections
    failed_objects = ()

    def create(self, name, *, vector_config):
        """Make a collection of what the client's classes have checked."""
        config = vector_config.vectorIndexConfig
        self.asked.create = {
            "class": name,
            "vectorizer": vector_config.vectorizer.vectorizer.value,
            "vectorIndexType": config.vector_index_type().value,
            "vectorIndexConfig": config._to_dict(),
        }
        self._rows = Exact(config.distance.value)
        return self

    @contextmanager
    def fixed_size(self, batch_size):
        yield self

    def add_object(self, properties, *, uuid, vector):
        self.asked.inserts({"class": "Items", "vector": vector})
        self._rows.rows[uuid] = vector

    def near_vector(self, near_vector, *, limit):
        found = self._rows.nearest(near_vector, limit)
        return mock.Mock(objects=[mock.Mock(uuid=name) for name in found])

    def answer(self, method, path, body):
        """Keep the requests of the console."""
        body = json.loads(body)
        if (method, path) == ("POST", "/v1/schema"):
            self.asked.create = body
            self._rows = Exact(body["vectorIndexConfig"]["distance"])
            return body
        if (method, path) == ("POST", "/v1/objects"):
            self.asked.inserts(body)
            self._rows.rows["0"] = body["vector"]
            return body
        if (method, path) == ("POST", "/v1/graphql"):
            form = (
                r"\{ Get \{ Items\(limit: (\d+), nearVector: \{vector: (\[.*\])\}\) "
                r"\{ _additional \{ id \} \} \} \}"
            )
            k, vector = re.fullmatch(form, body["query"]).groups()
            found = self._rows.nearest(json.loads(vector), int(k))
            items = [{"_additional": {"id": name}} for name in found]
            return {"data": {"Get": {"Items": items}}}
        return {"error": f"{method} {path}"}, 404

    @staticmethod
    def found(text):
        """Return the names of rows that an answer holds."""
        items = json.loads(text)["data"]["Get"]["Items"]
        return [item["_additional"]["id"] for item in items]


class MongoDB:
    """Calls of MongoDB's client."""

    def __init__(self):
        self.asked = Asked()

    def __call__(self):
        return self

    def __getitem__(self, name):
        assert name in ("test", "items")
        return self

    def insert_many(self, documents):
        self._documents = [*documents]
        self.asked.inserts(self._documents[0])

    def create_search_index(self, model):
        """Make an index of what the client's class holds."""
        self.asked.create = model.document
        (field,) = model.document["definition"]["fields"]
        self._rows = Exact(field["similarity"])
        for document in self._documents:
            assert len(document["embedding"]) == field["numDimensions"]
            self._rows.rows[document["_id"]] = document["embedding"]

    def list_search_indexes(self):
        return [{"name": self.asked.create["name"], "queryable": True}]

    def aggregate(self, pipeline):
        search = pipeline[0]["$vectorSearch"]
        self.asked.query = _bare(pipeline)
        assert search["index"] == self.asked.create["name"]
        assert search["path"] == self.asked.create["definition"]["fields"][0]["path"]
        found = self._rows.nearest(search["queryVector"], search["limit"])
        return [{"_id": name} for name in found]


# A shell of MongoDB as far as it is asked: Node.js with a database that writes down.
MONGOSH = """\
const asked = [];
const note = (call) => (...given) => { asked.push([call, given]); };
const db = {items: {
  createSearchIndex: note("create"), insertOne: note("insert"),
  aggregate: note("query"),
}};
%s
console.log(JSON.stringify(asked));
"""


@contextmanager
def stand_in(engine, answer):
    """Give a stand-in for an engine, and the function of the shell that reaches it."""
    if engine == "mongodb":
        import pymongo

        product = MongoDB()
        with mock.patch.object(pymongo, "MongoClient", product):
            yield product, ""
        return
    printed = {"vespa": 8080, "weaviate": 8080}.get(engine, 9200)
    product = {"vespa": lambda: Vespa(answer.schema), "weaviate": Weaviate}.get(
        engine, Search
    )()
    with serve(product.answer) as port, _client(engine, product, port):
        yield product, curl_to(port, printed)


@contextmanager
def _client(engine, product, port):
    """Make the client of a program speak to a stand-in."""
    if engine == "weaviate":
        import weaviate

        given = {"return_value": product}
        with mock.patch.object(weaviate, "connect_to_local", **given):
            yield
        return
    if engine == "vespa":
        import vespa.application as module

        name, printed = "Vespa", {"url": "http://localhost", "port": 8080}
        ours = {"url": "http://127.0.0.1", "port": port}
    else:
        name, package = {
            "elasticsearch": ("Elasticsearch", "elasticsearch"),
            "opensearch": ("OpenSearch", "opensearchpy"),
        }[engine]
        module = importlib.import_module(package)
        printed = {"hosts": "http://localhost:9200"}
        ours = {"hosts": f"http://127.0.0.1:{port}"}
    client = getattr(module, name)

    def here(hosts=None, **given):
        asked = given if hosts is None else {"hosts": hosts}
        assert asked == printed
        return client(**ours)

    with mock.patch.object(module, name, here):
        yield


def pasted_js(node, text, folder):
    """Run statements for mongosh with Node.js; return what they ask."""
    program = MONGOSH % text
    done = subprocess.run(
        [node, "-e", program], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    calls, asked = dict(json.loads(done.stdout)), Asked()
    name, kind, definition = calls["create"]
    asked.create = {"name": name, "type": kind, "definition": definition}
    asked.inserts(*calls["insert"])
    asked.query = _bare(*calls["query"])
    return asked
