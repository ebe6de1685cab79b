"""Neighbor graphs as a step of a pipeline."""

from typing import Literal, Self

import numpy as np
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from .._utils.params import check_bool
from .._utils.typing import (
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
from .index import BinaryNeighbors

# Candidates reranked for each edge.
_AUTO_OVERSAMPLING = 4.0


class BinaryNeighborsTransformer(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BinaryNeighbors
):
    """Transform vectors or codes into the graph of their nearest rows.

    Follows the contract of :class:`sklearn.neighbors.KNeighborsTransformer`: put it
    before an estimator that takes ``metric="precomputed"``, such as DBSCAN, Isomap,
    TSNE or KNeighborsClassifier.

    Read more in the :ref:`User Guide <guide-graphs>`.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbors.
    mode : {"distance", "connectivity"}, default="distance"
        Whether an edge weighs its distance, with one neighbor more than
        ``n_neighbors`` since a row may be its own first one, or 1.
    symmetric : bool, default=False
        Whether an edge in one direction is in the graph in both, as HDBSCAN and UMAP
        need it, for :meth:`fit_transform` only: other rows than the fitted ones have
        no such graph. Rows then have ``n_neighbors`` edges or more, and each is at
        distance 0 from itself.
    radius : float, default=None
        As for :class:`BinaryNeighbors`; :meth:`transform` does not use it.
    quantizer : estimator, default=None
        As for :class:`BinaryNeighbors`.
    metric : {"cosine", "euclidean", "inner_product"}, default="cosine"
        As for :class:`BinaryNeighbors`; "inner_product" only where code distances or
        ``mode="connectivity"`` are asked for.
    query : {"codes", "vectors"}, default="codes"
        As for :class:`BinaryNeighbors`.
    code_metric : {"auto", "hamming", "penalty", "dot"}, default="auto"
        As for :class:`BinaryNeighbors`.
    oversampling : "auto", float, "bound" or None, default="auto"
        As for :class:`BinaryNeighbors`. "auto" is 4 where vectors are given, so that
        edges weigh exact distances in units of ``metric``, and None where codes are
        given or where those of ``metric="inner_product"`` would be negative.
    corrections : bool or "exact", default=True
        As for :class:`BinaryNeighbors`.
    n_jobs : int, default=None
        As for :class:`BinaryNeighbors`.
    algorithm, n_lists, n_probes, target_recall, random_state
        As for :class:`BinaryNeighbors`: with ``algorithm="ivf"`` edges go to rows in
        the lists that a row probes.

    Attributes
    ----------
    codes_, quantizer_, bytes_per_row_, vector_bytes_per_row_, n_samples_fit_
        As for :class:`BinaryNeighbors`.
    n_lists_, list_sizes_, n_probes_, probe_curve_
        As for :class:`BinaryNeighbors`.
    n_features_in_ : int
        Number of coordinates.

    See Also
    --------
    BinaryNeighbors : The search behind it.

    Notes
    -----
    Edges of a row are sorted by distance. By exact distances ("cosine" or "euclidean",
    and ``oversampling``) a row is the nearest to itself, and equal ones are in order
    of their numbers. It is missing where ``oversampling`` times ``n_neighbors`` rows
    come before it by their codes: with equal codes, and with ``query="codes"`` and
    ``code_metric="dot"`` also rows of larger magnitudes, where coordinates are few.
    What is kept follows from row numbers alone, so that ``fit_transform(X)`` equals
    ``fit(X).transform(X)``.

    Distances between codes are in units of their own, and the ``eps`` of DBSCAN must
    be one of them. By "hamming" and "penalty" a code is at distance 0 from itself, and
    so are all rows with the same code. By "dot" it is not, and another row of larger
    magnitudes can be nearer than the row itself.

    For :class:`sklearn.cluster.HDBSCAN` and UMAP with ``metric="precomputed"`` set
    ``symmetric=True``. HDBSCAN also needs a graph in one piece: raise ``n_neighbors``
    if it finds several.

    Examples
    --------
    >>> from sklearn.cluster import DBSCAN
    >>> from sklearn.pipeline import make_pipeline
    >>> from skbq import BinaryNeighborsTransformer
    >>> from skbq.datasets import load_wordnet_minilm
    >>> X = load_wordnet_minilm().data[:500]
    >>> graph = BinaryNeighborsTransformer(n_neighbors=20)
    >>> clusters = make_pipeline(graph, DBSCAN(eps=0.4, metric="precomputed"))
    >>> labels = clusters.fit_predict(X)
    >>> labels.shape
    (500,)
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        mode: GraphMode = "distance",
        symmetric: bool = False,
        radius: float | None = None,
        quantizer: VectorQuantizer | None = None,
        metric: Metric = "cosine",
        query: Query = "codes",
        code_metric: CodeMetric = "auto",
        oversampling: Oversampling | Literal["auto"] = "auto",
        corrections: bool | Literal["exact"] = True,
        n_jobs: int | None = None,
        algorithm: Algorithm = "brute",
        n_lists: int | Literal["auto"] = "auto",
        n_probes: float | Literal["auto"] = "auto",
        target_recall: float = 0.95,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(
            n_neighbors=n_neighbors,
            radius=radius,
            quantizer=quantizer,
            metric=metric,
            query=query,
            code_metric=code_metric,
            oversampling=oversampling,  # type: ignore[arg-type]
            corrections=corrections,
            n_jobs=n_jobs,
            algorithm=algorithm,
            n_lists=n_lists,
            n_probes=n_probes,
            target_recall=target_recall,
            random_state=random_state,
        )
        self.mode = mode
        self.symmetric = symmetric

    _oversampling_options = ("auto", "bound")

    def _reranks(self, *, vectors: bool) -> float | str | None:
        oversampling: float | str | None = self.oversampling
        if oversampling != "auto":
            return oversampling
        negative = self.metric == "inner_product" and self.mode == "distance"
        return _AUTO_OVERSAMPLING if vectors and not negative else None

    def fit(self, X: VectorsLike, y: object = None) -> Self:
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
        self._check_mode(self.mode)
        check_bool(self.symmetric, "symmetric", self)
        return super().fit(X)

    def transform(self, X: VectorsLike) -> csr_array | csr_matrix:
        """Give the graph of the nearest fitted rows of each row of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or CodeArray
            Rows of the kind given to :meth:`fit`.

        Returns
        -------
        graph : sparse matrix or array in CSR form, (n_samples, n_samples_fit_)
            ``n_neighbors`` edges for each row, one more with ``mode="distance"``;
            more if ``symmetric``.
        """
        check_is_fitted(self)
        self._check_mode(self.mode)
        n_neighbors = self.n_neighbors + (self.mode == "distance")
        graph = self.kneighbors_graph(X, n_neighbors, self.mode)
        if not self.symmetric:
            return graph
        if not self._are_fitted_rows(X):
            raise ValueError(
                "symmetric=True makes the graph of the fitted rows with each other, "
                "but X holds other rows. Use fit_transform, or set symmetric=False."
            )
        return _symmetric_graph(graph, self.mode)

    def _are_fitted_rows(self, X: VectorsLike) -> bool:
        """Tell whether rows have the codes of the fitted ones."""
        rows = self._check_queries(X)
        if rows is None or len(rows) != self.n_samples_fit_:
            return False
        is_coded = self.quantizer_ is None
        codes = rows if is_coded else self._encoder.encode_rows(rows).codes
        return np.array_equal(codes, self.codes_)

    @property
    def _n_features_out(self) -> int:
        return self.n_samples_fit_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _symmetric_graph(
    graph: csr_array | csr_matrix, mode: str
) -> csr_array | csr_matrix:
    """Add the other direction of each edge; edges stay sorted by (distance, row).

    Two directions that differ, as estimates do, get their mean.
    """
    coo = graph.tocoo()
    one, other = coo.row.astype(np.int64), coo.col.astype(np.int64)
    rows, columns = np.concatenate([one, other]), np.concatenate([other, one])
    values = np.concatenate([coo.data, coo.data])
    if mode == "distance":
        own = np.arange(graph.shape[0])
        apart = rows != columns
        rows, columns = (np.concatenate([x[apart], own]) for x in (rows, columns))
        values = np.concatenate([values[apart], np.zeros(len(own))])
    edges, which = np.unique(rows * graph.shape[1] + columns, return_inverse=True)
    sums, counts = np.bincount(which, values), np.bincount(which)
    rows, columns, values = *np.divmod(edges, graph.shape[1]), sums / counts
    order = np.lexsort((columns, values, rows))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows))])
    parts = (values[order], columns[order], starts)
    return type(graph)(parts, shape=graph.shape)
