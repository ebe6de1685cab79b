"""Files that engines read: skbq's codes, with the vectors for reranking beside them."""

import importlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from .._utils.array_files import save_array, save_rows
from .._utils.params import check_int, check_option, check_real
from .._utils.typing import METRICS, Metric
from ..codes import CodeArray, OneBit, as_codes, describe_codes, is_codes
from ._candidates import Candidate, LinearMap
from ._duckdb import DUCKDB, PARQUET_FILE, write_for_parquet
from ._duckdb import STORED_FILE as DUCKDB_FILE
from ._engine import Choice, Engine, Ids, Plan, Snippets, check_limits, make_plan
from ._export import SUFFIXES, save_examples
from ._faiss import FAISS
from ._faiss import STORED_FILE as FAISS_FILE
from ._pgvector import PGVECTOR
from ._pgvector import STORED_FILE as PGVECTOR_FILE
from ._prepare import Prepare
from ._redis import BUILD_EF, REDIS
from ._redis import STORED_FILE as REDIS_FILE
from ._snippet import IDS_FILE, VECTORS_FILE
from ._sqlite_vec import SQLITE_VEC
from ._sqlite_vec import STORED_FILE as SQLITE_FILE
from ._usearch import STORED_FILE as USEARCH_FILE
from ._usearch import USEARCH

# Rows in memory at a time: 12 MB of 768 float32 coordinates.
_BLOCK_ROWS = 4096


class _Block(NamedTuple):
    """Some of the rows.

    ``codes`` are plain bytes of shape (n, ceil(n_bits / 8)), ``vectors`` little-endian
    float32 of (n, d), or empty of (n, 0) where none are stored.
    """

    ids: list[int] | list[str]
    codes: NDArray[np.uint8]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class _Stock:
    """Rows to be stored, and how they will be searched.

    Attributes
    ----------
    plan : Plan
    codes : CodeArray of shape (n_samples, ceil(n_bits / 8))
    ids : ndarray of shape (n_samples,)
        int64 or str.
    vectors : ndarray of shape (n_samples, d) or None
        Or alike; read block by block, so that a memory map is not loaded.
    """

    plan: Plan
    codes: CodeArray
    ids: np.ndarray
    vectors: np.ndarray | None

    def blocks(self) -> Iterator[_Block]:
        """Give the rows in order."""
        plain = np.asarray(self.codes)
        for start in range(0, len(plain), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            codes = np.ascontiguousarray(plain[part])
            yield _Block(self.ids[part].tolist(), codes, self._vectors(part))

    def _vectors(self, part: slice) -> NDArray[np.float32]:
        if self.vectors is None:
            return np.empty((len(self.codes[part]), 0), "<f4")
        block = np.ascontiguousarray(self.vectors[part], dtype="<f4")
        if not np.isfinite(block).all():
            raise ValueError("vectors hold NaN or infinity: leave such rows out.")
        return block


def _library(name: str, target: str, extra: str = "engines") -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(
            f"Files for {target} are written with {name}, which is not installed: "
            f"pip install 'skbq[{extra}]'"
        ) from None


def _write_faiss(stock: _Stock, snippets: Snippets, folder: Path) -> None:
    faiss = _library("faiss", "faiss")
    index = faiss.IndexBinaryFlat(8 * stock.plan.n_bytes)
    for block in stock.blocks():
        index.add(block.codes)
    faiss.write_index_binary(index, str(folder / FAISS_FILE))
    _write_arrays(stock, folder)


def _write_usearch(stock: _Stock, snippets: Snippets, folder: Path) -> None:
    usearch = _library("usearch.index", "usearch")
    index = usearch.Index(ndim=8 * stock.plan.n_bytes, metric="hamming", dtype="b1")
    for block in stock.blocks():
        first = len(index)
        index.add(np.arange(first, first + len(block.codes)), block.codes)
    index.save(str(folder / USEARCH_FILE))
    _write_arrays(stock, folder)


def _write_arrays(stock: _Stock, folder: Path) -> None:
    """Write what an index that numbers its rows has no place for."""
    if stock.vectors is not None:
        shape = len(stock.codes), stock.plan.d
        blocks = (block.vectors for block in stock.blocks())
        save_rows(folder / VECTORS_FILE, shape, np.dtype("<f4"), blocks)
    if stock.plan.ids != "rows":
        save_array(folder / IDS_FILE, stock.ids)


def _write_sqlite(stock: _Stock, snippets: Snippets, folder: Path) -> None:
    extension = _library("sqlite_vec", "sqlite-vec")
    sqlite = _library("sqlite3", "sqlite-vec")
    if not hasattr(sqlite.Connection, "enable_load_extension"):
        sqlite = _library("pysqlite3", "sqlite-vec")
    path = folder / SQLITE_FILE
    path.unlink(missing_ok=True)
    connection = sqlite.connect(str(path))
    connection.enable_load_extension(True)
    extension.load(connection)
    connection.execute(_create(snippets))
    squared = stock.plan.strategy.metric == "inner_product"
    kept = stock.vectors is not None
    marks = "?, vec_bit(?)" + (", ?" + ", ?" * squared) * kept

    def values(block: _Block) -> Iterator[tuple[object, ...]]:
        squares = np.square(block.vectors, dtype=np.float64).sum(axis=1)
        for i, code, vector, square in zip(*block, squares, strict=True):
            own = [vector.tobytes(), float(square)][: 1 + squared] if kept else []
            yield i, code.tobytes(), *own

    for block in stock.blocks():
        connection.executemany(f"INSERT INTO items VALUES ({marks})", values(block))
    connection.commit()
    connection.close()


def _write_duckdb(stock: _Stock, snippets: Snippets, folder: Path) -> None:
    duckdb = _library("duckdb", "duckdb")
    _library("pyarrow", "duckdb", "files")
    path = folder / DUCKDB_FILE
    path.unlink(missing_ok=True)
    connection = duckdb.connect(str(path))
    connection.execute(_create(snippets))
    embedding = "" if stock.vectors is None else ", embedding"
    for block in stock.blocks():
        connection.register("block", _arrow_table(block))
        connection.execute(
            f"INSERT INTO items SELECT id, code::BIT{embedding} FROM block"
        )
        connection.unregister("block")
    connection.close()


def _write_parquet(stock: _Stock, snippets: Snippets, folder: Path) -> None:
    parquet = _library("pyarrow.parquet", "parquet", "files")
    tables = map(_arrow_table, stock.blocks())
    first = next(tables)
    with parquet.ParquetWriter(str(folder / PARQUET_FILE), first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)


def _arrow_table(block: _Block):  # type: ignore[no-untyped-def]
    """Return codes as fixed_size_binary and vectors as fixed_size_list of float."""
    import pyarrow as pa

    width, d = block.codes.shape[1], block.vectors.shape[1]
    code = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(block.codes), [None, pa.py_buffer(block.codes)]
    )
    columns = {"id": pa.array(block.ids), "code": code}
    if d:
        flat = pa.array(block.vectors.ravel())
        columns["embedding"] = pa.FixedSizeListArray.from_arrays(flat, d)
    return pa.table(columns)


def _write_pgvector(stock: _Stock, snippets: Snippets, folder: Path) -> None:
    """Write the binary format of COPY, which holds numbers as they are.

    A row is the number of its fields and, for each, its bytes after their count: an id,
    a vector (dimension, 0, float32) and a bit string (number of bits, bytes), all
    big-endian.
    """
    d, n_bits, n_bytes = stock.plan.d, stock.plan.n_bits, stock.plan.n_bytes
    kept = stock.vectors is not None
    vector = [("v_size", ">i4"), ("v_d", ">i2"), ("v_0", ">i2"), ("v", ">f4", (d,))]
    code = [("c_size", ">i4"), ("c_bits", ">i4"), ("c", "u1", (n_bytes,))]
    n_fields = struct.pack(">h", 3 if kept else 2)
    with open(folder / PGVECTOR_FILE, "wb") as file:
        file.write(b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0))
        for block in stock.blocks():
            rest = np.zeros(len(block.codes), np.dtype(vector * kept + code))
            rest["c_size"], rest["c_bits"], rest["c"] = 4 + n_bytes, n_bits, block.codes
            if kept:
                rest["v_size"], rest["v_d"], rest["v"] = 4 + 4 * d, d, block.vectors
            for i, row in zip(block.ids, rest, strict=True):
                name = i.encode() if isinstance(i, str) else struct.pack(">q", i)
                size = struct.pack(">i", len(name))
                file.write(n_fields + size + name + row.tobytes())
        file.write(struct.pack(">h", -1))


def _write_redis(stock: _Stock, snippets: Snippets, folder: Path) -> None:
    """Write commands of RESP: signs for a vector set, and vectors in a hash."""

    def command(*words: bytes) -> bytes:
        counted = b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
        return b"*%d\r\n%b" % (len(words), counted)

    options = (b"BIN", b"EF", str(BUILD_EF).encode())
    with open(folder / REDIS_FILE, "wb") as file:
        for block in stock.blocks():
            signs = as_codes(block.codes, n_features=stock.plan.n_bits).unpack()
            for i, sign, vector in zip(block.ids, signs, block.vectors, strict=True):
                name, sign = str(i).encode(), sign.astype("<f4").tobytes()
                file.write(command(b"VADD", b"items", b"FP32", sign, name, *options))
                if stock.vectors is not None:
                    blob = vector.tobytes()
                    file.write(command(b"HSET", b"items:vectors", name, blob))


def _create(snippets: Snippets) -> str:
    """Return the statement that makes the table, without comments."""
    lines = snippets.schema.splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


class _Target(NamedTuple):
    """What is written, for which engine to read, and by whom."""

    engine: Engine
    snippets: Callable[[Plan], Snippets]
    file: str
    write: Callable[[_Stock, Snippets, Path], None]


_TARGETS = {
    "duckdb": _Target(DUCKDB, DUCKDB.write, DUCKDB_FILE, _write_duckdb),
    "faiss": _Target(FAISS, FAISS.write, FAISS_FILE, _write_faiss),
    "parquet": _Target(DUCKDB, write_for_parquet, PARQUET_FILE, _write_parquet),
    "pgvector": _Target(PGVECTOR, PGVECTOR.write, PGVECTOR_FILE, _write_pgvector),
    "redis": _Target(REDIS, REDIS.write, REDIS_FILE, _write_redis),
    "sqlite-vec": _Target(SQLITE_VEC, SQLITE_VEC.write, SQLITE_FILE, _write_sqlite),
    "usearch": _Target(USEARCH, USEARCH.write, USEARCH_FILE, _write_usearch),
}
# Of these the data file must be loaded, by what stands in their schema.
_LOADED = ("pgvector", "redis")

TARGETS = tuple(_TARGETS)
"""Names of the products that :func:`write_for` writes files for."""


def write_for(
    target: str,
    folder: str | PathLike[str],
    codes: CodeArray,
    *,
    prepare: Prepare,
    vectors: ArrayLike | None = None,
    oversampling: float | None = None,
    ids: ArrayLike | None = None,
    metric: Metric = "cosine",
    n_neighbors: int = 10,
) -> list[Path]:
    """Write codes, and vectors for reranking, as an engine reads them.

    The bytes of the codes go unchanged into the file, and ``search.py`` beside it finds
    the nearest rows of tomorrow's queries, which ``prepare.py`` encodes.

    Parameters
    ----------
    target : {"duckdb", "faiss", "parquet", "pgvector", "redis", "sqlite-vec", \
"usearch"}
        Who reads it.
    folder : path-like
        Made if it is not there. Files of these names in it are written over.
    codes : CodeArray of shape (n_samples, ceil(n_bits / 8))
        One bit for each coordinate: of :class:`~skbq.BinaryQuantizer`, or ``codes_`` of
        a :class:`~skbq.BinaryNeighbors`; with a ``prepare`` that maps to fewer numbers,
        one for each of them.
    prepare : Prepare
        Fitted, what encodes queries as these rows were encoded:
        ``Prepare.from_quantizer(index.quantizer_, metric=index.metric)``, or the
        ``prepare`` of an advisor's export.
    vectors : array-like of shape (n_samples, d), default=None
        Stored in float32 for reranking. A memory map is read block by block.
    oversampling : float, default=None
        Candidates to rerank with ``vectors`` for each neighbor, at least 1.
    ids : array-like of shape (n_samples,), default=None
        Names of the rows, whole numbers or text, all different; None: row numbers.
    metric : {"cosine", "euclidean", "inner_product"}, default="cosine"
        What reranking compares.
    n_neighbors : int, default=10
        Neighbors that ``search.py`` gives.

    Returns
    -------
    files : list of Path
        - the data: ``items.duckdb``, ``items.faiss`` (IndexBinaryFlat),
          ``items.parquet`` (fixed_size_binary, fixed_size_list of float),
          ``items.copy`` (binary COPY), ``items.resp`` (commands of VADD and HSET),
          ``items.db`` (SQLite) or ``items.usearch``;
        - for libraries that number rows, ``vectors.npy`` and ``ids.npy``;
        - ``load.sql`` or ``load.sh`` where the data must be loaded, ``query.sql`` or
          ``query.sh`` with a query to try (the last row);
        - ``search.py``, and ``prepare.py`` with ``prepare.npz`` that it imports;
        - ``prepare.joblib``.

    Raises
    ------
    TypeError
        If ``codes`` are not codes of skbq, or ``prepare`` is no :class:`Prepare`.
    ValueError
        If the target is unknown, codes have more than one bit, shapes or parameters do
        not fit, or ids are not unique.
    ImportError
        If the library that writes the file is missing: it names the extra.

    Examples
    --------
    >>> import tempfile
    >>> from skbq import BinaryNeighbors, BinaryQuantizer
    >>> from skbq.datasets import make_gaussian
    >>> from skbq.exports import Prepare, write_for
    >>> X = make_gaussian(100, 32, random_state=0)
    >>> index = BinaryNeighbors(quantizer=BinaryQuantizer(), oversampling=4).fit(X)
    >>> prepare = Prepare.from_quantizer(index.quantizer_, metric=index.metric)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_for(
    ...         "pgvector", folder, index.codes_, prepare=prepare, vectors=X,
    ...         oversampling=4,
    ...     )
    ...     [path.name for path in files][:4]
    ['items.copy', 'load.sql', 'query.sql', 'search.py']
    """
    check_option(target, "target", "write_for", TARGETS)
    engine, write_snippets, file, write = _TARGETS[target]
    _check_codes(codes, prepare, target)
    named = _check_ids(ids, len(codes))
    rows = _check_vectors(vectors, (len(codes), prepare.n_features_in_), oversampling)
    if oversampling is not None:
        check_real(oversampling, "oversampling", "write_for", low=1)
    check_option(metric, "metric", "write_for", METRICS)
    check_int(n_neighbors, "n_neighbors", "write_for", low=1)
    strategy = Candidate(
        center=prepare.center,
        rotate=prepare.rotate,
        bits=1,
        query="codes",
        oversampling=oversampling,
        metric=metric,
        n_features=prepare.n_features_in_,
        n_neighbors=n_neighbors,
        linear_map=prepare.linear_map and LinearMap(*prepare.linear_map),
    )
    check_limits(strategy, engine)
    plan = make_plan(Choice(strategy, engine.methods[0], []))
    plan = replace(plan, prepare=prepare, ids=_kind_of(ids, named))
    snippets = write_snippets(plan)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write(_Stock(plan, codes, named, rows), snippets, folder)
    _write_texts(target, snippets, folder)
    prepare.save(folder)
    last = codes[-1:]
    row = last.unpack() if rows is None or target == "redis" else rows[-1:]
    save_examples(folder, snippets.query, ["query"], np.asarray(row), last)
    return [folder / name for name in _names(file, folder)]


def _write_texts(target: str, snippets: Snippets, folder: Path) -> None:
    texts = {"search.py": snippets.python}
    engine = _TARGETS[target].engine
    if target in _LOADED:
        texts[f"load.{SUFFIXES[engine.shell]}"] = snippets.schema
    if snippets.query:
        texts[f"query.{SUFFIXES[engine.shell]}"] = snippets.query
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")


def _names(file: str, folder: Path) -> list[str]:
    """Name the files that were written, the data first."""
    loads = ["load.sql", "load.sh", "query.sql", "query.sh"]
    programs = ["search.py", "prepare.py", "prepare.npz", "prepare.joblib"]
    known = [file, VECTORS_FILE, IDS_FILE, *loads, *programs]
    return [name for name in known if (folder / name).exists()]


def _check_codes(codes: object, prepare: object, target: str) -> None:
    if not is_codes(codes):
        raise TypeError(
            "codes must be a CodeArray, such as BinaryQuantizer gives. Got "
            f"{type(codes).__name__} instead. Wrap packed bits of the same layout: "
            "skbq.as_codes(codes, n_features=...)."
        )
    if not isinstance(codes.layout, OneBit):
        raise ValueError(
            f"{target} takes one bit for each coordinate. Got {describe_codes(codes)}. "
            "Encode with BinaryQuantizer, or with skbq encode --bits 1."
        )
    if not len(codes):
        raise ValueError("codes has no rows: there is nothing to write.")
    if not isinstance(prepare, Prepare):
        raise TypeError(
            "prepare must be a skbq.exports.Prepare, such as "
            "Prepare.from_quantizer(index.quantizer_). Got "
            f"{type(prepare).__name__} instead."
        )
    prepare.check_fitted()
    if prepare.n_bits != codes.n_features:
        raise ValueError(
            f"prepare encodes {prepare.n_bits} coordinates, but codes are of "
            f"{codes.n_features}. Take the one that encoded these rows."
        )


def _check_vectors(
    vectors: ArrayLike | None, shape: tuple[int, int], oversampling: float | None
) -> np.ndarray | None:
    """Return what has this shape and gives rows by slices, read or not."""
    if (vectors is None) != (oversampling is None):
        missing = "vectors" if vectors is None else "oversampling"
        raise ValueError(
            "vectors are stored to rerank 'oversampling' candidates for each neighbor. "
            f"Got no {missing}: give both, or neither."
        )
    if vectors is None:
        return None
    rows: np.ndarray = (
        vectors if hasattr(vectors, "shape") else np.asarray(vectors)  # type: ignore
    )
    kind = getattr(rows.dtype, "kind", "O")
    if kind not in "fi" or issparse(rows) or np.ma.is_masked(rows):
        raise TypeError(
            "vectors must be an array of floats or signed integers, without masked "
            f"values. Got {type(rows).__name__} of {rows.dtype} instead."
        )
    if tuple(rows.shape) != shape:
        raise ValueError(
            f"vectors must be of shape {shape}, as the codes are. Got "
            f"{tuple(rows.shape)} instead."
        )
    return rows


def _check_ids(ids: ArrayLike | None, n_rows: int) -> np.ndarray:
    if ids is None:
        return np.arange(n_rows)
    found = np.asarray(ids)
    if found.dtype == object and all(isinstance(i, str) for i in found.flat):
        found = found.astype(str)
    if found.dtype.kind not in "iuU":
        raise TypeError(
            "ids must be whole numbers or text, all of one kind. Got an array of "
            f"{found.dtype} instead."
        )
    if found.shape != (n_rows,):
        raise ValueError(
            f"ids must be {n_rows}, one for each row. Got shape {found.shape} instead."
        )
    values, counts = np.unique(found, return_counts=True)
    if len(values) < n_rows:
        raise ValueError(
            f"ids must all be different. {values[counts > 1][0]!s} comes "
            f"{counts.max()} times; leave ids out to number the rows."
        )
    return found if found.dtype.kind == "U" else found.astype(np.int64)


def _kind_of(ids: ArrayLike | None, named: np.ndarray) -> Ids:
    if ids is None:
        return "rows"
    return "text" if named.dtype.kind == "U" else "numbers"
