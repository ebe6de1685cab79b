"""What is done to vectors before an engine sees them, as an object that is saved."""

import pickle
from os import PathLike
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._quantization.quantizers import BinaryQuantizer
from .._quantization.rotation import RandomRotation
from .._quantization.steps import split_quantizer
from .._quantization.strategy import ROTATION_SEED
from .._utils.params import as_real_array, check_bool, check_option
from .._utils.similarity import scaled_rows
from .._utils.typing import METRICS, Metric
from .._utils.validation import refuse_unsigned

# The module that a snippet imports: all that an application needs tomorrow, without
# skbq. It reads prepare.npz beside it.
MODULE = '''\
"""Prepare rows and queries for the index: reads prepare.npz beside this file."""
from pathlib import Path

import numpy as np

_saved = dict(np.load(Path(__file__).with_name("prepare.npz")))

def rows(X):
    X = np.asarray(X, dtype=np.float32)
    if _saved["unit"]:
        X = X / np.linalg.norm(X, axis=-1, keepdims=True)
    if _saved["rotation"].size:
        X = X @ _saved["rotation"]
    return X - _saved["center"] if _saved["center"].size else X

query = rows  # queries need the same, one or several

def codes(X):
    return np.packbits(rows(X) > 0, axis=-1)
'''


class Prepare:
    """Unit length, a random rotation and a center, learned once and applied to all.

    Rows that are added and every query need the same steps as the first rows.

    Parameters
    ----------
    unit : bool
        Whether vectors are scaled to unit length.
    rotate : bool
        Whether they are then rotated at random (by the rotation of
        ``RandomRotation(random_state=0)``, as the advisor measures it).
    center : bool
        Whether the mean of the rows is then subtracted, from queries too.
    linear_map : tuple of ndarray or None, default=None
        A matrix (n_features, n_bits) and a center (n_bits,) that were learned from the
        rows, instead of a random rotation and their mean.

    Attributes
    ----------
    rotation_ : ndarray of shape (n_features, n_bits) or (0, 0), dtype float32
        The linear map, applied as ``X @ rotation_``; empty if there is none.
    center_ : ndarray of shape (n_bits,) or (0,), dtype float32
        What is subtracted; empty if nothing is.
    n_bits : int
        Numbers that a row becomes: n_features without ``linear_map``.

    Examples
    --------
    >>> from skbq.datasets import make_gaussian
    >>> from skbq.exports import Prepare
    >>> X = make_gaussian(100, 16, mean=3.0, random_state=0)
    >>> prepare = Prepare(unit=True, rotate=True, center=True).fit(X)
    >>> prepare.rows(X).shape, prepare.query(X[0]).shape, prepare.codes(X).shape
    ((100, 16), (16,), (100, 2))
    """

    def __init__(
        self,
        *,
        unit: bool = False,
        rotate: bool = False,
        center: bool = False,
        linear_map: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        for name, flag in (("unit", unit), ("rotate", rotate), ("center", center)):
            check_bool(flag, name, self)
        if linear_map is not None:
            linear_map = _check_linear_map(linear_map)
        self.unit = unit
        self.rotate = rotate or linear_map is not None
        self.center = center or linear_map is not None
        self.linear_map = linear_map

    def __repr__(self) -> str:
        return f"Prepare(unit={self.unit}, rotate={self.rotate}, center={self.center})"

    @property
    def is_identity(self) -> bool:
        """Whether vectors go as they are."""
        return not (self.unit or self.rotate or self.center)

    def fit(self, X: ArrayLike) -> Self:
        """Learn the center of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        self : Prepare
        """
        rows = scaled_rows(_float_rows(X), "cosine" if self.unit else "euclidean")
        return self.fit_mean(rows.mean(axis=0, dtype=np.float64))

    def fit_mean(self, mean: ArrayLike) -> Self:
        """Take the mean of the rows, of unit length if ``unit``, as known.

        Parameters
        ----------
        mean : array-like of shape (n_features,)

        Returns
        -------
        self : Prepare
        """
        mean = _finite(mean, "mean", np.float64)
        if mean.ndim != 1:
            raise ValueError(f"mean must have one axis. Got {mean.ndim} instead.")
        rotation, self.n_features_in_ = np.zeros((0, 0)), len(mean)
        if self.linear_map is not None:
            rotation, mean = self.linear_map
        elif self.rotate:
            random = RandomRotation(random_state=ROTATION_SEED).fit(mean[None])
            rotation = random.matrix()
            mean = mean @ rotation
        return self._learned(self.n_features_in_, rotation, mean)

    def _learned(self, d: int, rotation: np.ndarray, center: np.ndarray) -> Self:
        self.n_features_in_, self.n_bits = d, len(center)
        self._signs = BinaryQuantizer("zero").fit(np.zeros((1, self.n_bits)))
        self.rotation_ = rotation.astype(np.float32)
        self.center_ = center.astype(np.float32) if self.center else np.zeros(0, "f4")
        return self

    @classmethod
    def from_quantizer(
        cls, quantizer: BaseEstimator, *, metric: Metric = "cosine"
    ) -> Self:
        """Take what a fitted quantizer of one bit has learned.

        Parameters
        ----------
        quantizer : BinaryQuantizer, or Pipeline of RandomRotation and BinaryQuantizer
            Fitted, such as ``quantizer_`` of :class:`~skbq.BinaryNeighbors`.
        metric : {"cosine", "euclidean", "inner_product"}, default="cosine"
            Of the index: under "cosine" the quantizer saw vectors of unit length.

        Returns
        -------
        prepare : Prepare

        Raises
        ------
        ValueError
            If its steps are others.

        Examples
        --------
        >>> from skbq import BinaryNeighbors, BinaryQuantizer
        >>> from skbq.datasets import make_gaussian
        >>> X = make_gaussian(100, 16, mean=3.0, random_state=0)
        >>> index = BinaryNeighbors(quantizer=BinaryQuantizer()).fit(X)
        >>> Prepare.from_quantizer(index.quantizer_, metric=index.metric)
        Prepare(unit=True, rotate=False, center=True)
        """
        before, last = split_quantizer(quantizer)
        steps = [] if before is None else _flat_steps(before)
        if not isinstance(last, BinaryQuantizer) or not all(
            isinstance(step, RandomRotation) for step in steps
        ):
            names = [type(step).__name__ for step in [*steps, last]]
            raise ValueError(
                "quantizer must be a BinaryQuantizer, with at most RandomRotation "
                f"before it, for an engine to search its codes. Got {names}."
            )
        check_is_fitted(last)
        check_option(metric, "metric", "Prepare.from_quantizer", METRICS)
        center = bool(last.thresholds_.any())
        # A threshold of zero sees only signs, which lengths do not change.
        unit = center and metric == "cosine"
        self = cls(unit=unit, rotate=bool(steps), center=center)
        rotation = np.zeros((0, 0))
        for step in steps:
            rotation = rotation @ step.matrix() if rotation.size else step.matrix()
        return self._learned(len(last.thresholds_), rotation, last.thresholds_)

    def rows(self, X: ArrayLike) -> NDArray[np.float32]:
        """Prepare rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_features,)

        Returns
        -------
        rows : ndarray of the shape of X, dtype float32
            With ``linear_map``, of as many columns as that has.
        """
        self.check_fitted()
        rows = _finite(X, "X")
        if rows.ndim not in (1, 2) or rows.shape[-1] != self.n_features_in_:
            raise ValueError(
                f"X must be of shape (n_samples, {self.n_features_in_}) or "
                f"({self.n_features_in_},). Got {rows.shape} instead."
            )
        if self.unit:
            lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
            if not lengths.all():
                raise ValueError(
                    "X has rows of zeros, which have no direction under cosine: leave "
                    "them out."
                )
            rows = rows / lengths
        if self.rotate:
            rows = rows @ self.rotation_
        return rows - self.center_ if self.center else rows

    def query(self, q: ArrayLike) -> NDArray[np.float32]:
        """Prepare queries, one or several: they need the same as rows.

        Parameters
        ----------
        q : array-like of shape (n_features,) or (n_queries, n_features)

        Returns
        -------
        q : ndarray of the same shape, dtype float32
        """
        return self.rows(q)

    def codes(self, X: ArrayLike) -> NDArray[np.uint8]:
        """Return one-bit codes of rows or queries: 1 where a prepared one is positive.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_features,)

        Returns
        -------
        codes : ndarray of shape (n_samples, ceil(n_bits / 8)), dtype uint8
            In the bit order of :func:`numpy.packbits`, as all of skbq's codes.
        """
        rows = self.rows(X)
        codes = np.asarray(self._signs.transform(np.atleast_2d(rows)))
        return codes if rows.ndim == 2 else codes[0]

    def save(self, folder: str | PathLike[str]) -> None:
        """Write ``prepare.npz``, ``prepare.py`` and ``prepare.joblib``.

        The first two need nothing but numpy, the last one skbq: ``joblib.load`` gives
        this object back.

        Parameters
        ----------
        folder : path-like
            A folder that exists.
        """
        self.check_fitted()
        folder = Path(folder)
        np.savez(
            folder / "prepare.npz",
            unit=self.unit,
            rotation=self.rotation_,
            center=self.center_,
        )
        (folder / "prepare.py").write_text(MODULE, encoding="utf-8")
        # A pickle is what joblib.load reads.
        (folder / "prepare.joblib").write_bytes(pickle.dumps(self))

    def check_fitted(self) -> None:
        """Refuse to go on with one that has not seen rows."""
        if not hasattr(self, "center_"):
            raise ValueError(
                "This Prepare has not seen rows yet: call prepare.fit(vectors) first."
            )


def _flat_steps(steps: TransformerMixin | Pipeline) -> list[TransformerMixin]:
    if not isinstance(steps, Pipeline):
        return [steps]
    return [inner for step in steps for inner in _flat_steps(step)]


def _finite(
    values: ArrayLike, name: str, dtype: DTypeLike = np.float32
) -> NDArray[np.floating]:
    """Return floats, refusing what an engine would take for numbers, or not at all.

    Raises
    ------
    TypeError
        If the values are complex, or None.
    ValueError
        If one is NaN or infinite.
    """
    refuse_unsigned(values, name)
    numbers = as_real_array(values, name, dtype)
    if numbers.ndim and not np.isfinite(numbers).all():
        rows = np.atleast_2d(numbers)
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        raise ValueError(
            f"{name} holds NaN or infinity, row {bad[:5].tolist()}. Drop these rows, "
            "or fill them in."
        )
    return numbers


def _check_linear_map(given: object) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix (n_features, n_bits) and a center (n_bits,)."""
    if isinstance(given, tuple | list) and len(given) == 2:
        matrix, center = (_finite(x, "linear_map", np.float64) for x in given)
        if matrix.ndim == 2 and center.shape == matrix.shape[1:]:
            return matrix, center
    raise ValueError(
        "The 'linear_map' parameter of Prepare must be a matrix (n_features, n_bits) "
        f"and a center (n_bits,). Got {given!r} instead."
    )


def _float_rows(X: ArrayLike) -> NDArray[np.float32]:
    rows = _finite(X, "X")
    if rows.ndim != 2 or not len(rows):
        raise ValueError(
            f"X must be of shape (n_samples, n_features). Got {rows.shape} instead."
        )
    return rows
