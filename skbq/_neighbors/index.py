"""Nearest neighbors of codes."""

import os
import warnings
from collections.abc import Mapping
from inspect import signature
from math import ceil
from numbers import Integral, Real
from operator import is_
from typing import Literal, NamedTuple, Self, get_args, overload
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, csr_matrix
from sklearn import get_config
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._quantization.quantizers import TwoBitQuantizer
from .._quantization.steps import rows_learned_from, split_quantizer
from .._utils.params import (
    check_bool,
    check_int,
    check_n_jobs,
    check_option,
    check_real,
    check_seed,
)
from .._utils.typing import (
    METRICS,
    Algorithm,
    CodeMetric,
    GraphMode,
    Metric,
    Oversampling,
    Query,
    RandomState,
    VectorQuantizer,
    VectorsLike,
)
from .._utils.validation import DocLinkMixin, check_lengths, check_vectors
from ..codes import CodeArray, MixedDepths, OneBit, describe_codes, is_codes
from .calibration import (
    CALIBRATION_ROWS,
    FEWEST_NEIGHBORS,
    ProbeCurve,
    describe_lack_of_structure,
    pack_curve,
    unpack_curve,
)
from .encoding import EncodedRows, Encoder, fit_encode, kind_kept, prediction_of
from .float_queries import CorrectionKind, Corrections
from .index_search import IndexSearch
from .indexed_rows import IndexedRows, check_row_numbers
from .inverted_lists import (
    Lists,
    choose_n_lists,
    learn_lists,
    pack_lists,
    unpack_lists,
)
from .list_search import Probes
from .state import Attributes, IndexState, read_index, write_index
from .vector_files import VectorFile

_CODE_METRICS = get_args(CodeMetric)
_SAVED_VECTORS = ["copy", "refer"]
_ALGORITHMS = get_args(Algorithm)
# Fewer rows are compared one and all where ``algorithm="auto"``: from here on lists are
# faster in all four ways that benchmarks/break_even.py times.
_ROWS_FOR_LISTS = 50_000
# Parameters of lists: files without lists do not name them, for earlier skbq to read.
_LIST_PARAMETERS = (
    "algorithm",
    "n_lists",
    "n_probes",
    "target_recall",
    "random_state",
)
# A quantizer that learned from fewer rows is warned about as rows are added to it:
# thresholds learned from a handful of rows lose recall for all rows that follow.
_FEW_ROWS = 10
# How many rows the warning asks for.
_ENOUGH_ROWS = 50


class BinaryNeighbors(DocLinkMixin, BaseEstimator):
    """Search for nearest neighbors among one- or two-bit codes.

    Used in one of two ways. *Flat*, as the last step of a pipeline, it is given codes
    and compares codes. *Nested*, it is given vectors and its own ``quantizer``: then
    queries may stay floats (``query="vectors"``) and the best candidates can be
    reranked with the vectors themselves (``oversampling``).

    Read more in the :ref:`User Guide <guide-compositions>`.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbors that :meth:`kneighbors` gives by default.
    radius : float, default=None
        Largest distance that :meth:`radius_neighbors` takes by default, in the units
        of the distances below. None is 1.0 for distances in units of ``metric``;
        between codes, whose distances count bits or levels, it must be given.
    quantizer : estimator, default=None
        What encodes vectors: a quantizer, or a Pipeline that ends in one and whose
        earlier steps are applied to queries too. It is cloned and fitted on the
        rows (under ``metric="cosine"`` on the rows scaled to unit length). None means
        ``TwoBitQuantizer()``, which learns from nothing but the rows. Leave it None
        when codes are given.
    metric : {"cosine", "euclidean", "inner_product"}, default="cosine"
        What the codes stand for: the distance that ``query="vectors"`` estimates and
        that reranking computes. Under "cosine" rows and queries are scaled to unit
        length before the quantizer sees them.
    query : {"codes", "vectors"}, default="codes"
        Whether a query is encoded as well, or compared as it is with the codes. The
        second is finer and keeps a few bytes more for each row.
    code_metric : {"auto", "hamming", "penalty", "dot"}, default="auto"
        Distance between two codes, for ``query="codes"``; "auto" is "hamming" for one
        bit and "dot" for two.

        - "hamming": the number of stored bits that differ;
        - "penalty": the sum, over coordinates whose signs differ, of (1 + m)(1 + m')
          with the magnitude bits m, m' [2]_;
        - "dot": the largest possible score less the score, which is the sum of the
          products of the signed levels; of mixed depths, whose values have no length
          that means anything, 1 less the cosine between the values.
    oversampling : float or "bound", default=None
        If given, at least 1: the ``oversampling * n_neighbors`` rows that are nearest
        by their codes are reranked by their exact distance, for which the vectors are
        kept as given (not copied; float16, integers and memory maps too). "bound"
        reranks all rows that may be near enough by the error bound of the estimate,
        and needs ``query="vectors"``. None keeps no vectors.
    corrections : bool or "exact", default=True
        What ``query="vectors"`` keeps of each row beside its code, to correct the
        estimate. True: two numbers in 3 bytes, whose rounding does not change recall;
        of a PCAQuantizer in ``correction_bytes_``. "exact": the same in float32. False:
        nothing, so that estimates are those of the codes alone, which find fewer
        neighbors; a PCAQuantizer's are corrected by what its codes predict.
    n_jobs : int, default=None
        Number of threads over queries, as in scikit-learn.
    algorithm : {"brute", "ivf", "auto"}, default="brute"
        "brute" compares all rows. "ivf", an inverted file, stores rows whose codes
        are alike in lists, and compares the rows of the lists nearest to a query:
        most neighbors in a fraction of the time. "auto" is "ivf" from 50,000 rows
        on, where lists separate them.
    n_lists : int or "auto", default="auto"
        About how many lists "ivf" makes; "auto" is four times the square root of the
        number of rows, with 64 rows or more in each.
    n_probes : int, float or "auto", default="auto"
        How many lists a query probes: an int is a number of lists, a float in (0, 1]
        the share of the rows in them. "auto" is the smallest number that finds
        ``target_recall``. All may be changed after fit.
    target_recall : float, default=0.95
        Share of the neighbors that brute force gives, in (0, 1], that
        ``n_probes="auto"`` is sure to find for rows like the fitted ones.
    random_state : int, RandomState instance or None, default=None
        Draws the rows that lists learn from and the queries that recall is measured
        with. Lists are the same for an int, whatever the machine.

    Attributes
    ----------
    codes_ : CodeArray of shape (n_samples_fit_, ceil(d / 8))
        The codes that are searched.
    quantizer_ : estimator or None
        The fitted quantizer; None if codes were given.
    n_lists_ : int
        Number of lists. This and what follows is there only of rows in lists.
    list_sizes_ : ndarray of shape (n_lists_,), dtype int64
        Number of rows in each.
    n_probes_ : int or float
        Number of lists that a query probes, or the share of rows in them.
    probe_curve_ : ProbeCurve
        Recall by number of lists, measured at fit or by :meth:`calibrate`: arrays
        ``n_probes`` and ``share`` (of the rows that are compared), and ``recall``, an
        estimate with its interval for each. ``print`` shows it as a table.
    bytes_per_row_ : int
        Memory for each row: its code and, with ``query="vectors"``, 3 bytes of
        corrections, of a PCAQuantizer perhaps none. Under "inner_product" codes of one
        or two bits have 2 bytes more for the error bound. With ``corrections="exact"``
        8 bytes, or 12. Of rows in lists also their share of these, and codes in memory
        once more, turned as scans read them.
    vector_bytes_per_row_ : int
        Memory for each row of the vectors kept for reranking; 0 if none are.
    n_samples_fit_ : int
        Number of rows.
    n_features_in_ : int
        Number of coordinates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had names at fit.

    See Also
    --------
    BinaryNeighborsTransformer : Neighbor graphs for other estimators.
    sklearn.neighbors.NearestNeighbors : Exact search in floats.

    Notes
    -----
    Distances that are returned: with ``query="codes"`` those between codes; with
    ``query="vectors"`` an estimate of ``metric``; with ``oversampling`` exactly
    ``metric``. "cosine" is 1 - cosine similarity, "inner_product" is -<x, y>.

    The quantizer learns from all rows, or from a random sample of them (always the
    same) where they are more than 131,072 or hold more than 2^24 numbers.

    With ``algorithm="ivf"`` a query probes lists in an order of its own, and goes on
    to further ones while fewer rows count than are wanted, as where a mask leaves few.
    With all lists probed the answer is that of brute force. Radius searches always
    compare all rows. Recall is measured at fit with 256 rows as queries, each left out;
    queries that are unlike the rows find fewer neighbors, which :meth:`calibrate`
    measures. Rows that are added go to the nearest list; the lists stay as they are.

    Equal distances go to the lower row, whatever the batch, the order or ``n_jobs``.

    Under "cosine" a row of zeros is refused, since it has no direction. In vectors of
    integers, where rounding may have taken the direction away, it is at distance 1
    from everything, as in :func:`sklearn.metrics.pairwise.cosine_distances`.

    The estimate corrects each code for its own length [1]_: with a = x - c, where c
    are the quantizer's thresholds, q the code's values, f = <a, a> / <q, a> and
    b = <a, c>, it is ``<x, y> ~ f <q, y - c> + b + <c, y>``. Steps before the
    quantizer should keep inner products, as a rotation does: what is estimated is the
    metric after them. Bounds are refused where they do not. With o the cosine of a and
    q, the estimate's error is below
    ``1.9 |a| |y - c| sqrt((1 - o^2) / (o^2 (d - 1)))`` for all but a few in a hundred
    pairs (those of a normal variable beyond 1.9) after a random rotation, for which the
    bound is derived [1]_; without one it is a guide only.

    References
    ----------
    .. [1] Gao, J. and Long, C. "RaBitQ: Quantizing high-dimensional vectors with a
       theoretical error bound for approximate nearest neighbor search", SIGMOD 2024,
       arXiv 2405.12497, equation 12.
    .. [2] Xiao, W. et al. "QuIVer", arXiv 2605.02171, 2026.

    Examples
    --------
    >>> from skbq import BinaryNeighbors, TwoBitQuantizer
    >>> from skbq.datasets import load_wordnet_minilm
    >>> glosses = load_wordnet_minilm()
    >>> index = BinaryNeighbors(quantizer=TwoBitQuantizer(), oversampling=4)
    >>> distances, rows = index.fit(glosses.data).kneighbors(glosses.queries)
    >>> rows.shape, index.bytes_per_row_
    ((250, 5), 96)
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        radius: float | None = None,
        quantizer: VectorQuantizer | None = None,
        metric: Metric = "cosine",
        query: Query = "codes",
        code_metric: CodeMetric = "auto",
        oversampling: Oversampling = None,
        corrections: bool | Literal["exact"] = True,
        n_jobs: int | None = None,
        algorithm: Algorithm = "brute",
        n_lists: int | Literal["auto"] = "auto",
        n_probes: float | Literal["auto"] = "auto",
        target_recall: float = 0.95,
        random_state: RandomState = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.quantizer = quantizer
        self.metric = metric
        self.query = query
        self.code_metric = code_metric
        self.oversampling = oversampling
        self.corrections = corrections
        self.n_jobs = n_jobs
        self.algorithm = algorithm
        self.n_lists = n_lists
        self.n_probes = n_probes
        self.target_recall = target_recall
        self.random_state = random_state

    # Fitting.

    # What strings ``oversampling`` may be.
    _oversampling_options: tuple[str, ...] = ("bound",)

    def _reranks(self, *, vectors: bool) -> float | str | None:
        """Return what ``oversampling`` stands for, where vectors or codes are given."""
        return self.oversampling

    def fit(self, X: VectorsLike, y: object = None) -> Self:
        """Index rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or CodeArray
            Vectors, or the codes that a quantizer made of them. Codes are copied unless
            they are read-only, such as a memory map, which stays on disk.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        self._check_parameters()
        for name in ("_ids", "_curve"):  # of the rows of a file; of former lists
            self.__dict__.pop(name, None)
        if is_codes(X):
            self._check_codes_make_sense()
            _refuse_no_codes(X)
            self.n_features_in_ = X.n_features
            self.__dict__.pop("feature_names_in_", None)
            self.quantizer_ = None
            _refuse_code_metric(X, self.code_metric)
            self._rows = IndexedRows(X.copy() if X.flags.writeable else X)
        else:
            X = check_vectors(self, X, reset=True)
            check_lengths(X, self.metric)
            given = self.quantizer
            quantizer = TwoBitQuantizer() if given is None else clone(given)
            codes, corrections = fit_encode(
                quantizer,
                X,
                self.metric,
                corrections=self._correction_kind,
                n_jobs=self.n_jobs,
            )
            self._check_bound(codes, corrections)
            _refuse_code_metric(codes, self.code_metric)
            self.quantizer_ = quantizer
            kept = None if self._reranks(vectors=True) is None else X
            self._rows = IndexedRows(codes, corrections, kept)
        self._metric = self.metric
        if self._wants_lists():
            self._make_lists(X)
        return self

    def _wants_lists(self) -> bool:
        if self.algorithm == "auto":
            is_large = len(self._rows) >= _ROWS_FOR_LISTS
            return is_large and self.oversampling != "bound"
        return self.algorithm == "ivf"

    def _make_lists(self, X: np.ndarray) -> None:
        """Put the fitted rows into lists, and measure how many must be probed."""
        random_state = check_random_state(self.random_state)
        n = len(self._rows)
        n_lists = choose_n_lists(n) if self.n_lists == "auto" else self.n_lists
        order = random_state.permutation(n)
        lists = learn_lists(
            self._rows.codes, min(n_lists, n), random_state, self.n_jobs, order
        )
        self._rows = self._rows.in_lists(lists)
        own = np.sort(order[-CALIBRATION_ROWS:])
        self._measure_probes(X[own], own)
        if self.n_probes != "auto":
            return
        lack = describe_lack_of_structure(self._curve, self.target_recall)
        if lack is not None and self.algorithm == "auto":
            self._rows = self._rows.without_lists()
            del self._curve
        elif lack is not None:
            warnings.warn(lack, UserWarning, stacklevel=3)

    def _measure_probes(self, X: np.ndarray, own: np.ndarray | None = None) -> None:
        n = self.n_samples_fit_ - self._rows.n_removed - (own is not None)
        k = min(max(self.n_neighbors, FEWEST_NEIGHBORS), n)
        mask = self._rows.mask(None)
        self._curve = self._search.measure_probes(X, max(k, 1), mask, own)

    def calibrate(self, X: VectorsLike) -> Self:
        """Measure recall by the number of lists probed, with queries of your own.

        At :meth:`fit` rows are the queries. Real queries can be unlike them, and then
        find fewer neighbors in as many lists: this measures how many lists they need.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or CodeArray
            Queries as for :meth:`kneighbors`, a few hundred of them; not indexed rows,
            which would find themselves.

        Returns
        -------
        self : object
            With a new ``probe_curve_``, which ``n_probes="auto"`` goes by.
        """
        self._check_ready()
        self._lists_or_refuse("calibrate")
        if X is None:
            raise TypeError("calibrate needs queries as X. Got None instead.")
        queries = self._check_queries(X)
        assert queries is not None
        self._measure_probes(queries)
        if self.n_probes == "auto":
            lack = describe_lack_of_structure(self._curve, self.target_recall)
            if lack is not None:
                warnings.warn(lack, UserWarning, stacklevel=2)
        return self

    def partial_fit(self, X: VectorsLike, y: object = None) -> Self:
        """Add rows; what the quantizer has learned stays as it is.

        Room is made for more rows than come, so that adding few at a time stays cheap.
        Rows of a memory-mapped index, or kept vectors on disk, are read into memory by
        the first addition.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or CodeArray
            Rows of the kind given to :meth:`fit`, which the first call stands for. If
            vectors are kept, in a type that holds them and the former ones.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        if not hasattr(self, "_rows"):
            self.fit(X)
            self._warn_of_few_rows()
            return self
        self._check_ready()
        if self.quantizer_ is None:
            encoded = EncodedRows(self._check_codes(X), None)
            self._rows = self._rows.with_added(encoded, None, n_jobs=self.n_jobs)
            return self
        X = check_vectors(self, X, reset=False)
        check_lengths(X, self.metric)
        self._warn_of_few_rows()
        kept = self._rows.corrections
        encoded = self._encoder.encode_rows(
            X,
            like=kept,
            n_jobs=self.n_jobs,
        )
        rows = self._rows.with_added(encoded, X, n_jobs=self.n_jobs)
        self._check_bound(rows.codes, rows.corrections)
        self._rows = rows
        return self

    @property
    def _correction_kind(self) -> CorrectionKind | None:
        """What is kept of each row for asymmetric search; None: nothing is needed."""
        if self.query != "vectors":
            return None
        if self.corrections == "exact":
            return "exact"
        return "short" if self.corrections else "none"

    def _warn_of_few_rows(self) -> None:
        """Warn, before rows are added, once, of what was learned from few."""
        n = rows_learned_from(self.quantizer_)
        if n is not None and n < _FEW_ROWS and len(self._rows) <= n:
            warnings.warn(
                f"The quantizer learned from {n} rows and stays as it is, which makes "
                "neighbors among rows that are added later worse. Call fit on a sample "
                f"of {_ENOUGH_ROWS} rows or more first, or pass a quantizer that was "
                "fitted on one: quantizer=FrozenEstimator(...).",
                UserWarning,
                stacklevel=3,
            )

    def _check_bound(self, codes: CodeArray, corrections: Corrections | None) -> None:
        """Refuse to bound errors where steps change what is compared."""
        if self.oversampling == "bound":
            _refuse_mixed_depths(codes, "oversampling='bound'")
            self._refuse_no_corrections("oversampling='bound'")
            _refuse_distortion(corrections, self.metric, "oversampling='bound'")

    def _refuse_no_corrections(self, wanted: str) -> None:
        if self.corrections is False:
            raise ValueError(
                f"{wanted} needs the corrections of each row, whose error has a bound. "
                "Leave corrections=True."
            )

    @property
    def _encoder(self) -> Encoder:
        return Encoder(self.quantizer_, self.metric)

    @property
    def codes_(self) -> CodeArray:
        """The codes that are searched, in the order of rows."""
        rows = self._rows
        return rows.codes if rows.lists is None else rows.codes_of(slice(None))

    def _lists_or_refuse(self, name: str) -> Lists:
        """Return the lists, or say by which parameter there are some."""
        lists = self._rows.lists if hasattr(self, "_rows") else None
        if lists is None:
            raise AttributeError(
                f"{name} is there only of rows in lists: set algorithm='ivf' and fit."
            )
        return lists

    @property
    def n_lists_(self) -> int:
        """Number of lists."""
        return len(self._lists_or_refuse("n_lists_"))

    @property
    def list_sizes_(self) -> np.ndarray:
        """Number of rows in each list."""
        return self._lists_or_refuse("list_sizes_").sizes

    @property
    def probe_curve_(self) -> ProbeCurve:
        """Recall by number of lists."""
        self._lists_or_refuse("probe_curve_")
        return self._curve

    @property
    def n_probes_(self) -> int | float:
        """Number of lists that a query probes, or the share of rows in them."""
        lists = self._lists_or_refuse("n_probes_")
        if self.n_probes == "auto":
            return int(self._curve.n_probes[self._curve.find(self.target_recall)])
        if isinstance(self.n_probes, Integral):
            return min(int(self.n_probes), len(lists))
        return float(self.n_probes)

    @property
    def _probes(self) -> Probes | None:
        """Which lists a query probes; None: all."""
        lists = self._rows.lists
        if lists is None or self.algorithm == "brute" or not hasattr(self, "_curve"):
            return None
        n = self.n_probes_
        if isinstance(n, int):
            return None if n == len(lists) else Probes(n)
        return None if n == 1 else Probes(len(lists), ceil(n * lists.n_rows))

    @property
    def n_samples_fit_(self) -> int:
        """Number of rows, removed ones included."""
        return len(self._rows)

    @property
    def bytes_per_row_(self) -> int:
        """Memory for each row but for its vector."""
        return self._rows.bytes_per_row

    @property
    def vector_bytes_per_row_(self) -> int:
        """Memory for each row's vector; 0 if vectors are not kept."""
        return self._rows.vector_bytes_per_row

    def __getstate__(self) -> dict[str, object]:
        # Capacity for more rows is not shared with copies.
        state = super().__getstate__()
        if "_rows" not in state:
            return state
        return {**state, "_rows": state["_rows"].without_capacity()}

    def remove(self, rows: ArrayLike) -> Self:
        """Take rows out of the index; all others keep their numbers.

        A removed row is never found again. Its number is not given to another row, and
        its memory is freed by the next :meth:`fit`.

        Parameters
        ----------
        rows : int or array-like of int
            Row numbers, as :meth:`kneighbors` gives them.

        Returns
        -------
        self : object
        """
        check_is_fitted(self)
        self._rows = self._rows.with_removed(check_row_numbers(rows))
        return self

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        vectors: Literal["copy", "refer"] = "copy",
    ) -> None:
        """Write the fitted index to one file, without pickle.

        The file appears under its name only once it is whole. Steps of ``quantizer``
        must be from skbq, or ``Normalizer``, ``Pipeline`` and ``FrozenEstimator`` of
        scikit-learn; pickle and joblib take any.

        Parameters
        ----------
        path : path-like
            Where to write.
        vectors : {"copy", "refer"}, default="copy"
            Whether vectors that are kept for reranking are written too. "refer" writes
            the path and the checksum of the file that they are mapped from, which must
            stay where it is: an index of a .npy file then takes no more than its codes.

        Raises
        ------
        ValueError
            If vectors that are to be referred to are mapped from no file.

        See Also
        --------
        BinaryNeighbors.load : Reads it.
        """
        check_is_fitted(self)
        check_option(vectors, "vectors", f"{type(self).__name__}.save", _SAVED_VECTORS)
        attributes = dict(vars(self))
        rows = attributes.pop("_rows")
        attributes |= {"_vectors": rows.vectors, "_removed": rows.removed}
        if self.corrections is True:
            del attributes["corrections"]  # the default, which earlier versions lack
        if vectors == "refer" and rows.vectors is not None:
            attributes["_vectors"] = VectorFile.of(rows.vectors)
        if rows.lists is not None:
            attributes["_lists"] = pack_lists(rows.lists)
            attributes["_curve"] = pack_curve(self._curve)
        elif all(attributes[name] == _default(name) for name in _LIST_PARAMETERS):
            for name in _LIST_PARAMETERS:
                del attributes[name]
        kept = rows.corrections
        if kept is not None:
            exact = kept.kind in ("exact", "float16")
            columns = np.stack(kept.columns) if exact else tuple(kept.columns)
            attributes |= {
                "_corrections": columns,
                "_unit": kept.unit,
                "_distortion": kept.distortion,
                "_rounding": (kept.origin, kept.offset_step, kept.scale_step),
            }
            if kept.ranges is not None:
                attributes["_correction_range"] = kept.ranges
        write_index(path, type(self), IndexState(rows.codes, attributes))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        mmap_mode: Literal["r"] | None = None,
        verify: bool = True,
    ) -> Self:
        """Read an index written by :meth:`save`.

        Parameters
        ----------
        path : path-like
            The file.
        mmap_mode : {None, "r"}, default=None
            "r" maps codes and kept vectors from the file: they are read as they are
            searched, and can be larger than the memory.
        verify : bool, default=True
            Whether to compare the arrays with their checksums, which reads the whole
            file once. The header and the size are checked in any case.

        Returns
        -------
        index : object

        Raises
        ------
        ValueError
            If the file is no index of this class, was cut short or altered, or holds
            what no index could: that is looked at whatever ``verify`` says.
        """
        if mmap_mode is not None:
            check_option(mmap_mode, "mmap_mode", f"{cls.__name__}.load", ["r"])
        check_bool(verify, "verify", f"{cls.__name__}.load")
        codes, attributes = read_index(
            path, cls, mapped=mmap_mode is not None, verify=verify
        )
        index = cls()
        index._rows = _take_rows(codes, attributes)
        index.__dict__.update(attributes)
        return index

    # Queries.

    @overload
    def kneighbors(
        self,
        X: VectorsLike | None = None,
        n_neighbors: int | None = None,
        return_distance: Literal[True] = True,
        *,
        mask: ArrayLike | None = None,
        return_bound: Literal[False] = False,
    ) -> tuple[np.ndarray, np.ndarray]: ...

    @overload
    def kneighbors(
        self,
        X: VectorsLike | None = None,
        n_neighbors: int | None = None,
        *,
        return_distance: Literal[False],
        mask: ArrayLike | None = None,
        return_bound: Literal[False] = False,
    ) -> np.ndarray: ...

    @overload
    def kneighbors(
        self,
        X: VectorsLike | None,
        n_neighbors: int | None,
        return_distance: Literal[False],
        *,
        mask: ArrayLike | None = None,
        return_bound: Literal[False] = False,
    ) -> np.ndarray: ...

    @overload
    def kneighbors(
        self,
        X: VectorsLike | None = None,
        n_neighbors: int | None = None,
        return_distance: Literal[True] = True,
        *,
        mask: ArrayLike | None = None,
        return_bound: Literal[True],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...

    @overload
    def kneighbors(
        self,
        X: VectorsLike | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
        *,
        mask: ArrayLike | None = None,
        return_bound: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, ...]: ...

    def kneighbors(
        self,
        X: VectorsLike | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
        *,
        mask: ArrayLike | None = None,
        return_bound: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, ...]:
        """Find the nearest rows of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or CodeArray, default=None
            Queries, of the kind given to :meth:`fit`. None means the indexed rows
            themselves, each not its own neighbor.
        n_neighbors : int, default=None
            Number of neighbors; None means the one given at construction.
        return_distance : bool, default=True
            Whether to return the distances.
        mask : array-like of shape (n_samples_fit_,), dtype bool, default=None
            Rows that may be found; None means all.
        return_bound : bool, default=False
            Whether to return lower bounds of the true distances as well; for
            ``query="vectors"`` without ``oversampling``.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), dtype float64
            Only if ``return_distance``; ascending.
        indices : ndarray of shape (n_queries, n_neighbors), dtype int64
            Rows, those of equal distance in ascending order. Where the mask leaves
            fewer than ``n_neighbors`` rows, the rest is -1 at distance infinity.
        bounds : ndarray of shape (n_queries, n_neighbors), dtype float64
            Only if ``return_bound``: the true distance is above this, but for the
            share of pairs that the Notes of the class give.
        """
        search = self._ready_search()
        check_bool(return_distance, "return_distance", self)
        if check_bool(return_bound, "return_bound", self):
            self._check_estimates()
        k = self._check_n_neighbors(X, n_neighbors)
        X, mask = self._check_queries(X), self._check_mask(mask)
        neighbors = search.kneighbors(X, k, mask)
        answer = tuple(neighbors) if return_distance else (neighbors.rows,)
        if return_bound:
            answer = (*answer, search.lower_bounds(X, neighbors))
        return answer if len(answer) > 1 else neighbors.rows

    @overload
    def radius_neighbors(
        self,
        X: VectorsLike | None = None,
        radius: float | None = None,
        return_distance: Literal[True] = True,
        sort_results: bool = False,
        *,
        mask: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray]: ...

    @overload
    def radius_neighbors(
        self,
        X: VectorsLike | None = None,
        radius: float | None = None,
        *,
        return_distance: Literal[False],
        sort_results: bool = False,
        mask: ArrayLike | None = None,
    ) -> np.ndarray: ...

    @overload
    def radius_neighbors(
        self,
        X: VectorsLike | None,
        radius: float | None,
        return_distance: Literal[False],
        sort_results: bool = False,
        *,
        mask: ArrayLike | None = None,
    ) -> np.ndarray: ...

    @overload
    def radius_neighbors(
        self,
        X: VectorsLike | None = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
        *,
        mask: ArrayLike | None = None,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]: ...

    def radius_neighbors(
        self,
        X: VectorsLike | None = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
        *,
        mask: ArrayLike | None = None,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Find all rows within a radius of each query, boundary included.

        With ``oversampling`` every row is compared by its exact distance, since no
        number of candidates is sure to hold all rows within a radius.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or CodeArray, default=None
            Queries; None means the indexed rows themselves, each not its own
            neighbor.
        radius : float, default=None
            Largest distance, infinity included; None means the one given at
            construction.
        return_distance : bool, default=True
            Whether to return the distances.
        sort_results : bool, default=False
            Whether to sort by (distance, row) instead of by row.
        mask : array-like of shape (n_samples_fit_,), dtype bool, default=None
            Rows that may be found; None means all.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of float64 arrays
            Only if ``return_distance``.
        indices : ndarray of shape (n_queries,) of int64 arrays
        """
        search = self._ready_search()
        check_bool(return_distance, "return_distance", self)
        if check_bool(sort_results, "sort_results", self) and not return_distance:
            raise ValueError("return_distance must be True if sort_results is True.")
        X, mask = self._check_queries(X), self._check_mask(mask)
        limit = self._check_radius(radius)
        distances, rows = search.radius_neighbors(X, limit, mask)
        if sort_results:
            orders = [np.argsort(d, kind="stable") for d in distances]
            distances = [d[o] for d, o in zip(distances, orders, strict=True)]
            rows = [r[order] for r, order in zip(rows, orders, strict=True)]
        if not return_distance:
            return _ragged(rows)
        return _ragged(distances), _ragged(rows)

    def kneighbors_graph(
        self,
        X: VectorsLike | None = None,
        n_neighbors: int | None = None,
        mode: GraphMode = "connectivity",
        *,
        mask: ArrayLike | None = None,
    ) -> csr_array | csr_matrix:
        """Give the nearest rows of each query as a sparse graph.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or CodeArray, default=None
            Queries; None means the indexed rows themselves, each not its own
            neighbor.
        n_neighbors : int, default=None
            Number of neighbors; None means the one given at construction.
        mode : {"connectivity", "distance"}, default="connectivity"
            Whether an edge weighs 1 or its distance. Distances estimated below 0
            become 0.
        mask : array-like of shape (n_samples_fit_,), dtype bool, default=None
            Rows that may be found; None means all.

        Returns
        -------
        graph : sparse matrix or array in CSR form, (n_queries, n_samples_fit_)
        """
        self._check_mode(mode)
        search = self._ready_search()
        k = self._check_n_neighbors(X, n_neighbors)
        X, mask = self._check_queries(X), self._check_mask(mask)
        clip = mode == "distance"
        distances, rows = search.kneighbors(X, k, mask, clip=clip)
        there = rows >= 0
        return self._graph(distances[there], rows[there], there.sum(axis=1), mode)

    def radius_neighbors_graph(
        self,
        X: VectorsLike | None = None,
        radius: float | None = None,
        mode: GraphMode = "connectivity",
        sort_results: bool = False,
        *,
        mask: ArrayLike | None = None,
    ) -> csr_array | csr_matrix:
        """Give all rows within a radius of each query as a sparse graph.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or CodeArray, default=None
            Queries; None means the indexed rows themselves, each not its own
            neighbor.
        radius : float, default=None
            Largest distance, infinity included; None means the one given at
            construction.
        mode : {"connectivity", "distance"}, default="connectivity"
            Whether an edge weighs 1 or its distance.
        sort_results : bool, default=False
            Whether to sort each row's edges by distance instead of by row.
        mask : array-like of shape (n_samples_fit_,), dtype bool, default=None
            Rows that may be found; None means all.

        Returns
        -------
        graph : sparse matrix or array in CSR form, (n_queries, n_samples_fit_)
        """
        self._check_mode(mode)
        distances, rows = self.radius_neighbors(
            X, radius, sort_results=sort_results, mask=mask
        )
        lengths = np.array([len(r) for r in rows])
        return self._graph(
            np.concatenate(distances), np.concatenate(rows), lengths, mode
        )

    @property
    def _code_metric(self) -> str:
        if self.code_metric != "auto":
            return self.code_metric
        return "hamming" if isinstance(self._rows.codes.layout, OneBit) else "dot"

    @property
    def _search(self) -> IndexSearch:
        return IndexSearch(
            self._rows,
            None if self.quantizer_ is None else self._encoder,
            self.metric,
            self.query,
            self._code_metric,
            self._reranks(vectors=self.quantizer_ is not None),
            self.n_jobs,
            self._probes,
        )

    def _ready_search(self) -> IndexSearch:
        """Return the search of an index that is ready for it.

        Checks take longer than a query's search: they are done once for the same
        attributes. Where one is another object, all is checked again.
        """
        known = _READY.get(self)
        if known is None or not known.is_of(vars(self)):
            self._check_ready()
            known = _READY[self] = _Ready(vars(self).copy(), self._search)
        return known.search

    # What comes in.

    def _check_parameters(self) -> None:
        _READY.pop(self, None)  # which may hold rows of before
        check_int(self.n_neighbors, "n_neighbors", self, low=1)
        if self.radius is not None:
            check_radius(self.radius, self)
        check_n_jobs(self.n_jobs, self)
        check_option(self.metric, "metric", self, METRICS)
        check_option(self.query, "query", self, ["codes", "vectors"])
        check_option(self.code_metric, "code_metric", self, _CODE_METRICS)
        if isinstance(self.oversampling, str):
            options = self._oversampling_options
            check_option(self.oversampling, "oversampling", self, options, "a float")
            if self.oversampling == "bound" and self.query != "vectors":
                raise ValueError(
                    "oversampling='bound' needs query='vectors', whose estimates have "
                    f"a bound. Got query={self.query!r} instead."
                )
        elif self.oversampling is not None:
            check_real(self.oversampling, "oversampling", self, low=1)
        if not isinstance(self.corrections, bool):
            given = self.corrections
            check_option(given, "corrections", self, ["exact"], "True or False")
        self._check_list_parameters()
        if self.quantizer is not None and not hasattr(self.quantizer, "transform"):
            raise TypeError(
                "The 'quantizer' parameter of BinaryNeighbors must be an estimator "
                "that turns vectors into codes, such as TwoBitQuantizer(), or a "
                f"Pipeline that ends in one. Got {self.quantizer!r} instead."
            )

    def _check_list_parameters(self) -> None:
        check_option(self.algorithm, "algorithm", self, _ALGORITHMS)
        check_number(self.n_lists, "n_lists", self)
        check_number(self.n_probes, "n_probes", self, may_be_share=True)
        check_seed(self.random_state, self)
        check_real(
            self.target_recall, "target_recall", self, low=0, high=1, closed_low=False
        )
        if self.algorithm == "ivf" and self.oversampling == "bound":
            raise ValueError(
                "oversampling='bound' looks for all rows that may be near enough, in "
                "all lists. Use algorithm='brute', or oversampling=4."
            )

    def _check_codes_make_sense(self) -> None:
        """Refuse parameters that need vectors when codes are given."""
        if self.quantizer is not None:
            raise ValueError(
                "X holds codes, which BinaryNeighbors(quantizer=...) would quantize "
                "again. Pass the vectors, or leave quantizer=None."
            )
        reranks = self._reranks(vectors=False)
        for name, value, default in (
            ("query", self.query, "codes"),
            ("oversampling", reranks, None),
        ):
            if value != default:
                raise ValueError(
                    f"X holds codes, but {name}={value!r} needs the vectors. Pass "
                    "vectors to BinaryNeighbors(quantizer=...) instead of codes, or "
                    f"set {name}={default!r}."
                )

    def _check_ready(self) -> None:
        """Refuse an index that is not fitted, or not for its present parameters."""
        if "_rows" not in vars(self):  # to look for more takes longer than a search
            check_is_fitted(self)
        self._check_parameters()
        reranks = self._reranks(vectors=self.quantizer_ is not None) is not None
        for name, wanted, kept in (
            ("query", self.query == "vectors", self._rows.corrections),
            ("oversampling", reranks, self._rows.vectors),
        ):
            if wanted and kept is None:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} was set after fit, which kept "
                    "nothing for it. Fit again."
                )
        self._check_kept_corrections()
        if self.metric != self._metric:
            raise ValueError(
                f"metric={self.metric!r} was set after fit, whose codes stand for "
                f"{self._metric!r}. Fit again."
            )
        codes = self._rows.codes
        self._check_bound(codes, self._rows.corrections)
        _refuse_code_metric(codes, self.code_metric)
        if self.algorithm == "ivf" and self._rows.lists is None:
            raise ValueError(
                "algorithm='ivf' was set after fit, which made no lists. Fit again."
            )

    def _check_kept_corrections(self) -> None:
        kept, wanted = self._rows.corrections, self._correction_kind
        if kept is None or wanted is None:
            return
        _, last = split_quantizer(self.quantizer_)
        wanted = kind_kept(wanted, last)
        if wanted != ("short" if kept.kind == "float16" else kept.kind):
            raise ValueError(
                f"corrections={self.corrections!r} was set after fit, which kept "
                f"{kept.kind} ones. Fit again."
            )

    def _check_n_neighbors(self, X: VectorsLike | None, n_neighbors: object) -> int:
        given = self.n_neighbors if n_neighbors is None else n_neighbors
        k = check_int(given, "n_neighbors", self, low=1)
        n = self.n_samples_fit_
        removed = self._rows.n_removed
        sign = "<=" if X is not None else "<"
        if k > n - removed - (X is None):
            note = f" ({removed} of them removed)" if removed else ""
            n_queries = n if X is None else len(X)  # type: ignore[arg-type]
            raise ValueError(
                f"Expected n_neighbors {sign} n_samples_fit, but n_neighbors = {k}, "
                f"n_samples_fit = {n}{note}, n_samples = {n_queries}."
            )
        return k

    def _check_radius(self, radius: object) -> float:
        """Return the radius that was given, or the default where one makes sense."""
        given = self.radius if radius is None else radius
        if given is not None:
            return check_radius(given, self)
        reranks = self._reranks(vectors=self.quantizer_ is not None) is not None
        if self.query == "vectors" or reranks:
            return 1.0
        raise ValueError(
            "radius must be given: these are distances between codes by "
            f"{self._code_metric!r}, which no default fits. Take it from what "
            "kneighbors finds, such as np.median(index.kneighbors()[0][:, -1]), or "
            "set query='vectors' or oversampling, for distances in units of metric="
            f"{self.metric!r}."
        )

    def _check_mask(self, mask: ArrayLike | None) -> np.ndarray | None:
        """Return the rows that may be found, None for all."""
        if mask is None:
            return self._rows.mask(None)
        if np.ma.is_masked(mask):
            raise ValueError("mask has masked values: fill them in, True or False.")
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (self.n_samples_fit_,):
            raise ValueError(
                "mask must be a bool array with one value for each indexed row, shape "
                f"({self.n_samples_fit_},). Got dtype {mask.dtype} and shape "
                f"{mask.shape} instead."
            )
        return self._rows.mask(mask)

    def _check_estimates(self) -> None:
        """Refuse to bound distances that are no estimates."""
        if self.query != "vectors" or self._reranks(vectors=True) is not None:
            raise ValueError(
                "return_bound=True is for estimated distances: query='vectors' and "
                f"oversampling=None. Got query={self.query!r} and "
                f"oversampling={self.oversampling!r} instead."
            )
        kept = self._rows.corrections
        self._refuse_no_corrections("return_bound=True")
        _refuse_mixed_depths(self._rows.codes, "return_bound=True")
        _refuse_distortion(kept, self.metric, "return_bound=True")

    def _check_queries(self, X: VectorsLike | None) -> np.ndarray | None:
        if X is None:
            if self.query == "vectors" and self._rows.vectors is None:
                raise ValueError(
                    "X=None with query='vectors' needs the indexed vectors, which are "
                    "not kept: pass them as X, set oversampling (1 or more) before "
                    "fit, or use query='codes'."
                )
            return None
        if self.quantizer_ is None:
            return self._check_codes(X)
        X = check_vectors(self, X, reset=False)
        check_lengths(X, self.metric)
        return X

    def _check_codes(self, X: object) -> CodeArray:
        """Let codes in that are of the kind of the indexed ones."""
        if not is_codes(X):
            raise ValueError(
                f"This {type(self).__name__} was fitted on codes and takes codes: "
                "those that the fitted quantizer's transform gives, or packed bits "
                f"wrapped by skbq.as_codes(X, n_features={self.n_features_in_}). "
                f"Got {type(X).__name__} instead."
            )
        codes = self._rows.codes
        if X.layout != codes.layout:
            mine, theirs = describe_codes(codes), describe_codes(X)
            theirs += " with other levels or scales" * (mine == theirs)
            raise ValueError(
                f"X holds {theirs}, but {type(self).__name__} was fitted on {mine}. "
                "Encode both with the same fitted quantizer."
            )
        _refuse_no_codes(X)
        return X

    # Graphs.

    def _check_mode(self, mode: object) -> None:
        check_option(mode, "mode", self, ["connectivity", "distance"])
        vectors = getattr(self, "quantizer_", self) is not None
        floats = self.query == "vectors" or self._reranks(vectors=vectors) is not None
        if mode == "distance" and self.metric == "inner_product" and floats:
            raise ValueError(
                "A graph of distances cannot hold those of metric='inner_product', "
                "which are negative. Use mode='connectivity', or metric='cosine' or "
                "'euclidean'."
            )

    def _graph(
        self, distances: np.ndarray, rows: np.ndarray, lengths: np.ndarray, mode: str
    ) -> csr_array | csr_matrix:
        starts = np.concatenate([[0], np.cumsum(lengths)])
        values = np.maximum(distances, 0) if mode == "distance" else np.ones(len(rows))
        as_array = get_config().get("sparse_interface", "spmatrix") == "sparray"
        return (csr_array if as_array else csr_matrix)(
            (values, rows, starts), shape=(len(lengths), self.n_samples_fit_)
        )


class _Ready(NamedTuple):
    """A search, and the attributes of the index that it was made for."""

    attributes: dict[str, object]
    search: IndexSearch

    def is_of(self, attributes: Mapping[str, object]) -> bool:
        """Tell whether an index has these attributes, the same objects."""
        mine = self.attributes
        return list(mine) == list(attributes) and all(
            map(is_, mine.values(), attributes.values())
        )


# Beside the indexes, whose attributes searching leaves as they are.
_READY: WeakKeyDictionary["BinaryNeighbors", _Ready] = WeakKeyDictionary()


def _refuse_distortion(
    corrections: Corrections | None, metric: str, wanted: str
) -> None:
    if corrections is None or corrections.keeps_products:
        return
    what = "distances" if metric == "euclidean" else "inner products"
    raise ValueError(
        f"{wanted} needs steps before the quantizer that keep {what}, as a rotation "
        f"does: its bound is of the metric after them. Here they change {what} by up "
        f"to {corrections.distortion:.0%}. Write oversampling=4 instead, or leave only "
        "rotations before the quantizer."
    )


def _refuse_mixed_depths(codes: CodeArray, wanted: str) -> None:
    if isinstance(codes.layout, MixedDepths):
        raise ValueError(
            f"{wanted} needs codes whose error is alike in all directions. That of "
            "codes of mixed depth is not: write oversampling=4 instead, or use "
            "BinaryQuantizer or TwoBitQuantizer."
        )


def _refuse_code_metric(codes: CodeArray, code_metric: str) -> None:
    if isinstance(codes.layout, MixedDepths) and code_metric in ("hamming", "penalty"):
        raise ValueError(
            f"code_metric={code_metric!r} is for codes of one or two bits. Codes of "
            "mixed depth are compared by 'dot', which 'auto' stands for here."
        )


def _default(name: str) -> object:
    return signature(BinaryNeighbors).parameters[name].default


def check_number(
    value: object, name: str, owner: object, *, may_be_share: bool = False
) -> None:
    """Refuse what is neither "auto" nor a number of lists, or a share of rows.

    Raises
    ------
    TypeError, ValueError
    """
    if isinstance(value, str):
        check_option(value, name, owner, ["auto"], "a number")
    elif may_be_share and isinstance(value, Real) and not isinstance(value, Integral):
        check_real(value, name, owner, low=0, high=1, closed_low=False)
    else:
        check_int(value, name, owner, low=1)


def _refuse_no_codes(X: CodeArray) -> None:
    if len(X) == 0:
        raise ValueError(
            "Found array with 0 sample(s) (shape="
            f"{X.shape}) while a minimum of 1 is required."
        )


def check_radius(radius: object, owner: object) -> float:
    """Return one radius as float; infinity is let through.

    Raises
    ------
    TypeError, ValueError
    """
    if isinstance(radius, np.ndarray | list | tuple) and np.ndim(radius):
        raise TypeError(
            "radius must be one number for all queries. Got "
            f"{np.size(radius)} of them: call once for each radius, with its queries."
        )
    if isinstance(radius, Real) and np.isinf(float(radius)):
        return float(radius)
    return check_real(radius, "radius", owner, low=-np.inf)


def _take_rows(codes: CodeArray, attributes: Attributes) -> IndexedRows:
    """Take the rows of a file out of its attributes."""
    counts = ("n_samples_fit_", "bytes_per_row_", "vector_bytes_per_row_")
    for count in (*counts, "_n_features_out"):
        attributes.pop(count, None)  # written by earlier versions
    columns = attributes.pop("_corrections", None)
    unit, distortion = attributes.pop("_unit", None), attributes.pop("_distortion", 0.0)
    rounding = attributes.pop("_rounding", ())
    ranges = attributes.pop("_correction_range", None)
    corrections = None
    if columns is not None:
        _, last = split_quantizer(attributes["quantizer_"])
        if unit is None and attributes["_metric"] == "cosine":
            # Earlier versions kept -<a, c> for -<x, y>, which is |a|^2 / 2 less
            # (1 - |c|^2) / 2.
            shift = (1 - np.square(last.thresholds_).sum()) / 2
            columns = columns[0], (columns[1] + shift).astype(np.float32)
        none = Corrections(None, None, None, unit or 1.0, distortion, *rounding)
        none = none._replace(ranges=ranges, metric=attributes["_metric"])
        if len(columns) == 0:
            none = none._replace(prediction=prediction_of(last))
        corrections = none.with_columns(list(columns))
        if ranges is None and corrections.kind == "exact":
            attributes["corrections"] = "exact"  # of a version that had no others
        elif ranges is not None:
            last._correction_range = ranges  # for indexes that share it
    vectors, removed = attributes.pop("_vectors"), attributes.pop("_removed")
    packed = attributes.pop("_lists", None)
    lists = None if packed is None else unpack_lists(packed, codes)
    if "_curve" in attributes:
        attributes["_curve"] = unpack_curve(attributes["_curve"])
    return IndexedRows(codes, corrections, vectors, removed, lists)


def _ragged(parts: list[np.ndarray]) -> np.ndarray:
    """Return an object array of arrays, also where all have the same length."""
    out = np.empty(len(parts), dtype=object)
    out[:] = parts
    return out
