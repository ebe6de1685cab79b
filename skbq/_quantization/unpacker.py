"""CodeUnpacker: codes as vectors, for estimators that know no codes."""

from typing import Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from .._utils.typing import VectorsLike
from .._utils.validation import DocLinkMixin, check_vectors
from ..codes import CodeArray, CodeLayout, describe_codes, is_codes


class CodeUnpacker(
    DocLinkMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Make vectors of codes, so that other estimators can take them.

    Every coordinate becomes the level that its bits stand for: +1 and -1 of one bit,
    plus or minus one of two levels of two bits. Put it behind a quantizer, before any
    estimator of another library, which would take the packed bytes for numbers.
    Vectors of floats pass through unchanged.

    Attributes
    ----------
    layout_ : OneBit, TwoBits, MixedDepths or None
        The kind of codes; None if vectors came.
    n_features_in_ : int
        Number of columns that came: those of packed bytes, or coordinates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if vectors had names at fit.

    See Also
    --------
    CodeArray.unpack : The same for an array of codes.
    BinaryQuantizer.inverse_transform : The mean of each cell at fit instead.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from skbq import BinaryQuantizer, CodeUnpacker
    >>> from skbq.datasets import load_wordnet_minilm
    >>> X = load_wordnet_minilm().data
    >>> pipe = make_pipeline(BinaryQuantizer(), CodeUnpacker(), PCA(2)).fit(X)
    >>> pipe.transform(X[:3]).shape
    (3, 2)
    """

    layout_: CodeLayout | None

    def fit(self, X: CodeArray | VectorsLike, y: object = None) -> Self:
        """Learn what kind of codes come.

        Parameters
        ----------
        X : CodeArray or array-like of shape (n_samples, n_features)
            Codes, or vectors.
        y : object
            Ignored.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            For unsigned integers that do not say what they are, and for vectors that
            cannot be used.
        """
        if is_codes(X):
            assert X.layout is not None
            self.layout_ = X.layout
            self.n_features_in_ = X.shape[1]
            self._n_features_out = self.layout_.n_values
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            return self
        self.layout_ = None
        self._n_features_out = check_vectors(self, X, reset=True).shape[1]
        return self

    def transform(self, X: CodeArray | VectorsLike) -> np.ndarray:
        """Give every coordinate its level.

        Parameters
        ----------
        X : CodeArray or array-like of shape (n_samples, n_features)
            What came at fit: codes of the same kind, or vectors.

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_coordinates)
            float32 for codes; vectors as they are.

        Raises
        ------
        ValueError
            If codes come where vectors came at fit, the other way round, or if codes
            are of another kind.
        """
        check_is_fitted(self)
        if self.layout_ is None:
            return np.asarray(check_vectors(self, X, reset=False))
        if not is_codes(X):
            raise ValueError(
                f"CodeUnpacker was fitted on {self._words()}. Got {type(X).__name__} "
                "instead: pass what the quantizer's transform gives, or "
                "skbq.as_codes(X, layout=unpacker.layout_)."
            )
        if X.layout != self.layout_:
            raise ValueError(
                f"CodeUnpacker was fitted on {self._words()}. Got {describe_codes(X)}: "
                "encode with the same fitted quantizer."
            )
        return X.unpack()

    def _words(self) -> str:
        assert self.layout_ is not None
        return self.layout_.describe()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # Vectors of float64 stay as they are, but codes become float32.
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
