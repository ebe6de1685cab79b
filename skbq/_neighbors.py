"""Nearest neighbors of codes."""

from math import ceil
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array, csr_matrix
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from ._base import DocLinkMixin, check_vectors
from ._checks import check_int, check_option, check_real
from ._encoding import (
    centred_queries,
    check_lengths,
    encode_rows,
    rows_to_learn_from,
    scaled_rows,
)
from ._quantizers import TwoBitQuantizer
from ._search import (
    DistanceBlock,
    code_distances,
    estimated_distances,
    exact_distances,
    nearest,
    rerank,
    within,
)
from .codes import CodeArray, describe_codes, is_codes, stack_codes

_METRICS = ["cosine", "euclidean", "inner_product"]
_CODE_METRICS = ["auto", "hamming", "penalty", "dot"]


class BinaryNeighbors(DocLinkMixin, BaseEstimator):
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
        second is finer and keeps two float32 numbers more for each row.
    code_metric : {"auto", "hamming", "penalty", "dot"}, default="auto"
        Distance between two codes, for ``query="codes"``; "auto" is "hamming" for one
        bit and "dot" for two.

        - "hamming": the number of stored bits that differ;
        - "penalty": the sum, over coordinates whose signs differ, of (1 + m)(1 + m')
          with the magnitude bits m, m' [2]_;
        - "dot": the largest possible score less the score, which is the sum of the
          products of the signed levels.
    oversampling : float, default=None
        If given, at least 1: the ``oversampling * n_neighbors`` rows that are nearest
        by their codes are reranked by their exact distance, for which the vectors are
        kept as given (not copied). None keeps no vectors.
    n_jobs : int, default=None
        Number of threads over queries, as in scikit-learn.

    Attributes
    ----------
    codes_ : CodeArray of shape (n_samples_fit_, ceil(d / 8))
        The codes that are searched.
    quantizer_ : estimator or None
        The fitted quantizer; None if codes were given.
    bytes_per_row_ : int
        Memory for each row: its code, and its two float32 numbers with
        ``query="vectors"``.
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
    metric after them.

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

    quantizer_: Any
    codes_: CodeArray
    _vectors: Any
    _scale: Any
    _offset: Any

    def fit(self, X: Any, y: Any = None) -> Self:
        """Index rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or CodeArray
            Vectors, or the codes that a quantizer made of them.
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
            self.quantizer_ = self._vectors = None
            self._append(X.copy(), first=True)
            return self
        X = check_vectors(self, X, reset=True)
        check_lengths(X, self.metric)
        quantizer = self.quantizer
        quantizer = TwoBitQuantizer() if quantizer is None else clone(quantizer)
        with config_context(transform_output="default"):
            sample = scaled_rows(rows_to_learn_from(X), self.metric)
            self.quantizer_ = quantizer.fit(sample, None)
        self._vectors = None if self.oversampling is None else X
        self._append(*self._encoded(X), first=True)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Add rows; what the quantizer has learned stays as it is.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or CodeArray
            Rows of the kind given to :meth:`fit`, which the first call stands for.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        if not hasattr(self, "codes_"):
            return self.fit(X)
        self._check_parameters()
        if self.quantizer_ is None:
            self._append(self._check_codes(X), first=False)
            return self
        X = check_vectors(self, X, reset=False)
        check_lengths(X, self.metric)
        added = self._encoded(X)
        if self._vectors is not None:
            self._vectors = np.concatenate([self._vectors, X])
        self._append(*added, first=False)
        return self

    def _encoded(self, X: np.ndarray) -> tuple:
        return encode_rows(
            self.quantizer_,
            X,
            self.metric,
            corrections=self.query == "vectors",
            n_jobs=self.n_jobs,
        )

    def _append(
        self, codes: CodeArray, scale: Any = None, offset: Any = None, *, first: bool
    ) -> None:
        if not first:
            codes = stack_codes(self.codes_, codes)
            if scale is not None:
                scale = np.concatenate([self._scale, scale])
                offset = np.concatenate([self._offset, offset])
        self.codes_, self._scale, self._offset = codes, scale, offset
        self.n_samples_fit_ = len(codes)
        self.bytes_per_row_ = codes.itemsize * codes.shape[1]
        if scale is not None:
            self.bytes_per_row_ += scale.itemsize + offset.itemsize
        self.vector_bytes_per_row_ = (
            0 if self._vectors is None else self._vectors[:1].nbytes
        )

    def _check_parameters(self) -> None:
        check_int(self.n_neighbors, "n_neighbors", self, low=1)
        check_real(self.radius, "radius", self, low=-np.inf)
        check_option(self.metric, "metric", self, _METRICS)
        check_option(self.query, "query", self, ["codes", "vectors"])
        check_option(self.code_metric, "code_metric", self, _CODE_METRICS)
        if self.oversampling is not None:
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

    def _check_codes(self, X: Any) -> CodeArray:
        """Let codes in that are of the kind of the indexed ones."""
        if not is_codes(X):
            raise ValueError(
                f"This {type(self).__name__} was fitted on codes and takes codes: "
                "those that the fitted quantizer's transform gives, or packed bits "
                f"wrapped by skbq.as_codes(X, n_features={self.n_features_in_}). "
                f"Got {type(X).__name__} instead."
            )
        mine, theirs = describe_codes(self.codes_), describe_codes(X)
        if mine != theirs:
            raise ValueError(
                f"X holds {theirs}, but {type(self).__name__} was fitted on {mine}. "
                "Encode both with the same fitted quantizer."
            )
        if len(X) == 0:
            raise ValueError(
                "Found array with 0 sample(s) (shape="
                f"{X.shape}) while a minimum of 1 is required."
            )
        return X

    # Queries.

    def kneighbors(
        self,
        X: Any = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> Any:
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

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), dtype float64
            Only if ``return_distance``; ascending.
        indices : ndarray of shape (n_queries, n_neighbors), dtype int64
            Rows, those of equal distance in ascending order.
        """
        check_is_fitted(self)
        self._check_parameters()
        k = self._check_n_neighbors(X, n_neighbors)
        X = self._check_queries(X)
        available = self.n_samples_fit_ - (X is None)
        depth = k
        if self.oversampling is not None:
            depth = min(ceil(self.oversampling * k), available)
        distances, constants = self._first_stage(X)
        n_queries = self.n_samples_fit_ if X is None else len(X)
        found, rows = nearest(
            distances,
            self.n_samples_fit_,
            n_queries,
            depth,
            left_out=np.arange(n_queries) if X is None else None,
            n_jobs=self.n_jobs,
        )
        if self.oversampling is not None:
            queries = self._vectors if X is None else X
            found, rows = rerank(
                self._vectors, queries, rows, self.metric, k, n_jobs=self.n_jobs
            )
        elif constants is not None:
            found = self._finished(found, constants[:, None])
        return (found, rows) if return_distance else rows

    def radius_neighbors(
        self,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """Find all rows within a radius of each query, boundary included.

        With ``oversampling`` every row is compared by its exact distance, since no
        number of candidates is sure to hold all rows within a radius.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or CodeArray, default=None
            Queries; None means the indexed rows themselves, each not its own
            neighbor.
        radius : float, default=None
            Largest distance; None means the one given at construction.
        return_distance : bool, default=True
            Whether to return the distances.
        sort_results : bool, default=False
            Whether to sort by (distance, row) instead of by row.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of float64 arrays
            Only if ``return_distance``.
        indices : ndarray of shape (n_queries,) of int64 arrays
        """
        check_is_fitted(self)
        self._check_parameters()
        if sort_results and not return_distance:
            raise ValueError("return_distance must be True if sort_results is True.")
        limit = self.radius if radius is None else radius
        limit = check_real(limit, "radius", self, low=-np.inf)
        X = self._check_queries(X)
        n_queries = self.n_samples_fit_ if X is None else len(X)
        found, rows = within(
            self._final_distances(X),
            self.n_samples_fit_,
            n_queries,
            limit,
            left_out=np.arange(n_queries) if X is None else None,
            n_jobs=self.n_jobs,
        )
        if sort_results:
            orders = [np.argsort(d, kind="stable") for d in found]
            found = [d[order] for d, order in zip(found, orders, strict=True)]
            rows = [r[order] for r, order in zip(rows, orders, strict=True)]
        if not return_distance:
            return _ragged(rows)
        return _ragged(found), _ragged(rows)

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> Any:
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

        Returns
        -------
        graph : sparse matrix or array in CSR form, (n_queries, n_samples_fit_)
        """
        self._check_mode(mode)
        found, rows = self.kneighbors(X, n_neighbors)
        return self._graph(list(found), list(rows), mode)

    def radius_neighbors_graph(
        self,
        X: Any = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = False,
    ) -> Any:
        """Give all rows within a radius of each query as a sparse graph.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or CodeArray, default=None
            Queries; None means the indexed rows themselves, each not its own
            neighbor.
        radius : float, default=None
            Largest distance; None means the one given at construction.
        mode : {"connectivity", "distance"}, default="connectivity"
            Whether an edge weighs 1 or its distance.
        sort_results : bool, default=False
            Whether to sort each row's edges by distance instead of by row.

        Returns
        -------
        graph : sparse matrix or array in CSR form, (n_queries, n_samples_fit_)
        """
        self._check_mode(mode)
        found, rows = self.radius_neighbors(X, radius, sort_results=sort_results)
        return self._graph(list(found), list(rows), mode)

    def _check_n_neighbors(self, X: Any, n_neighbors: Any) -> int:
        given = self.n_neighbors if n_neighbors is None else n_neighbors
        k = check_int(given, "n_neighbors", self, low=1)
        sign, available = "<=", self.n_samples_fit_
        if X is None:
            sign, available = "<", available - 1
        if k > available:
            n_queries = self.n_samples_fit_ if X is None else len(X)
            raise ValueError(
                f"Expected n_neighbors {sign} n_samples_fit, but n_neighbors = {k}, "
                f"n_samples_fit = {self.n_samples_fit_}, n_samples = {n_queries}."
            )
        return k

    def _check_queries(self, X: Any) -> Any:
        for name, value, kept in (
            ("query", "vectors", self._scale),
            ("oversampling", self.oversampling, self._vectors),
        ):
            if kept is None and getattr(self, name) == value is not None:
                raise ValueError(
                    f"{name}={value!r} was set after fit, which kept nothing for it. "
                    "Fit again."
                )
        if X is None:
            if self.query == "vectors" and self._vectors is None:
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

    def _first_stage(self, X: Any) -> tuple[DistanceBlock, np.ndarray | None]:
        """Return distances to search by, and what is still to be added to them."""
        if self.query == "codes":
            codes = self._query_codes(X)
            return code_distances(self.codes_, codes, self._code_metric()), None
        queries = self._vectors if X is None else X
        y, constants = centred_queries(self.quantizer_, queries, self.metric)
        distances = estimated_distances(self.codes_, self._scale, self._offset, y)
        return distances, constants

    def _query_codes(self, X: Any) -> CodeArray:
        if X is None:
            return self.codes_
        if self.quantizer_ is None:
            return X
        return encode_rows(self.quantizer_, X, self.metric, n_jobs=self.n_jobs)[0]

    def _finished(self, found: np.ndarray, constants: np.ndarray) -> np.ndarray:
        distances = found + constants
        if self.metric == "euclidean":
            return np.sqrt(np.maximum(distances, 0))
        return distances

    def _final_distances(self, X: Any) -> DistanceBlock:
        """Return the distances that users see."""
        if self.oversampling is not None:
            queries = self._vectors if X is None else X
            return exact_distances(self._vectors, queries, self.metric)
        distances, constants = self._first_stage(X)
        if constants is None:
            return distances

        def block(rows: slice, some: slice) -> np.ndarray:
            found = distances(rows, some).astype(np.float64)
            return self._finished(found, constants[some, None])

        return block

    def _code_metric(self) -> str:
        if self.code_metric != "auto":
            return self.code_metric
        return "hamming" if self.codes_.bits == 1 else "dot"

    def _check_mode(self, mode: Any) -> None:
        check_option(mode, "mode", self, ["connectivity", "distance"])
        floats = self.query == "vectors" or self.oversampling is not None
        if mode == "distance" and self.metric == "inner_product" and floats:
            raise ValueError(
                "A graph of distances cannot hold those of metric='inner_product', "
                "which are negative. Use mode='connectivity', or metric='cosine' or "
                "'euclidean'."
            )

    def _graph(self, found: list, rows: list, mode: str) -> Any:
        starts = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
        columns = np.concatenate(rows)
        values = np.ones(len(columns))
        if mode == "distance":
            values = np.maximum(np.concatenate(found), 0)
        as_array = get_config().get("sparse_interface", "spmatrix") == "sparray"
        return (csr_array if as_array else csr_matrix)(
            (values, columns, starts), shape=(len(rows), self.n_samples_fit_)
        )


def _ragged(parts: list[np.ndarray]) -> np.ndarray:
    """Return an object array of arrays, also where all have the same length."""
    out = np.empty(len(parts), dtype=object)
    out[:] = parts
    return out
