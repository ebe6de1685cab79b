"""Fidelity that theory predicts from the moments of the rows."""

import logging
from collections.abc import Iterable

import numpy as np

from .._quantization.strategy import Strategy
from .._utils.similarity import scaled_rows
from ..theory import RowModel
from .bench import VectorSet

# Rows for the moments, and for the similarities of pairs.
_MAX_ROWS = 20_000
_SAMPLE_ROWS = 2000
_FEWEST_ROWS = 20
# Total variance of rows that differ by no more than their rounding to float32, as a
# share of the squared norm of their mean.
_NO_SPREAD = 1e-13
# The eigenvectors of more coordinates take minutes.
_MAX_FEATURES = 1024

_log = logging.getLogger("skbq")


def predict_fidelities(
    strategies: Iterable[Strategy], rows: VectorSet
) -> dict[Strategy, float]:
    """Predict the fidelity of strategies by :class:`skbq.theory.RowModel`.

    Nothing is predicted of codes of principal axes, under "euclidean", from fewer than
    20 rows or rows that are all the same, or for more than 1,024 coordinates.
    """
    n_features = rows.vectors.shape[1]
    if (
        rows.metric == "euclidean"
        or len(rows) < _FEWEST_ROWS
        or n_features > _MAX_FEATURES
    ):
        return {}
    x = scaled_rows(rows.vectors[:_MAX_ROWS], rows.metric).astype(np.float64)
    mean, covariance = x.mean(axis=0), np.atleast_2d(np.cov(x.T, bias=True))
    if np.trace(covariance) <= _NO_SPREAD * (mean @ mean):
        return {}
    plain = RowModel.fit(
        mean, covariance, len(x), sample=x[:_SAMPLE_ROWS], metric=rows.metric
    )
    rotated = None
    predicted = {}
    for s in strategies:
        if s.is_pca:
            continue
        _log.info("predicting fidelity: %s", s.words)
        model = plain
        if s.rotated:
            rotated = rotated or plain.rotated(rows.rotation.matrix())
            model = rotated
        quantizer = s.make_quantizer(rotate=False)
        predicted[s] = model.predict(quantizer, query=s.query).predicted.spearman
    return predicted
