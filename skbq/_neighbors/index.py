"""Nearest neighbors of codes."""

import os
from typing import Any, Self

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from .._quantization.quantizers import TwoBitQuantizer
from .._utils.params import check_int, check_n_jobs, check_option, check_real
from .._utils.validation import DocLinkMixin, check_lengths, check_vectors
from ..codes import CodeArray, is_codes, wrap_codes
from .encoding import encode_rows, rows_to_learn_from
from .file_format import write_file
from .growable import extend
from .queries import NeighborQueries
from .state import read_index, to_state

_METRICS = ["cosine", "euclidean", "inner_product"]
_CODE_METRICS = ["auto", "hamming", "penalty", "dot"]


class BinaryNeighbors(DocLinkMixin, NeighborQueries, BaseEstimator):
    """Search for nearest neighbors among one- or two-bit codes.

    Used in one of two ways. *Flat*, as the last step of a pipeline, it is given codes
    and compares codes. *Nested*, it is given vectors and its own ``quantizer``: then
    queries may stay floats (``query="vectors"``) and the best candidates can be
    reranked with the vectors themselves (``oversampling``).

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbors that :meth:`kneighbors` gives by default.
    radius : float, default=1.0
        Largest distance that :meth:`radius_neighbors` takes by default, in the units
        of the distances below.
    quantizer : estimator, default=None
        What encodes vectors: a quantizer, or a Pipeline that ends in one and whose
        earlier steps are applied to float queries too. It is cloned and fitted on the
        rows (under ``metric="cosine"`` on the rows scaled to unit length). None means
        ``TwoBitQuantizer()``, which learns from nothing but the rows. Leave it None
        when codes are given.
    metric : {"cosine", "euclidean", "inner_product"}, default="cosine"
        What the codes stand for: the distance that ``query="vectors"`` estimates and
        that reranking computes. Under "cosine" rows and queries are scaled to unit
        length before the quantizer sees them.
    query : {"codes", "vectors"}, default="codes"
        Whether a query is encoded as well, or compared as it is with the codes. The
        second is finer and keeps a few float32 numbers more for each row.
    code_metric : {"auto", "hamming", "penalty", "dot"}, default="auto"
        Distance between two codes, for ``query="codes"``; "auto" is "hamming" for one
        bit and "dot" for two.

        - "hamming": the number of stored bits that differ;
        - "penalty": the sum, over coordinates whose signs differ, of (1 + m)(1 + m')
          with the magnitude bits m, m' [2]_;
        - "dot": the largest possible score less the score, which is the sum of the
          products of the signed levels.
    oversampling : float or "bound", default=None
        If given, at least 1: the ``oversampling * n_neighbors`` rows that are nearest
        by their codes are reranked by their exact distance, for which the vectors are
        kept as given (not copied; float16, integers and memory maps too). "bound"
        reranks all rows that may be near enough by the error bound of the estimate,
        and needs ``query="vectors"``. None keeps no vectors.
    n_jobs : int, default=None
        Number of threads over queries, as in scikit-learn.

    Attributes
    ----------
    codes_ : CodeArray of shape (n_samples_fit_, ceil(d / 8))
        The codes that are searched.
    quantizer_ : estimator or None
        The fitted quantizer; None if codes were given.
    bytes_per_row_ : int
        Memory for each row: its code, and with ``query="vectors"`` two float32
        numbers (three under "inner_product").
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

    The quantizer learns from all rows, or from 131,072 of them drawn at random (always
    the same ones) where there are more.

    Equal distances go to the lower row, whatever the batch, the order or ``n_jobs``.

    Under "cosine" a row of zeros is refused, since it has no direction. In vectors of
    integers, where rounding may have taken the direction away, it is at distance 1
    from everything, as in :func:`sklearn.metrics.pairwise.cosine_distances`.

    The estimate corrects each code for its own length [1]_: with a = x - c, where c
    are the quantizer's thresholds, q the code's values, f = <a, a> / <q, a> and
    b = <a, c>, it is ``<x, y> ~ f <q, y - c> + b + <c, y>``. Steps before the
    quantizer should keep inner products, as a rotation does: what is estimated is the
    metric after them. With o the cosine of a and q, the estimate's error is below
    ``1.9 |a| |y - c| sqrt((1 - o^2) / (o^2 (d - 1)))`` for all but a few in a hundred
    pairs (those of a normal law beyond 1.9) after a random rotation, for which the
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
        radius: float = 1.0,
        quantizer: Any = None,
        metric: str = "cosine",
        query: str = "codes",
        code_metric: str = "auto",
        oversampling: float | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.quantizer = quantizer
        self.metric = metric
        self.query = query
        self.code_metric = code_metric
        self.oversampling = oversampling
        self.n_jobs = n_jobs

    # Fitting.

    def fit(self, X: Any, y: Any = None) -> Self:
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
        if is_codes(X):
            self._check_codes_make_sense()
            self.n_features_in_ = X.n_features
            self.__dict__.pop("feature_names_in_", None)
            self.quantizer_ = None
            self._set_rows(X.copy() if X.flags.writeable else X, None, None)
            return self
        X = check_vectors(self, X, reset=True)
        check_lengths(X, self.metric)
        quantizer = self.quantizer
        quantizer = TwoBitQuantizer() if quantizer is None else clone(quantizer)
        with config_context(transform_output="default"):
            self.quantizer_ = quantizer.fit(rows_to_learn_from(X, self.metric), None)
        kept = None if self.oversampling is None else X
        self._set_rows(*self._encoded(X, self.query == "vectors"), kept)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
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
        if not hasattr(self, "codes_"):
            return self.fit(X)
        self._check_ready()
        if self.quantizer_ is None:
            self._add_rows(self._check_codes(X), None, None)
            return self
        X = check_vectors(self, X, reset=False)
        check_lengths(X, self.metric)
        self._add_rows(*self._encoded(X, self._corrections is not None), X)
        return self

    def _encoded(
        self, X: np.ndarray, corrections: bool
    ) -> tuple[CodeArray, np.ndarray | None]:
        return encode_rows(
            self.quantizer_,
            X,
            self.metric,
            corrections=corrections,
            n_jobs=self.n_jobs,
        )

    def _set_rows(
        self, codes: CodeArray, corrections: np.ndarray | None, vectors: Any
    ) -> None:
        self.codes_, self._corrections, self._vectors = codes, corrections, vectors
        self._removed: Any = None
        self._metric = self.metric
        self._room: dict[str, np.ndarray] = {}
        self._count_rows()

    def _add_rows(
        self, codes: CodeArray, corrections: np.ndarray | None, vectors: Any
    ) -> None:
        room = self._room
        plain = extend(room, "codes", np.asarray(self.codes_), np.asarray(codes))
        if self._corrections is not None and corrections is not None:
            columns = self._corrections.T, corrections.T
            self._corrections = extend(room, "corrections", *columns).T
        if self._vectors is not None:
            self._vectors = extend(room, "vectors", self._vectors, vectors)
        if self._removed is not None:
            none = np.zeros(len(codes), bool)
            self._removed = extend(room, "removed", self._removed, none)
        self.codes_ = wrap_codes(plain, codes.n_features, codes.levels)
        self._count_rows()

    def _count_rows(self) -> None:
        self.n_samples_fit_ = len(self.codes_)
        self.bytes_per_row_ = self.codes_.itemsize * self.codes_.shape[1]
        if self._corrections is not None:
            self.bytes_per_row_ += self._corrections[:, :1].nbytes
        kept = self._vectors
        self.vector_bytes_per_row_ = 0 if kept is None else kept[:1].nbytes

    def __getstate__(self) -> dict[str, Any]:
        # Room for more rows is neither shared with copies nor worth saving.
        state = super().__getstate__()
        return {**state, "_room": {}} if "_room" in state else state

    def remove(self, rows: Any) -> Self:
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
        rows = np.atleast_1d(np.asarray(rows))
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise TypeError(
                "rows must be row numbers, an int or a list of int. "
                f"Got an array of dtype {rows.dtype} and shape {rows.shape} instead."
            )
        rows = rows.astype(np.int64)
        n, removed = self.n_samples_fit_, self._removed
        there = (rows >= 0) & (rows < n)
        if removed is not None:
            there[there] = ~removed[rows[there]]
        if not there.all():
            raise ValueError(
                f"Rows {rows[~there][:5].tolist()} cannot be removed: the index has "
                f"rows 0 to {n - 1}, and each can be removed once."
            )
        # A new array: copies of the index may hold the former one.
        self._removed = np.zeros(n, bool) if removed is None else removed.copy()
        self._removed[rows] = True
        return self

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted index to one file, without pickle.

        The file appears under its name only once it is whole. Steps of ``quantizer``
        must be from skbq, or ``Normalizer``, ``Pipeline`` and ``FrozenEstimator`` of
        scikit-learn; pickle and joblib take any.

        Parameters
        ----------
        path : path-like
            Where to write.

        See Also
        --------
        BinaryNeighbors.load : Reads it.
        """
        check_is_fitted(self)
        arrays: list[np.ndarray] = []
        attributes = dict(vars(self))
        codes = attributes.pop("codes_")
        del attributes["_room"]
        state = {
            "class": type(self).__name__,
            "n_features": codes.n_features,
            "levels": to_state(codes.levels, arrays),
            "codes": to_state(np.asarray(codes), arrays),
            "attributes": {
                name: to_state(value, arrays) for name, value in attributes.items()
            },
        }
        write_file(path, state, arrays)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        *,
        mmap_mode: str | None = None,
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
        check_option(mmap_mode or "r", "mmap_mode", f"{cls.__name__}.load", ["r"])
        codes, attributes = read_index(
            path, cls, mapped=mmap_mode is not None, verify=verify
        )
        index = cls()
        vars(index).update(attributes, codes_=codes)
        index._count_rows()
        index._room = {}
        return index

    def _check_parameters(self) -> None:
        check_int(self.n_neighbors, "n_neighbors", self, low=1)
        check_real(self.radius, "radius", self, low=-np.inf)
        check_n_jobs(self.n_jobs, self)
        check_option(self.metric, "metric", self, _METRICS)
        check_option(self.query, "query", self, ["codes", "vectors"])
        check_option(self.code_metric, "code_metric", self, _CODE_METRICS)
        if isinstance(self.oversampling, str):
            check_option(self.oversampling, "oversampling", self, ["bound"], "a float")
            if self.query != "vectors":
                raise ValueError(
                    "oversampling='bound' needs query='vectors', whose estimates have "
                    f"a bound. Got query={self.query!r} instead."
                )
        elif self.oversampling is not None:
            check_real(self.oversampling, "oversampling", self, low=1)
        if self.quantizer is not None and not hasattr(self.quantizer, "transform"):
            raise TypeError(
                "The 'quantizer' parameter of BinaryNeighbors must be an estimator "
                "that turns vectors into codes, such as TwoBitQuantizer(), or a "
                f"Pipeline that ends in one. Got {self.quantizer!r} instead."
            )

    def _check_codes_make_sense(self) -> None:
        """Refuse parameters that need vectors when codes are given."""
        if self.quantizer is not None:
            raise ValueError(
                "X holds codes, which BinaryNeighbors(quantizer=...) would quantize "
                "again. Pass the vectors, or leave quantizer=None."
            )
        for name, default in (("query", "codes"), ("oversampling", None)):
            value = getattr(self, name)
            if value != default:
                raise ValueError(
                    f"X holds codes, but {name}={value!r} needs the vectors. Pass "
                    "vectors to BinaryNeighbors(quantizer=...) instead of codes, or "
                    f"set {name}={default!r}."
                )
