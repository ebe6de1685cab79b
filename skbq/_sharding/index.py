"""ShardedNeighbors: an index of many files, searched where they are."""

import copy
import json
import logging
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from .._neighbors.calibration import describe_lack_of_structure
from .._neighbors.file_format import read_mark
from .._neighbors.float_queries import Corrections
from .._neighbors.index import BinaryNeighbors
from .._neighbors.index_search import IndexSearch
from .._neighbors.indexed_rows import IndexedRows, check_row_numbers, refuse_removal
from .._neighbors.inverted_lists import Lists
from .._neighbors.list_search import Probes
from .._neighbors.merge import merge_files
from .._neighbors.row_ids import ids_of
from .._neighbors.state import to_state
from .._utils.params import check_bool, check_int, check_option
from .._utils.stored_rows import StoredRows, release_rows, whole_array
from .._utils.typing import (
    JSON,
    Algorithm,
    CodeMetric,
    Metric,
    Oversampling,
    Query,
    RandomState,
    VectorQuantizer,
    VectorsLike,
)
from .._utils.validation import check_vectors
from ..codes import CodeArray, is_codes
from .cutting import checksum_rows, cut_shards, default_shard_rows
from .manifest import NAME, Manifest, ShardRecord, check_mark
from .search import Engine, InProcess, Shard, ShardedSearch, file_shards
from .writing import (
    MEASURED,
    Rows,
    join_listed,
    learn_from,
    save_whole,
    shard_name,
    write_learned,
    write_shard,
)

_log = logging.getLogger("skbq")
# Parameters that decide nothing of what is written.
_OF_SEARCHES = {"n_neighbors", "radius", "n_jobs", "n_probes", "target_recall"}
_UNFINISHED = (
    "{folder} holds an index that was not finished: {shards} shards are there. Go on "
    "with resume=True, where they are kept."
)


@dataclass(frozen=True)
class ShardedRows:
    """What an index knows of rows that are elsewhere."""

    learned: IndexedRows
    shards: tuple[Shard, ...]
    n_removed: int
    # The rows of each list in all shards, once they were counted: all, and those that
    # are not removed.
    counted: list[np.ndarray] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return sum(shard.n_rows for shard in self.shards)

    @property
    def codes(self) -> CodeArray:
        """A few codes, of the kind that all are."""
        return self.learned.codes

    @property
    def corrections(self) -> Corrections | None:
        """A few corrections, of the kind that all are."""
        return self.learned.corrections

    @property
    def vectors(self) -> np.ndarray | None:
        """A few vectors, if vectors are kept."""
        return self.learned.vectors

    @property
    def lists(self) -> Lists | None:
        """The lists that shards share, with their sizes in all of them; or None."""
        if self.learned.lists is None or not self.counted:
            return None
        return Lists.of_sizes(self.learned.lists.tree, self.counted[0][0])

    @property
    def bytes_per_row(self) -> int:
        """Memory for each row but for its vector, its share of the lists included."""
        lists, learned = self.learned.lists, self.learned
        if lists is None:
            return learned.bytes_per_row
        listed = learned.bytes_per_row + lists.nbytes // -len(learned)
        # What search decodes stays; the tree is there once, where lists begin often.
        shared = lists.nbytes - lists.order.nbytes
        starts = lists.starts.nbytes * len(self.shards)
        own = lists.order.itemsize * len(self)
        return listed - (shared + starts + own) // -len(self)

    @property
    def vector_bytes_per_row(self) -> int:
        """Memory for each row's vector; 0 if it is not kept."""
        return self.learned.vector_bytes_per_row

    def mask(self, given: np.ndarray | None) -> np.ndarray | None:
        """Return what was given: shards leave out their removed rows."""
        return given

    def without_capacity(self) -> Self:
        """Return the same."""
        return self


class ShardedIndex(BinaryNeighbors):
    """What indexes of shards share: they search as one index does."""

    shard_rows: int | Literal["auto"]
    _rows: ShardedRows  # type: ignore[assignment]

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not isinstance(self.shard_rows, str) or self.shard_rows != "auto":
            check_int(self.shard_rows, "shard_rows", self, low=1)
        if self.algorithm == "auto":
            raise ValueError(
                f"algorithm='auto' decides after a look at all rows, which "
                f"{type(self).__name__} encodes as it reads them. Write 'brute' or "
                "'ivf'."
            )

    @property
    def _engine(self) -> Engine:
        return InProcess()

    @property
    def _search(self) -> ShardedSearch:  # type: ignore[override]
        self._count_lists()
        rows, lists = self._rows, self._rows.lists
        search = ShardedSearch(self._template(), rows.shards, self._engine)
        if lists is None:
            return search
        counts = rows.counted[0][1]
        return replace(search, lists=lists, counts=counts, probes=self._probes)

    def _ready_search(self) -> ShardedSearch:  # type: ignore[override]
        self._check_ready()  # anew: shards are read where they are
        return self._search

    def _template(self) -> IndexSearch:
        return IndexSearch(
            self._rows.learned,
            None if self.quantizer_ is None else self._encoder,
            self.metric,
            self.query,
            self._code_metric,
            self._reranks(vectors=self.quantizer_ is not None),
            self.n_jobs,
        )

    # Lists

    def _count_lists(self) -> None:
        """Count, once, the rows of each list in all shards."""
        rows = self._rows
        if rows.learned.lists is not None and not rows.counted:
            search = ShardedSearch(self._template(), rows.shards, self._engine)
            rows.counted.append(search.count_listed(None))

    def _check_ready(self) -> None:
        if hasattr(self, "_rows"):
            self._count_lists()
        super()._check_ready()

    def _lists_or_refuse(self, name: str) -> Lists:
        if hasattr(self, "_rows"):
            self._count_lists()
        return super()._lists_or_refuse(name)

    @property
    def _probes(self) -> Probes | None:
        self._count_lists()
        return super()._probes

    def _measure_lists(self, X: Rows | None) -> None:
        """Measure how many lists must be probed, with the rows drawn for it."""
        learned = self._learned
        own = np.asarray(learned._ids)
        if self.quantizer_ is None:
            queries: np.ndarray = learned._rows.codes_of(slice(None))
        else:
            assert X is not None
            queries = X[own]
        self._measure_probes(queries, own)
        learned._curve = self._curve
        lack = describe_lack_of_structure(self._curve, self.target_recall)
        if self.n_probes == "auto" and lack is not None:
            warnings.warn(lack, UserWarning, stacklevel=3)

    def _check_queries(self, X: VectorsLike | None) -> np.ndarray | None:
        if X is None:
            raise ValueError(
                f"X=None is for an index in one file: give {type(self).__name__} the "
                "rows to ask for as X, and leave each row's own number out of what is "
                "found."
            )
        return super()._check_queries(X)

    @classmethod
    def _parameters_of(cls, index: BinaryNeighbors) -> dict[str, Any]:
        """Return the parameters of an index that this class takes as well."""
        names = cls._get_param_names()
        given = index.get_params(deep=False)
        return {name: value for name, value in given.items() if name in names}

    def _plain_index(self) -> BinaryNeighbors:
        """Return an unfitted index in memory with the same parameters."""
        names = BinaryNeighbors._get_param_names()
        return BinaryNeighbors(**{name: getattr(self, name) for name in names})

    def _check_rows(self, X: VectorsLike, *, reset: bool) -> Rows:
        """Let rows in; their values are looked at as they are encoded."""
        if is_codes(X) and (reset or self.quantizer_ is None):
            if reset:
                self._check_codes_make_sense()
                self.__dict__.pop("feature_names_in_", None)
                self.n_features_in_ = X.n_features
            return X
        X = check_vectors(self, X, reset=reset, finite=False)
        return X if isinstance(X, StoredRows) else whole_array(X, "the array")

    def _take_learned(self, learned: BinaryNeighbors) -> None:
        self.quantizer_, self._metric = learned.quantizer_, learned._metric
        self.n_features_in_ = learned.n_features_in_
        self.__dict__.pop("_curve", None)
        if hasattr(learned, "_curve"):
            self._curve = learned._curve
        if hasattr(learned, "feature_names_in_"):
            self.feature_names_in_ = learned.feature_names_in_

    def _learn(self, X: Rows) -> BinaryNeighbors:
        # How many threads is for the process that searches to say.
        index = self._plain_index().set_params(n_jobs=None)
        learned = learn_from(index, X, self.n_jobs)
        if hasattr(self, "feature_names_in_"):
            learned.feature_names_in_ = self.feature_names_in_
        learned._check_ready()
        return learned


class ShardedNeighbors(ShardedIndex):
    """Search among codes that lie in many files, as if they were one index.

    An index for more rows than fit into memory, or into one file: rows are encoded
    shard by shard into a folder, which is opened in milliseconds and stays on disk.
    Answers equal those of :class:`BinaryNeighbors` fitted on all rows, bit for bit.

    Read more in the :ref:`User Guide <guide-out-of-core>`.

    Parameters
    ----------
    n_neighbors : int, default=5
        As in :class:`BinaryNeighbors`, as are ``radius``, ``quantizer``, ``metric``,
        ``query``, ``code_metric``, ``corrections``, ``oversampling``, ``n_jobs``,
        ``n_lists``, ``n_probes``, ``target_recall`` and ``random_state``.
    folder : path-like, default=None
        Where the files are written; it must be given to :meth:`fit`, and is made if it
        is not there.
    shard_rows : int or "auto", default="auto"
        Most rows of a shard. "auto" is what takes 256 MiB, and 2^20 at most.
    vectors : {"copy", "refer"}, default="copy"
        With ``oversampling``, whether shards hold the vectors themselves, or the path
        and the checksum of the file that they are mapped from: .npy, .fbin and other
        files that hold plain arrays. Then these must stay where they are.
    resume : bool, default=False
        Whether to go on in a folder where a run was stopped: shards that are finished,
        by checksum and size, are kept. Without it a folder that holds an index is
        refused.
    algorithm : {"brute", "ivf"}, default="brute"
        Whether all rows are compared, or those of lists that all shards share. A query
        probes the same lists in each shard.

    Attributes
    ----------
    codes_ : CodeArray
        A few codes, of the kind that all are: the others are in the files.
    quantizer_ : estimator or None
        The one quantizer that all shards share.
    n_samples_fit_ : int
        Number of rows in all shards.
    n_features_in_ : int
        Number of coordinates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had names at fit.

    See Also
    --------
    BinaryNeighbors : The same in memory, or in one file.
    skbq.distributed.BinaryNeighbors : The same on a cluster.

    Notes
    -----
    Shards share one quantizer, learned from a random sample of *all* rows, never from
    the head. Shards that learned thresholds of their own would have codes that mean
    different things: distances of different shards could not be merged.

    Lists are learned from the codes of all rows, or of a random sample of them where
    they are more than 131,072: of so many, or of 32 for each list. Up to there, they
    and the answers are those of one index with the same ``random_state``; beyond, those
    of one index with the same lists, which :meth:`save` writes.

    The folder holds ``manifest.json`` (files, their rows, sizes and checksums),
    ``learned.skbq`` (``learned.1.skbq`` with lists) and one index file for each shard,
    which :meth:`BinaryNeighbors.load` opens alone. A run that is killed leaves whole
    shards and a manifest that says that it is not complete.

    Examples
    --------
    >>> import tempfile
    >>> from skbq import ShardedNeighbors
    >>> from skbq.datasets import load_wordnet_minilm
    >>> glosses = load_wordnet_minilm()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = ShardedNeighbors(folder=folder, shard_rows=2000).fit(glosses.data)
    ...     opened = ShardedNeighbors.load(folder)
    ...     distances, rows = opened.kneighbors(glosses.queries)
    >>> rows.shape, opened.n_samples_fit_, len(opened.shard_files_)
    ((250, 5), 5000, 3)
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        folder: str | os.PathLike[str] | None = None,
        shard_rows: int | Literal["auto"] = "auto",
        vectors: Literal["copy", "refer"] = "copy",
        resume: bool = False,
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
        self.shard_rows = shard_rows
        self.vectors = vectors
        self.resume = resume

    def fit(self, X: VectorsLike, y: object = None) -> Self:
        """Encode rows into the folder, shard by shard.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), StoredRows or CodeArray
            Vectors, such as :func:`open_vectors` gives, which are read block by block.
        y : None
            Ignored.

        Returns
        -------
        self : object

        Raises
        ------
        FileExistsError
            If the folder holds an index or other files, and ``resume`` is False.
        ValueError
            If a row cannot be encoded, naming it and its file; with ``resume``, if the
            rows or the parameters are others than in the first run.
        OSError
            If a file cannot be written; those before it are whole.
        """
        self._check_parameters()
        folder = self._prepare_folder()
        X = self._check_rows(X, reset=True)
        begun = self._read_begun(folder)
        if begun is None:
            manifest = self._begin(folder, X)
        else:
            manifest = begun
        learned = BinaryNeighbors.load(folder / manifest.learned.file)
        self._refuse_others(learned, folder)
        has_lists = learned._rows.lists is not None
        spans = self._cut(X, learned)
        self._refuse_other_rows(manifest, spans, folder)
        for number, span in enumerate(spans):
            rows = _span(X, span)
            if number < len(manifest.shards):
                self._check_finished(manifest.shards[number], rows, folder)
                continue
            done = number + 1 == len(spans) and not has_lists
            record = self._write(learned, rows, folder, number)
            manifest = manifest.with_shards(record, complete=done)
            manifest.write(folder)
        self._open(folder, manifest, learned)
        if has_lists:
            self._finish_lists(X)
        return self

    def _finish_lists(self, X: Rows) -> None:
        """Measure lists, and say so in the folder, which is complete then."""
        self._measure_lists(X)
        former = self._manifest.learned
        record = write_learned(self._learned, self._folder, MEASURED)
        manifest = replace(self._manifest, learned=record, complete=True)
        manifest.write(self._folder)
        if former.file != record.file:
            (self._folder / former.file).unlink()
        self._open(self._folder, manifest, self._learned)

    def partial_fit(self, X: VectorsLike, y: object = None) -> Self:
        """Add rows as new shards; what the quantizer has learned stays as it is.

        The index has either all new rows or, if the run is stopped, none of them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), StoredRows or CodeArray
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
        X = self._check_rows(X, reset=False)
        folder, manifest = self._folder, self._manifest
        learned = BinaryNeighbors.load(folder / manifest.learned.file)
        first = len(manifest.shards)
        records = [
            self._write(learned, _span(X, span), folder, first + number)
            for number, span in enumerate(self._cut(X, learned))
        ]
        manifest = manifest.with_shards(*records, complete=True)
        manifest.write(folder)
        self._open(folder, manifest, learned)
        return self

    def remove(self, rows: ArrayLike) -> Self:
        """Take rows out of the index; all others keep their numbers.

        The shards that hold them are written again.

        Parameters
        ----------
        rows : int or array-like of int
            Row numbers, as :meth:`kneighbors` gives them.

        Returns
        -------
        self : object
        """
        check_is_fitted(self)
        rows = check_row_numbers(rows)
        refuse_removal(rows[(rows < 0) | (rows >= len(self._rows))], len(self._rows))
        rows = np.unique(rows)
        folder, records = self._folder, list(self._manifest.shards)
        replaced = []
        for number, shard in enumerate(self._rows.shards):
            own = rows - shard.first_row
            own = own[(own >= 0) & (own < shard.n_rows)]
            if not own.size:
                continue
            index = copy.copy(shard.rows.open()).remove(own)
            old = records[number]
            stem, _, version = old.file.removesuffix(".skbq").partition(".")
            path = folder / f"{stem}.{int(version or 0) + 1}.skbq"
            save_whole(index, path, refer=self.vectors == "refer")
            records[number] = old._replace(
                file=path.name,
                **read_mark(path)._asdict(),
                removed=old.removed + len(own),
            )
            replaced.append(folder / old.file)
        manifest = Manifest(self._manifest.learned, tuple(records), True)
        manifest.write(folder)
        for path in replaced:
            path.unlink()
        self._open(folder, manifest, self._learned)
        return self

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        vectors: Literal["copy", "refer"] = "copy",
    ) -> None:
        """Write all shards to one index file, which :class:`BinaryNeighbors` loads.

        Parameters
        ----------
        path : path-like
            Where to write.
        vectors : {"copy"}, default="copy"
            Kept vectors are copied: one file cannot refer to many.
        """
        check_is_fitted(self)
        check_option(vectors, "vectors", "ShardedNeighbors.save", ["copy"])
        lists = self._learned._rows.lists
        if lists is None:
            merge_files(self.shard_files_, os.fspath(path))
            return
        parts = [shard.rows.open() for shard in self._rows.shards]
        join_listed(self._learned, parts, lists.tree).save(path)

    @classmethod
    def load(  # type: ignore[override]
        cls, path: str | os.PathLike[str], *, verify: bool = False
    ) -> Self:
        """Open an index of many files.

        The manifest and the sizes of the files are read, which takes milliseconds;
        shards are mapped, and held against the checksums of their headers, when they
        are first searched.

        Parameters
        ----------
        path : path-like
            The folder.
        verify : bool, default=False
            Whether to compare all checksums now, which reads all files.

        Returns
        -------
        index : ShardedNeighbors

        Raises
        ------
        ValueError
            If a file is missing or altered, or the run that wrote them was not
            finished.
        """
        check_bool(verify, "verify", f"{cls.__name__}.load")
        folder = Path(path)
        manifest = Manifest.read(folder)
        if not manifest.complete:
            n_shards = len(manifest.shards)
            raise ValueError(_UNFINISHED.format(folder=folder, shards=n_shards))
        manifest.check_files(folder)
        if verify:
            verify_files(folder, (manifest.learned, *manifest.shards))
        check_mark(folder / manifest.learned.file, manifest.learned.mark)
        learned = BinaryNeighbors.load(folder / manifest.learned.file)
        index = cls(folder=folder, **cls._parameters_of(learned))
        index._open(folder, manifest, learned)
        return index

    def ids_of(self, rows: Iterable[int]) -> list[int | str]:
        """Return the identifiers of rows; the number of a row that has none.

        Parameters
        ----------
        rows : iterable of int
            Row numbers, as :meth:`kneighbors` gives them.

        Returns
        -------
        ids : list of int or str

        Raises
        ------
        TypeError
            If rows are no whole numbers.
        ValueError
            If a row is not there.
        """
        check_is_fitted(self)
        if isinstance(rows, str | bytes) or not isinstance(rows, Iterable):
            raise TypeError(f"rows must be row numbers. Got {rows!r} instead.")
        numbers = check_row_numbers(list(rows))
        beyond = numbers[(numbers < 0) | (numbers >= len(self._rows))]
        if beyond.size:
            raise ValueError(
                f"Rows {beyond[:5].tolist()} are not there: the index has rows 0 to "
                f"{len(self._rows) - 1}."
            )
        firsts = np.array([shard.first_row for shard in self._rows.shards])
        shards = np.searchsorted(firsts, numbers, "right") - 1
        found: list[int | str] = []
        for row, shard in zip(numbers, shards, strict=True):
            packed = getattr(self._rows.shards[shard].rows.open(), "_ids", None)
            if packed is None:
                found.append(int(row))
            else:
                found += ids_of(packed, [int(row - firsts[shard])])
        return found

    @property
    def has_ids(self) -> bool:
        """Whether rows have identifiers, which :meth:`ids_of` gives."""
        check_is_fitted(self)
        return hasattr(self._rows.shards[0].rows.open(), "_ids")

    @property
    def shard_files_(self) -> list[str]:
        """Paths of the shards, in the order of their rows."""
        check_is_fitted(self)
        return [str(self._folder / shard.file) for shard in self._manifest.shards]

    # Files

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_option(self.vectors, "vectors", self, ["copy", "refer"])
        check_bool(self.resume, "resume", self)

    def _prepare_folder(self) -> Path:
        if self.folder is None:
            raise ValueError(
                "folder must be given: where ShardedNeighbors writes its files. For "
                "an index in memory use BinaryNeighbors."
            )
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        if not self.resume and any(folder.iterdir()):
            raise FileExistsError(
                17,
                "the folder is not empty: name a new one, or go on there with "
                "resume=True",
                str(folder),
            )
        return folder

    def _read_begun(self, folder: Path) -> Manifest | None:
        """Return the manifest of a run to go on with; what it left half done goes."""
        for pattern in (".*.skbq.*", f".{NAME}.*"):
            for path in folder.glob(pattern):
                path.unlink()
        if not (folder / NAME).exists():
            return None
        manifest = Manifest.read(folder)
        manifest.check_files(folder)
        return manifest

    def _begin(self, folder: Path, X: Rows) -> Manifest:
        manifest = Manifest(write_learned(self._learn(X), folder))
        manifest.write(folder)
        return manifest

    def _refuse_others(self, learned: BinaryNeighbors, folder: Path) -> None:
        """Refuse to go on with other parameters."""
        mine, theirs = (
            _parameters_state(index) for index in (self._plain_index(), learned)
        )
        if mine != theirs or learned.n_features_in_ != self.n_features_in_:
            raise ValueError(
                f"{folder} was begun with other parameters or vectors of another "
                "width. Give those of the first run, or name a new folder."
            )

    def _cut(self, X: Rows, learned: BinaryNeighbors) -> list[slice]:
        rows = learned._rows
        refers = self.vectors == "refer" and rows.vectors is not None
        size = self.shard_rows
        if size == "auto":
            kept = 0 if refers else rows.vector_bytes_per_row
            size = default_shard_rows(rows.bytes_per_row + kept)
        lengths = X.lengths if isinstance(X, StoredRows) else [len(X)]
        return cut_shards(lengths, size, at_files=refers)

    def _refuse_other_rows(
        self, manifest: Manifest, spans: list[slice], folder: Path
    ) -> None:
        lengths = [span.stop - span.start for span in spans]
        finished = [shard.rows for shard in manifest.shards]
        if finished != lengths[: len(finished)]:
            raise ValueError(
                f"{folder} was begun with other rows, or shard_rows: its shards have "
                f"{finished[:5]} rows, these would have {lengths[:5]}. Give what the "
                "first run was given, or add rows by partial_fit."
            )

    def _check_finished(self, record: ShardRecord, rows: Rows, folder: Path) -> None:
        """Refuse a finished shard that is damaged, or whose rows have changed."""
        verify_files(folder, [record])
        _log.debug("kept %d rows", len(rows), extra={"rows": len(rows)})
        if checksum_rows(rows, self.metric) != record.source_checksum:
            raise ValueError(
                f"{record.source} has changed since it was encoded into {record.file}: "
                "its checksum is another. Encode into a new folder."
            )

    def _write(
        self, learned: BinaryNeighbors, rows: Rows, folder: Path, number: int
    ) -> ShardRecord:
        n_jobs = self.n_jobs
        if isinstance(rows, StoredRows) and not rows.is_mapped:
            n_jobs = 1
        record = write_shard(
            learned,
            rows,
            folder / shard_name(number),
            repr(rows) if isinstance(rows, StoredRows) else "codes",
            n_jobs,
            refer=self.vectors == "refer",
        )
        release_rows(rows, slice(None))
        return record

    def _open(self, folder: Path, manifest: Manifest, learned: BinaryNeighbors) -> None:
        self._take_learned(learned)
        self._learned, self._manifest, self._folder = learned, manifest, folder
        n_removed = sum(record.removed for record in manifest.shards)
        shards = file_shards(manifest.shards, folder)
        self._rows = ShardedRows(learned._rows, shards, n_removed)


def verify_files(folder: Path, records: Iterable[ShardRecord]) -> None:
    """Compare all checksums of files, which reads them.

    Raises
    ------
    FileError
    """
    for record in records:
        path = folder / record.file
        check_mark(path, record.mark)
        BinaryNeighbors.load(path, mmap_mode="r", verify=True)


def _parameters_state(index: BinaryNeighbors) -> str:
    """Return the parameters that decide what is written, to be compared."""
    arrays: list[np.ndarray] = []
    names = {*BinaryNeighbors._get_param_names()} - _OF_SEARCHES
    state = {name: to_state(getattr(index, name), arrays) for name in names}
    return json.dumps(_with_arrays(state, arrays), sort_keys=True)


def _with_arrays(state: JSON, arrays: list[np.ndarray]) -> JSON:
    """Put arrays where the state names them, for files order attributes anew."""
    if isinstance(state, list):
        return [_with_arrays(item, arrays) for item in state]
    if not isinstance(state, dict):
        return state
    if "array" in state:
        array = arrays[state["array"]]  # type: ignore[index]
        return [array.dtype.str, list(array.shape), array.tobytes().hex()]
    return {name: _with_arrays(value, arrays) for name, value in state.items()}


def _span(X: Rows, rows: slice) -> Rows:
    return X.span(rows.start, rows.stop) if isinstance(X, StoredRows) else X[rows]
