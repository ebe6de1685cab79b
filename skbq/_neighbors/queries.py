"""What a fitted index answers: neighbors, radius neighbors, graphs."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array, csr_matrix
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted

from .._utils.params import check_int, check_option, check_real
from .._utils.validation import check_lengths, check_vectors
from ..codes import CodeArray, describe_codes, is_codes
from .index_search import Comparison


class NeighborQueries:
    """The query half of :class:`~skbq.BinaryNeighbors`."""

    n_neighbors: Any
    radius: Any
    metric: Any
    query: Any
    code_metric: Any
    oversampling: Any
    n_jobs: Any
    quantizer_: Any
    codes_: CodeArray
    n_samples_fit_: int
    n_features_in_: int
    _vectors: Any
    _corrections: Any
    _removed: Any
    _metric: str

    def kneighbors(
        self,
        X: Any = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
        *,
        mask: Any = None,
        return_bound: bool = False,
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
        self._check_ready()
        if return_bound:
            self._check_estimates()
        k = self._check_n_neighbors(X, n_neighbors)
        asked = Comparison(self, self._check_queries(X), self._check_mask(mask))
        found, rows = asked.nearest(k)
        if X is None and self._removed is not None:
            found[self._removed], rows[self._removed] = np.inf, -1
        answer = (found, rows) if return_distance else (rows,)
        if return_bound:
            answer = (*answer, asked.lower_bounds(found, rows))
        return answer if len(answer) > 1 else rows

    def radius_neighbors(
        self,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
        *,
        mask: Any = None,
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
        mask : array-like of shape (n_samples_fit_,), dtype bool, default=None
            Rows that may be found; None means all.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of float64 arrays
            Only if ``return_distance``.
        indices : ndarray of shape (n_queries,) of int64 arrays
        """
        self._check_ready()
        if sort_results and not return_distance:
            raise ValueError("return_distance must be True if sort_results is True.")
        limit = self.radius if radius is None else radius
        limit = check_real(limit, "radius", self, low=-np.inf)
        asked = Comparison(self, self._check_queries(X), self._check_mask(mask))
        found, rows = asked.within(limit)
        if X is None and self._removed is not None:
            for row in np.flatnonzero(self._removed):
                found[row], rows[row] = found[row][:0], rows[row][:0]
        if sort_results:
            orders = [np.argsort(d, kind="stable") for d in found]
            found = [d[order] for d, order in zip(found, orders, strict=True)]
            rows = [r[order] for r, order in zip(rows, orders, strict=True)]
        if not return_distance:
            return _ragged(rows)
        return _ragged(found), _ragged(rows)

    def kneighbors_graph(
        self,
        X: Any = None,
        n_neighbors: int | None = None,
        mode: str = "connectivity",
        *,
        mask: Any = None,
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
        mask : array-like of shape (n_samples_fit_,), dtype bool, default=None
            Rows that may be found; None means all.

        Returns
        -------
        graph : sparse matrix or array in CSR form, (n_queries, n_samples_fit_)
        """
        self._check_mode(mode)
        found, rows = self.kneighbors(X, n_neighbors, mask=mask)
        there = rows >= 0
        return self._graph(found[there], rows[there], there.sum(axis=1), mode)

    def radius_neighbors_graph(
        self,
        X: Any = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = False,
        *,
        mask: Any = None,
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
        mask : array-like of shape (n_samples_fit_,), dtype bool, default=None
            Rows that may be found; None means all.

        Returns
        -------
        graph : sparse matrix or array in CSR form, (n_queries, n_samples_fit_)
        """
        self._check_mode(mode)
        found, rows = self.radius_neighbors(
            X, radius, sort_results=sort_results, mask=mask
        )
        lengths = np.array([len(r) for r in rows])
        return self._graph(np.concatenate(found), np.concatenate(rows), lengths, mode)

    # What comes in.

    def _check_parameters(self) -> None:
        raise NotImplementedError

    def _check_ready(self) -> None:
        """Refuse an index that is not fitted, or not for its present parameters."""
        check_is_fitted(self)
        self._check_parameters()
        for name, value, kept in (
            ("query", "vectors", self._corrections),
            ("oversampling", self.oversampling, self._vectors),
        ):
            if kept is None and getattr(self, name) == value is not None:
                raise ValueError(
                    f"{name}={value!r} was set after fit, which kept nothing for it. "
                    "Fit again."
                )
        if self.metric != self._metric:
            raise ValueError(
                f"metric={self.metric!r} was set after fit, whose codes stand for "
                f"{self._metric!r}. Fit again."
            )

    def _check_n_neighbors(self, X: Any, n_neighbors: Any) -> int:
        given = self.n_neighbors if n_neighbors is None else n_neighbors
        k = check_int(given, "n_neighbors", self, low=1)
        n = self.n_samples_fit_
        removed = 0 if self._removed is None else int(self._removed.sum())
        sign = "<=" if X is not None else "<"
        if k > n - removed - (X is None):
            note = f" ({removed} of them removed)" if removed else ""
            raise ValueError(
                f"Expected n_neighbors {sign} n_samples_fit, but n_neighbors = {k}, "
                f"n_samples_fit = {n}{note}, n_samples = {n if X is None else len(X)}."
            )
        return k

    def _check_mask(self, mask: Any) -> np.ndarray | None:
        """Return the rows that may be found, None for all."""
        kept = None if self._removed is None else ~self._removed
        if mask is None:
            return kept
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (self.n_samples_fit_,):
            raise ValueError(
                "mask must be a bool array with one value for each indexed row, shape "
                f"({self.n_samples_fit_},). Got dtype {mask.dtype} and shape "
                f"{mask.shape} instead."
            )
        return mask if kept is None else mask & kept

    def _check_estimates(self) -> None:
        """Refuse to bound distances that are no estimates."""
        if self.query != "vectors" or self.oversampling is not None:
            raise ValueError(
                "return_bound=True is for estimated distances: query='vectors' and "
                f"oversampling=None. Got query={self.query!r} and "
                f"oversampling={self.oversampling!r} instead."
            )

    def _check_queries(self, X: Any) -> Any:
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

    # Graphs.

    def _check_mode(self, mode: Any) -> None:
        check_option(mode, "mode", self, ["connectivity", "distance"])
        floats = self.query == "vectors" or self.oversampling is not None
        if mode == "distance" and self.metric == "inner_product" and floats:
            raise ValueError(
                "A graph of distances cannot hold those of metric='inner_product', "
                "which are negative. Use mode='connectivity', or metric='cosine' or "
                "'euclidean'."
            )

    def _graph(
        self, found: np.ndarray, rows: np.ndarray, lengths: np.ndarray, mode: str
    ) -> Any:
        starts = np.concatenate([[0], np.cumsum(lengths)])
        values = np.maximum(found, 0) if mode == "distance" else np.ones(len(rows))
        as_array = get_config().get("sparse_interface", "spmatrix") == "sparray"
        return (csr_array if as_array else csr_matrix)(
            (values, rows, starts), shape=(len(lengths), self.n_samples_fit_)
        )


def _ragged(parts: list[np.ndarray]) -> np.ndarray:
    """Return an object array of arrays, also where all have the same length."""
    out = np.empty(len(parts), dtype=object)
    out[:] = parts
    return out
