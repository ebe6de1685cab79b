"""Neighbor graphs as a step of a pipeline."""

from typing import Any, Self

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from .index import BinaryNeighbors


class BinaryNeighborsTransformer(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BinaryNeighbors
):
    """Transform vectors or codes into the graph of their nearest rows.

    Follows the contract of :class:`sklearn.neighbors.KNeighborsTransformer`: put it
    before an estimator that takes ``metric="precomputed"``, such as DBSCAN, Isomap,
    TSNE or KNeighborsClassifier.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbors.
    mode : {"distance", "connectivity"}, default="distance"
        Whether an edge weighs its distance, with one neighbor more than
        ``n_neighbors`` since a row may be its own first one, or 1.
    radius : float, default=1.0
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
    oversampling : float, default=None
        As for :class:`BinaryNeighbors`.
    n_jobs : int, default=None
        As for :class:`BinaryNeighbors`.

    Attributes
    ----------
    codes_, quantizer_, bytes_per_row_, vector_bytes_per_row_, n_samples_fit_
        As for :class:`BinaryNeighbors`.
    n_features_in_ : int
        Number of coordinates.

    See Also
    --------
    BinaryNeighbors : The search behind it.

    Notes
    -----
    Edges of a row are sorted by distance. A row is its own nearest neighbor in the
    graph of the fitted rows, unless more than ``n_neighbors`` rows before it are as
    near, such as duplicates: which are kept follows from row numbers alone, so that
    ``fit_transform(X)`` equals ``fit(X).transform(X)``.

    Distances between codes are in units of their own, and "dot" is not 0 between a
    code and itself. Where an estimator downstream reads distances in units of
    ``metric``, as the ``eps`` of DBSCAN, set ``oversampling``.

    Examples
    --------
    >>> from sklearn.cluster import DBSCAN
    >>> from sklearn.pipeline import make_pipeline
    >>> from skbq import BinaryNeighborsTransformer
    >>> from skbq.datasets import load_wordnet_minilm
    >>> X = load_wordnet_minilm().data[:500]
    >>> graph = BinaryNeighborsTransformer(n_neighbors=20, oversampling=2)
    >>> clusters = make_pipeline(graph, DBSCAN(eps=0.4, metric="precomputed"))
    >>> labels = clusters.fit_predict(X)
    >>> labels.shape
    (500,)
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        mode: str = "distance",
        radius: float = 1.0,
        quantizer: Any = None,
        metric: str = "cosine",
        query: str = "codes",
        code_metric: str = "auto",
        oversampling: float | None = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            n_neighbors=n_neighbors,
            radius=radius,
            quantizer=quantizer,
            metric=metric,
            query=query,
            code_metric=code_metric,
            oversampling=oversampling,
            n_jobs=n_jobs,
        )
        self.mode = mode

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
        self._check_mode(self.mode)
        return super().fit(X)

    def transform(self, X: Any) -> Any:
        """Give the graph of the nearest fitted rows of each row of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or CodeArray
            Rows of the kind given to :meth:`fit`.

        Returns
        -------
        graph : sparse matrix or array in CSR form, (n_samples, n_samples_fit_)
            ``n_neighbors`` edges for each row, one more with ``mode="distance"``.
        """
        check_is_fitted(self)
        self._check_mode(self.mode)
        n_neighbors = self.n_neighbors + (self.mode == "distance")
        return self.kneighbors_graph(X, n_neighbors, self.mode)

    def _count_rows(self) -> None:
        super()._count_rows()
        self._n_features_out = self.n_samples_fit_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
