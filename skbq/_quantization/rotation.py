"""Random rotation of vectors."""

from typing import Literal, Self

import numpy as np
from scipy.fft import dct, idct
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from .._kernels.hadamard import mix_rows
from .._kernels.memory import read_only
from .._utils.orthogonal import haar_directions
from .._utils.parallel import fixed_blocks
from .._utils.params import check_option
from .._utils.row_products import row_products
from .._utils.typing import RandomState, VectorsLike
from .._utils.validation import DocLinkMixin, check_vectors, float_dtype, float_rows

# Rows at a time: 768 coordinates of them stay in a second-level cache.
_BLOCK_ROWS = 256
_ROUNDS = 3

RotationMethod = Literal["haar", "dct", "hadamard"]
# Up to that many coordinates a Haar rotation is drawn within a second; a fast one does
# as well from a few dozen coordinates on (see the Notes of RandomRotation).
_MAX_HAAR = 1024


def rotation_method(n_features: int) -> Literal["haar", "hadamard"]:
    """Return the method to use for so many coordinates: "haar", or the fast one."""
    return "haar" if n_features <= _MAX_HAAR else "hadamard"


class RandomRotation(
    DocLinkMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    """Rotate vectors at random, which keeps distances and inner products.

    After a rotation all coordinates have about the same variance and marginals that
    are closer to normal. Whether that helps a binary code depends on the data: it
    does where variances or marginals are very uneven and can cost signal elsewhere.

    Read more in the :ref:`User Guide <guide-choices>`.

    Parameters
    ----------
    method : {"haar", "dct", "hadamard"}, default="haar"
        "haar" draws a rotation uniformly: d^2 numbers, O(d^2) work for each vector.
        "dct" alternates random signs and an orthonormal discrete cosine transform,
        three rounds: 3 d signs, O(d log d) work, for any d. "hadamard" takes Hadamard
        transforms of blocks of coordinates instead, which are shuffled before each
        round: the same order of work, and the fastest.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Attributes
    ----------
    rotation_ : ndarray of shape (n_features, n_features), dtype float64, or None
        Orthogonal matrix Q of "haar"; vectors become ``X @ Q``.
    signs_ : ndarray of shape (3, n_features), dtype int8, or None
        The random signs of "dct" and "hadamard", one row for each round.
    orders_ : ndarray of shape (3, n_features), dtype int64, or None
        Which coordinate comes where before each round of "hadamard".
    n_features_in_ : int
        Number of coordinates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had names at fit.

    See Also
    --------
    TwoBitQuantizer, BinaryQuantizer : What usually comes next.

    Notes
    -----
    "haar" takes Q from the QR decomposition of a Gaussian matrix, each column with
    the sign of R's diagonal [1]_. An orthogonal matrix of determinant -1 is as likely
    as one of +1: reflections keep distances as well.

    Three rounds of "dct" are what ``benchmarks/rotation.py`` suggests, for d of 32 to
    768: the fourth moment of the entries of Q is within 2% of Haar's (two rounds:
    within 4%; one round: half of it), their largest entry and the variances of the
    rotated coordinates spread as Haar's, and a fourth round changes neither. The same
    holds for "hadamard", whose blocks are the powers of two that add up to d, such as
    512 and 256. The script also times all three.

    float32 vectors stay float32. "haar" multiplies in float64 and rounds, so that a
    row comes out the same whichever rows it is transformed with.

    References
    ----------
    .. [1] Mezzadri, F. "How to generate random matrices from the classical compact
       groups", Notices of the AMS 54, 2007.
    .. [2] Ailon, N. and Chazelle, B. "The fast Johnson-Lindenstrauss transform and
       approximate nearest neighbors", SIAM Journal on Computing 39, 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import RandomRotation
    >>> X = np.array([[3.0, 4.0], [0.0, 1.0]])
    >>> rotation = RandomRotation(random_state=0).fit(X)
    >>> np.linalg.norm(rotation.transform(X), axis=1).round(6)
    array([5., 1.])
    """

    def __init__(
        self,
        method: RotationMethod = "haar",
        *,
        random_state: RandomState = None,
    ) -> None:
        self.method = method
        self.random_state = random_state

    def fit(self, X: VectorsLike, y: object = None) -> Self:
        """Draw the rotation; of X only the number of coordinates matters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        X = check_vectors(self, X, reset=True)
        check_option(self.method, "method", self, ["haar", "dct", "hadamard"])
        random_state = check_random_state(self.random_state)
        d = X.shape[1]
        self.rotation_: np.ndarray | None = None
        self.signs_: np.ndarray | None = None
        self.orders_: np.ndarray | None = None
        if self.method == "haar":
            self.rotation_ = haar_directions(random_state, d)
            return self
        signs = random_state.randint(0, 2, size=(_ROUNDS, d), dtype=np.int8)
        self.signs_ = 2 * signs - 1
        if self.method == "hadamard":
            orders = [random_state.permutation(d) for _ in range(_ROUNDS)]
            self.orders_ = np.array(orders, np.int64)
        return self

    def transform(self, X: VectorsLike) -> np.ndarray:
        """Rotate vectors.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors.

        Returns
        -------
        X_rotated : ndarray of shape (n_samples, n_features)
            float32 for float32, float64 for float64.
        """
        return self._rotated(X, backward=False)

    def inverse_transform(self, X: VectorsLike) -> np.ndarray:
        """Rotate vectors back.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rotated vectors.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
        """
        return self._rotated(X, backward=True)

    def matrix(self) -> np.ndarray:
        """Return the orthogonal matrix Q with ``transform(X) = X @ Q``.

        Returns
        -------
        Q : ndarray of shape (n_features, n_features), dtype float64
        """
        check_is_fitted(self)
        if self.rotation_ is not None:
            return self.rotation_.copy()
        return self._rounds(np.eye(self.n_features_in_), backward=False)

    def _rotated(self, X: VectorsLike, *, backward: bool) -> np.ndarray:
        check_is_fitted(self)
        X = check_vectors(self, X, reset=False)
        if self.rotation_ is not None:
            matrix = self.rotation_.T if backward else self.rotation_
            return row_products(X, matrix, float_dtype(X))
        out = np.empty(X.shape, float_dtype(X))
        for rows in fixed_blocks(len(X), _BLOCK_ROWS):
            out[rows] = self._rounds(float_rows(X, rows), backward=backward)
        return out

    def _rounds(self, X: np.ndarray, *, backward: bool) -> np.ndarray:
        """Take the rounds of "dct" or "hadamard"."""
        assert self.signs_ is not None
        if self.orders_ is not None:
            return _hadamard_rounds(X, self.orders_, self.signs_, backward)
        if backward:
            for signs in self.signs_[::-1]:
                X = idct(X, norm="ortho", axis=1) * signs
        else:
            for signs in self.signs_:
                X = dct(X * signs, norm="ortho", axis=1)
        return X

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _hadamard_rounds(
    X: np.ndarray, orders: np.ndarray, signs: np.ndarray, backward: bool
) -> np.ndarray:
    """Take the rounds of "hadamard"; backward, shuffles come after transforms."""
    blocks = _blocks_of_powers(X.shape[1])
    sizes = np.repeat(np.diff(blocks), np.diff(blocks))
    factors = signs / np.sqrt(sizes)
    same, ones = np.arange(X.shape[1])[np.newaxis], np.ones((1, X.shape[1]))
    if backward:
        orders = np.argsort(orders, axis=1)[::-1]
        factors = np.take_along_axis(factors[::-1], orders, axis=1)
        orders, factors = np.r_[same, orders], np.r_[ones, factors]
    else:
        orders, factors = np.r_[orders, same], np.r_[factors, ones]
    out = np.empty_like(X)
    mix_rows(read_only(X), orders, factors.astype(X.dtype), blocks, out)
    return out


def _blocks_of_powers(d: int) -> np.ndarray:
    """Cut d into powers of two, the largest first: where they begin, and d."""
    sizes = [1 << bit for bit in range(d.bit_length())[::-1] if d >> bit & 1]
    return np.cumsum([0, *sizes])
