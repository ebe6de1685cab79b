"""Rotations, and moments of randomly rotated vectors."""

from typing import Any

import numpy as np
from scipy.fft import dct

_LARGE = 1024
_COORDINATES = 512  # rotated coordinates to average over
_MOST = 16  # rotations


def haar_covariances(
    mean: np.ndarray, covariance: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and covariance after some random rotations, drawn with a fixed seed.

    One rotation in high dimension averages over many alike coordinates; in low
    dimension several are needed.
    """
    d = len(mean)
    rng = np.random.default_rng([2605, 17524])
    if d > _LARGE:
        return [_cosine_rotated(mean, covariance, rng)]
    results = []
    for _ in range(max(1, min(_COORDINATES // d, _MOST))):
        q, r = np.linalg.qr(rng.standard_normal((d, d)))
        q *= np.sign(r.diagonal())
        results.append((mean @ q, q.T @ covariance @ q))
    return results


def _cosine_rotated(
    mean: np.ndarray, covariance: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Three rounds of random signs and a cosine transform, O(d^2 log d)."""
    for _ in range(3):
        signs = rng.choice([-1.0, 1.0], size=len(mean))
        mean = dct(mean * signs, norm="ortho")
        half = dct(covariance * signs, norm="ortho", axis=1)
        covariance = dct(half * signs[:, None], norm="ortho", axis=0)
    return mean, 0.5 * (covariance + covariance.T)


def check_rotation(rotation: Any, d: int) -> np.ndarray:
    """Return an orthogonal matrix (d, d) as float64, refusing what is not one."""
    matrix = np.asarray(rotation, dtype=np.float64)
    if matrix.shape != (d, d) or not np.allclose(
        matrix @ matrix.T, np.eye(d), atol=1e-4
    ):
        raise ValueError(
            "rotation must be None, 'haar' or an orthogonal matrix of shape "
            f"{(d, d)}. Got an array of shape {matrix.shape}."
        )
    return matrix
