"""Rotations, and moments of randomly rotated vectors.

Called by :func:`predict_fidelity`, :func:`simulated_fidelity` and :class:`RowModel`.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import dct

from ..._utils.orthogonal import haar_directions
from ..._utils.params import as_real_array
from .._normal import Normal

# Any, but fixed, so that predictions repeat: the paper's number on arXiv.
SEED = (2605, 17524)
# Coordinates above which cosine transforms take the place of the QR decomposition of
# a Haar rotation, whose d^3 work would be seconds.
_LARGE = 1024
# Rotated coordinates to average over: variances of rotated coordinates differ by about
# sqrt(2 / effective dimension), which so many coordinates average out.
_COORDINATES = 512
# Most rotations, for few coordinates: the standard error is a quarter of one's.
_MOST = 16
# Rounds of signs and transforms, as in RandomRotation (benchmarks/rotation.py).
_ROUNDS = 3
# Largest deviation of R R' from the identity: that of float32 matrices.
_ORTHOGONAL = 1e-4


def haar_covariances(mean: np.ndarray, covariance: np.ndarray) -> list[Normal]:
    """Mean and covariance after some random rotations, drawn with a fixed seed.

    One rotation in high dimension averages over many alike coordinates; in low
    dimension several are needed.
    """
    d = len(mean)
    rng = np.random.default_rng(SEED)
    if d > _LARGE:
        return [_cosine_rotated(mean, covariance, rng)]
    results = []
    for _ in range(max(1, min(_COORDINATES // d, _MOST))):
        q = haar_directions(rng, d)
        results.append(Normal.of(mean @ q, q.T @ covariance @ q))
    return results


def _cosine_rotated(
    mean: np.ndarray, covariance: np.ndarray, rng: np.random.Generator
) -> Normal:
    """Three rounds of random signs and a cosine transform, O(d^2 log d)."""
    for _ in range(_ROUNDS):
        signs = rng.choice([-1.0, 1.0], size=len(mean))
        mean = dct(mean * signs, norm="ortho")
        half = dct(covariance * signs, norm="ortho", axis=1)
        covariance = dct(half * signs[:, None], norm="ortho", axis=0)
    return Normal.of(mean, 0.5 * (covariance + covariance.T))


def check_rotation(rotation: ArrayLike, d: int) -> np.ndarray:
    """Return an orthogonal matrix (d, d) as float64, refusing what is not one."""
    matrix = as_real_array(rotation, "rotation")
    if matrix.shape != (d, d) or not np.allclose(
        matrix @ matrix.T, np.eye(d), atol=_ORTHOGONAL
    ):
        raise ValueError(
            "rotation must be None, 'haar' or an orthogonal matrix of shape "
            f"{(d, d)}. Got an array of shape {matrix.shape}."
        )
    return matrix
