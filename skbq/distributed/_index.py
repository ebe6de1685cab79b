"""BinaryNeighbors over partitions of dask, or files that workers read."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from .._neighbors import index as local
from .._neighbors.file_format import read_mark
from .._neighbors.indexed_rows import IndexedRows
from .._readers import open_vectors
from .._readers._spans import span_files
from .._sharding.cutting import checksum_rows, cut_shards, default_shard_rows
from .._sharding.index import ShardedIndex, ShardedNeighbors, ShardedRows
from .._sharding.manifest import Manifest, ShardRecord
from .._sharding.search import FileShard, Shard, ShardedSearch, file_shards
from .._sharding.writing import (
    encode_like,
    index_of_shard,
    save_whole,
    shard_name,
    write_learned,
    write_shard,
)
from .._utils.dask_rows import DaskRows, of_array, of_partitions, open_rows
from .._utils.stored_rows import StoredRows, whole_array
from .._utils.typing import (
    Algorithm,
    CodeMetric,
    Metric,
    Oversampling,
    Query,
    RandomState,
    VectorQuantizer,
)
from .._utils.validation import check_vectors
from ..codes import is_codes, with_layout
from ._engine import DaskEngine, check_held, need_dask

if TYPE_CHECKING:
    from distributed import Client

# A dask.array: dask has no types.
_DaskArray: TypeAlias = Any
_NOT_EMPTY = "the folder is not empty: name a new one"
_OF_FILES = (
    "{name}={value!r} is for files, but X is an array, whose partitions are the shards "
    "and have no columns. Leave it out; X.rechunk((100_000, -1)) makes others."
)
_IDS_NEED_FOLDER = (
    "ids={value!r} is written to the shards of a folder, but folder is None: rows in "
    "the memory of workers are known by their numbers. Give a folder, or leave ids out."
)
Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class BinaryNeighbors(ShardedIndex):
    """Search for nearest neighbors among codes on a cluster of dask.

    Rows are encoded where they are: partitions of a ``dask.array``, or files that the
    workers read. Codes stay in the memory of the workers, or in files of a folder that
    all of them reach. Queries go to all shards, and what these find is merged by
    (distance, row): answers equal those of :class:`skbq.BinaryNeighbors`, bit for bit.

    Read more in the :ref:`User Guide <guide-distributed>`.

    Parameters
    ----------
    n_neighbors : int, default=5
        As in :class:`skbq.BinaryNeighbors`, as are ``radius``, ``quantizer``,
        ``metric``, ``query``, ``code_metric``, ``corrections``, ``oversampling``,
        ``n_lists``, ``n_probes``, ``target_recall`` and ``random_state``.
    folder : path-like, default=None
        Where shards are written, as :class:`skbq.ShardedNeighbors` has them; a new or
        an empty folder. None keeps them in the memory of the workers.
    column, ids : str, default=None
        Of files only: the column of the vectors, and one of identifiers, which are
        written to ``folder``.
    shard_rows : int or "auto", default="auto"
        Of files only: most rows of a shard. Partitions of arrays are shards as they
        are.
    client : distributed.Client, default=None
        The cluster. None means dask's own default: the latest client, or threads of
        this process.
    n_jobs : int, default=None
        Number of threads of each task. The default, 1, leaves the number of threads
        to dask.
    algorithm : {"brute", "ivf"}, default="brute"
        Whether all rows are compared, or those of lists that all shards share. A query
        probes the same lists in each shard.

    Attributes
    ----------
    codes_ : CodeArray
        A few codes, of the kind that all are.
    quantizer_ : estimator or None
        The one quantizer that all shards share; None if codes were given.
    n_samples_fit_ : int
        Number of rows.
    n_features_in_ : int
        Number of coordinates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Never set: arrays of dask have no names of columns.

    See Also
    --------
    skbq.ShardedNeighbors : Many files on one machine.

    Notes
    -----
    The quantizer learns from the same random sample of all rows as on one machine,
    which is gathered from all partitions at once. All shards share it: shards that
    learned thresholds of their own would give distances that cannot be merged.

    Lists are learned from the codes of all rows, or of a random sample of them where
    they are more than 131,072: of so many, or of 32 for each list. Up to there, they
    and the answers are those of one index with the same ``random_state``; beyond, those
    of one index with the same lists, which :meth:`skbq.ShardedNeighbors.save` writes.
    Codes that are given are gathered to learn lists from.

    dask runs a task again if its worker dies, and computes what that held anew from
    the array or the files.

    Examples
    --------
    >>> import dask.array as da
    >>> from skbq import distributed
    >>> from skbq.datasets import load_wordnet_minilm
    >>> glosses = load_wordnet_minilm()
    >>> X = da.from_array(glosses.data, chunks=(1000, -1))
    >>> index = distributed.BinaryNeighbors(query="vectors").fit(X)
    >>> distances, rows = index.kneighbors(glosses.queries)
    >>> rows.shape, index.n_samples_fit_
    ((250, 5), 5000)
    """

    _folder: Path | None
    _manifest: Manifest | None

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        folder: str | os.PathLike[str] | None = None,
        column: str | None = None,
        ids: str | None = None,
        shard_rows: int | Literal["auto"] = "auto",
        client: "Client | None" = None,
        radius: float | None = None,
        quantizer: VectorQuantizer | None = None,
        metric: Metric = "cosine",
        query: Query = "codes",
        code_metric: CodeMetric = "auto",
        corrections: bool | Literal["exact"] = True,
        oversampling: Oversampling = None,
        n_jobs: int | None = None,
        algorithm: Algorithm = "brute",
        n_lists: int | Literal["auto"] = "auto",
        n_probes: float | Literal["auto"] = "auto",
        target_recall: float = 0.95,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(
            n_neighbors,
            radius=radius,
            quantizer=quantizer,
            metric=metric,
            query=query,
            code_metric=code_metric,
            corrections=corrections,
            oversampling=oversampling,
            n_jobs=n_jobs,
            algorithm=algorithm,
            n_lists=n_lists,
            n_probes=n_probes,
            target_recall=target_recall,
            random_state=random_state,
        )
        self.folder = folder
        self.column = column
        self.ids = ids
        self.shard_rows = shard_rows
        self.client = client

    def fit(self, X: _DaskArray | Files, y: object = None) -> Self:
        """Encode rows in the workers.

        Parameters
        ----------
        X : dask.array.Array of shape (n_samples, n_features), or files
            Vectors; or codes, whose blocks are :class:`skbq.CodeArray`. Files are
            given as for :func:`skbq.open_vectors`, and must be there for all workers.
        y : None
            Ignored.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a row cannot be encoded or a file not be read, naming it; if what is
            for files, or for a folder, is given without them.
        ConnectionError
            If the cluster is gone.
        """
        self._check_parameters()
        folder = None if self.folder is None else _new_folder(Path(self.folder))
        rows = self._partitions_of(X)
        learned = self._learn_from(rows)
        self._take_learned(learned)
        self._learned = learned
        shards = self._encode(rows, folder, 0)
        if folder is None:
            self._hold(shards, [])
        else:
            # They are searched before their manifest is written.
            files = file_shards(shards, folder)
            self._rows = ShardedRows(learned._rows, files, 0)
        if learned._rows.lists is not None:
            with self._engine.in_use():
                self._measure_lists(rows)
        if folder is not None:
            record = write_learned(learned, folder)
            self._use_files(folder, Manifest(record, tuple(shards), True))
        return self

    def partial_fit(self, X: _DaskArray | Files, y: object = None) -> Self:
        """Add rows as new shards; what the quantizer has learned stays as it is.

        Parameters
        ----------
        X : dask.array.Array of shape (n_samples, n_features), or files
            Rows of the kind given to :meth:`fit`, which the first call stands for.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        if not hasattr(self, "_rows"):
            return self.fit(X)
        self._check_ready()
        rows = self._partitions_of(X)
        self._check_kind(rows)
        known = list(self._rows.shards)
        if self._manifest is None:
            self._hold(self._encode(rows, None, len(known)), known)
            return self
        assert self._folder is not None
        records = self._encode(rows, self._folder, len(known))
        manifest = self._manifest.with_shards(*records, complete=True)
        self._use_files(self._folder, manifest)
        return self

    def remove(self, rows: ArrayLike) -> Self:
        """Refuse: rows are left out by ``mask``, or removed in a folder.

        Parameters
        ----------
        rows : int or array-like of int
            Row numbers.

        Raises
        ------
        ValueError
            Always, naming the ways out.
        """
        raise ValueError(
            "Rows on a cluster cannot be removed. Leave them out of searches by mask, "
            "or remove them in a folder: ShardedNeighbors.load(folder).remove(rows)."
        )

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        vectors: Literal["copy", "refer"] = "copy",
    ) -> None:
        """Write the shards to a folder, each from where it is.

        Parameters
        ----------
        path : path-like
            A new or empty folder, which all workers reach.
        vectors : {"copy", "refer"}, default="copy"
            As in :meth:`skbq.BinaryNeighbors.save`.

        See Also
        --------
        BinaryNeighbors.load : Opens it.
        """
        check_is_fitted(self)
        folder = _new_folder(Path(path))
        engine = self._engine
        learned = engine.call(_same, self._learned)
        calls = [
            engine.call(
                _save_shard,
                shard.rows,
                learned,
                _shard_path(folder, i),
                vectors,
                near=shard.place,
            )
            for i, shard in enumerate(self._rows.shards)
        ]
        records = engine.results(calls)
        record = write_learned(self._learned, folder)
        Manifest(record, tuple(records), True).write(folder)

    @classmethod
    def load(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str],
        *,
        verify: bool = False,
        client: "Client | None" = None,
    ) -> Self:
        """Open a folder of shards, which workers map where they search.

        Parameters
        ----------
        path : path-like
            Written by :class:`skbq.ShardedNeighbors`, ``skbq encode`` or this class;
            all workers must reach it by this path.
        verify : bool, default=False
            Whether to compare all checksums now, which reads all files.
        client : distributed.Client, default=None
            As at construction.

        Returns
        -------
        index : BinaryNeighbors
        """
        opened = ShardedNeighbors.load(os.path.abspath(path), verify=verify)
        learned = opened._learned
        index = cls(folder=path, client=client, **cls._parameters_of(learned))
        index._take_learned(learned)
        index._learned = learned
        index._rows = opened._rows
        index._folder, index._manifest = opened._folder, opened._manifest
        return index

    # Rows

    @property
    def _engine(self) -> DaskEngine:
        return DaskEngine(self.client)

    @property
    def _search(self) -> ShardedSearch:  # type: ignore[override]
        check_held(
            shard.rows
            for shard in self._rows.shards
            if not isinstance(shard.rows, FileShard)
        )
        return super()._search

    def _partitions_of(self, X: _DaskArray | Files) -> DaskRows:
        """Return the partitions of an array, or spans of files."""
        need_dask()
        if isinstance(X, str | os.PathLike) or (
            isinstance(X, list | tuple)
            and X
            and all(isinstance(path, str | os.PathLike) for path in X)
        ):
            return self._partitions_of_files(X)
        if type(X).__module__.partition(".")[0] != "dask":
            raise TypeError(
                f"{type(self).__module__.partition('._')[0]}.BinaryNeighbors takes a "
                f"dask.array or files, but got {type(X).__name__}: pass "
                "dask.array.from_array(X, chunks=(100_000, -1)), or index it by "
                "skbq.BinaryNeighbors."
            )
        given = {
            "column": self.column is not None,
            "ids": self.ids is not None,
            "shard_rows": self.shard_rows != "auto",
        }
        for name, is_given in given.items():
            if is_given:
                raise ValueError(_OF_FILES.format(name=name, value=getattr(self, name)))
        return of_array(X)

    def _partitions_of_files(self, paths: Files) -> DaskRows:
        if self.ids is not None and self.folder is None:
            raise ValueError(_IDS_NEED_FOLDER.format(value=self.ids))
        rows = open_vectors(paths, column=self.column, ids=self.ids)
        size = self.shard_rows
        if size == "auto":
            size = default_shard_rows(rows.shape[1] * rows.dtype.itemsize)
        spans = cut_shards(rows.lengths, size)
        sources = [
            span_files(rows, span, column=self.column, ids=self.ids) for span in spans
        ]
        lengths = [span.stop - span.start for span in spans]
        return of_partitions(sources, lengths, rows.shape[1], rows.dtype)

    def _learn_from(self, rows: DaskRows) -> local.BinaryNeighbors:
        """Return what all shards share, learned from a sample of all rows."""
        with self._engine.in_use():
            if rows.dtype.kind == "u":
                head = rows.head()
                if is_codes(head):
                    if self.algorithm == "ivf":  # lists are learned from many
                        head = with_layout(rows[:], head.layout)
                    return self._learn(self._check_rows(head, reset=True))
            checked = check_vectors(self, rows, reset=True, finite=False)
            return self._learn(checked)

    def _check_kind(self, rows: DaskRows) -> None:
        if self.quantizer_ is not None:
            check_vectors(self, rows, reset=False, finite=False)

    def _encode(self, rows: DaskRows, folder: Path | None, first: int) -> list[Any]:
        """Return rows that workers hold, or records of files that they wrote."""
        engine = self._engine
        learned = engine.call(_same, self._learned)
        parts = rows.partitions
        function: Callable[..., object] = _encode_partition
        names = [f"partition {i}" for i in range(len(parts))]
        if folder is not None:
            function = _write_partition
            names = [_shard_path(folder, first + i) for i in range(len(parts))]
        # What all calls share would draw too many of them to where it is.
        places = engine.places(parts)
        calls = [
            engine.call(function, part, learned, name, self.n_jobs, near=place)
            for part, name, place in zip(parts, names, places, strict=True)
        ]
        if folder is not None:
            return engine.results(calls)
        shards = engine.persist(calls)
        counts = [engine.call(len, shard) for shard in shards]
        numbers = engine.results(counts)
        return list(zip(shards, numbers, engine.places(shards), strict=True))

    def _hold(self, held: list[Any], known: list[Shard]) -> None:
        """Search rows in the memory of the workers."""
        shards = [*known]
        for promise, n_rows, place in held:
            first = shards[-1].first_row + shards[-1].n_rows if shards else 0
            shards.append(Shard(promise, first, n_rows, place))
        self._folder, self._manifest = None, None
        self._rows = ShardedRows(self._learned._rows, tuple(shards), 0)

    def _use_files(self, folder: Path, manifest: Manifest) -> None:
        """Search the files of a folder, once they are all there."""
        manifest.write(folder)
        opened = ShardedNeighbors.load(folder)
        self._folder, self._manifest = opened._folder, opened._manifest
        self._rows = opened._rows


@contextmanager
def _named(name: str, rows: np.ndarray | StoredRows) -> Iterator[None]:
    """Let errors of codes name the partition; those of other rows do."""
    try:
        yield
    except ValueError as error:
        if isinstance(rows, StoredRows):
            raise
        raise ValueError(f"{name}: {error}") from None


def _new_folder(folder: Path) -> Path:
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(17, _NOT_EMPTY, str(folder))
    return folder


def _shard_path(folder: Path, number: int) -> str:
    return str(folder / shard_name(number))


# Called in workers.


def _same(value: object) -> object:
    return value


def _open_partition(
    source: Any, learned: local.BinaryNeighbors, name: str
) -> np.ndarray | StoredRows:
    """Return rows that know the file, or the partition, that they are in."""
    rows = open_rows(source)
    if learned.quantizer_ is None or isinstance(rows, StoredRows):
        return rows
    return whole_array(rows, name)


def _encode_partition(
    source: Any, learned: local.BinaryNeighbors, name: str, n_jobs: int | None
) -> IndexedRows:
    rows = _open_partition(source, learned, name)
    with _named(name, rows):
        checksum_rows(rows, learned.metric)
        return encode_like(learned, rows, n_jobs)


def _write_partition(
    source: Any, learned: local.BinaryNeighbors, path: str, n_jobs: int | None
) -> ShardRecord:
    rows = _open_partition(source, learned, Path(path).stem)
    name = repr(rows) if isinstance(rows, StoredRows) else Path(path).stem
    with _named(name, rows):
        return write_shard(learned, rows, path, name, n_jobs)


def _save_shard(
    rows: IndexedRows | FileShard,
    learned: local.BinaryNeighbors,
    path: str,
    vectors: Literal["copy", "refer"],
) -> ShardRecord:
    if isinstance(rows, IndexedRows):
        index = index_of_shard(learned, rows)
    else:
        index = rows.open()
    save_whole(index, path, refer=vectors == "refer")
    kept = index._rows
    return ShardRecord(
        Path(path).name, *read_mark(path), len(kept), kept.n_removed, path
    )
