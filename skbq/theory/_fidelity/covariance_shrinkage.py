"""Covariances as they would be without the noise of a small sample.

Called by :class:`RowModel`, hence by the profiler, the advisor and the report of
fidelity.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..._utils.params import check_int
from .._validation import check_covariance


def denoised_covariance(covariance: ArrayLike, n_samples: int) -> np.ndarray:
    """Shrink a sample covariance off its diagonal by what noise has added there.

    Parameters
    ----------
    covariance : array-like of shape (d, d)
        Covariance of ``n_samples`` rows.
    n_samples : int
        Number of rows, at least 2.

    Returns
    -------
    covariance : ndarray of shape (d, d), dtype float64
        With the same diagonal; the entries off it are all multiplied by one factor
        between 0 and 1.

    Notes
    -----
    Fidelity depends on the sum of squared covariances, to which noise adds
    (S_ii S_jj + S_ij^2) / n_samples for each pair of coordinates of normal rows. The
    factor takes that out of the sum (equation 1.13 of the theory chapter of the
    documentation), and leaves nothing if it is all noise: 5,000 isotropic rows of 768
    coordinates otherwise look as if they had 1 / (1 / 768 + 1 / 5,000) = 666 of them.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import denoised_covariance, effective_dimension
    >>> X = np.random.default_rng(0).standard_normal((300, 100))
    >>> noisy = np.cov(X.T)
    >>> round(effective_dimension(noisy)), round(
    ...     effective_dimension(denoised_covariance(noisy, 300))
    ... )
    (75, 99)
    """
    check_int(n_samples, "n_samples", "denoised_covariance", low=2)
    noisy = check_covariance(covariance)
    variances = noisy.diagonal()
    on_diagonal = np.square(variances).sum()
    off_diagonal = np.vdot(noisy, noisy) - on_diagonal
    noise = variances.sum() ** 2 - on_diagonal + off_diagonal
    kept = 0.0
    if off_diagonal > 0:
        kept = max(1.0 - noise / (n_samples * off_diagonal), 0.0) ** 0.5
    shrunk = noisy * kept
    np.fill_diagonal(shrunk, variances)
    return shrunk
