"""The steps of a quantizer that is a Pipeline: what comes before its last one."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from .base import CorrectingEncoder


def split_quantizer(
    quantizer: BaseEstimator,
) -> tuple[Pipeline | TransformerMixin | None, BaseEstimator]:
    """Part a fitted quantizer into what comes before its last step, and that step."""
    if isinstance(quantizer, FrozenEstimator):
        return split_quantizer(quantizer.estimator)
    if not isinstance(quantizer, Pipeline):
        return None, quantizer
    inner, last = split_quantizer(quantizer[-1])
    before = quantizer[:-1] if len(quantizer) > 1 else None
    if before is not None and inner is not None:
        return Pipeline([("before", before), ("inner", inner)]), last
    return (inner if before is None else before), last


def apply_steps(
    before: TransformerMixin | Pipeline | None, rows: ArrayLike
) -> np.ndarray:
    """Apply the steps before a quantizer, as arrays whatever the output setting."""
    if before is None:
        return np.asarray(rows)
    with config_context(transform_output="default"):
        return np.asarray(before.transform(rows))


def fit_steps(quantizer: BaseEstimator, rows: np.ndarray) -> tuple[np.ndarray, object]:
    """Fit a quantizer, and return what its last step saw and what that made of it.

    So that rows pass each step once, fitted or not.

    Returns
    -------
    seen : ndarray of shape (n_samples, d)
    codes : CodeArray of shape (n_samples, ceil(d / 8)) or None
        Of a quantizer; whatever else the last step gave; None if that encodes best
        together with corrections.
    """
    if isinstance(quantizer, FrozenEstimator):
        before, last = split_quantizer(quantizer)
        seen = apply_steps(before, rows)
        return seen, last.transform(seen)
    if isinstance(quantizer, CorrectingEncoder):
        quantizer.fit(rows)
        return rows, None
    if not isinstance(quantizer, Pipeline):
        if hasattr(quantizer, "fit_transform"):
            return rows, quantizer.fit_transform(rows, None)
        return rows, quantizer.fit(rows, None).transform(rows)
    if quantizer.memory is not None:  # only the pipeline itself uses what is kept
        before, last = split_quantizer(quantizer.fit(rows, None))
        seen = apply_steps(before, rows)
        return seen, last.transform(seen)
    if len(quantizer) > 1:
        rows = np.asarray(quantizer[:-1].fit_transform(rows, None))
    return fit_steps(quantizer[-1], rows)


def rows_learned_from(quantizer: BaseEstimator | None) -> int | None:
    """Return how many rows a fitted quantizer rests on.

    None where it learned nothing from them, or was given frozen.
    """
    if isinstance(quantizer, FrozenEstimator) or quantizer is None:
        return None
    if isinstance(quantizer, Pipeline):
        return rows_learned_from(quantizer[-1])
    threshold = getattr(quantizer, "threshold", None)
    learns = isinstance(threshold, str) and threshold != "zero"
    if learns or getattr(quantizer, "magnitude", None) == "coordinate":
        return getattr(quantizer, "n_samples_seen_", None)
    return None
