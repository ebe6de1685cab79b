"""Random orthogonal matrices: where the Haar rotation is drawn."""

from typing import Protocol

import numpy as np

from .parallel import one_blas_thread


class NormalSource(Protocol):
    """A ``numpy.random`` Generator or RandomState."""

    def standard_normal(self, size: tuple[int, int]) -> np.ndarray:
        """Draw independent standard normal numbers."""
        ...


def haar_directions(
    rng: NormalSource, n_rows: int, n_columns: int | None = None
) -> np.ndarray:
    """Draw orthonormal directions of R^n_rows from the Haar distribution.

    Parameters
    ----------
    rng : Generator or RandomState
        Source of ``n_rows * n_columns`` standard normal numbers.
    n_rows : int
    n_columns : int, default=None
        At most ``n_rows``. None: ``n_rows``, which makes a rotation (or reflection).

    Returns
    -------
    directions : ndarray of shape (n_rows, n_columns), dtype float64
        Orthonormal columns.

    Notes
    -----
    The QR decomposition of a Gaussian matrix, each column with the sign of R's
    diagonal: the signs make the decomposition unique, and without them LAPACK's choice
    would bias the draw (F. Mezzadri, "How to generate random matrices from the
    classical compact groups", Notices of the AMS 54, 2007).

    BLAS uses one thread: more of them change the last bits at some sizes, and a seed
    should stand for one rotation.
    """
    shape = n_rows, n_rows if n_columns is None else n_columns
    normal = rng.standard_normal(shape)
    with one_blas_thread:
        q, r = np.linalg.qr(normal)
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)
