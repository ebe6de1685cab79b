"""The measured counterpart of the identity behind the predictions.

Nothing of skbq calls it: it is for readers, tests and benchmarks.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..._utils.deprecation import UNUSED, renamed_parameter
from ..._utils.params import as_real_array, check_bool, check_option
from .._options import QUERIES

# Share of the squares below which a variance is the rounding noise of a constant.
_ROUNDING = 1e-20


def pairwise_fidelity(
    codes: ArrayLike,
    vectors: ArrayLike,
    *,
    query: str = "codes",
    centered: bool = False,
    centred: bool | str = UNUSED,
) -> float:
    """Pearson fidelity over all pairs of distinct rows, without forming a pair.

    Parameters
    ----------
    codes : array-like of shape (n, d)
        Signed levels of the codes, as ``CodeArray.unpack`` gives them.
    vectors : array-like of shape (n, p)
        The rows whose inner products are the true similarity (scale them to unit
        length for cosines). p = d if ``query="vectors"``.
    query : {"codes", "vectors"}, default="codes"
        Score <q(x), q(y)>, or <x, q(y)>.
    centered : bool, default=False
        Subtract the mean from the vectors first.
    centred : bool
        Old name of ``centered``.

    Returns
    -------
    float
        Correlation of score and similarity over the n (n - 1) ordered pairs, in
        O(n d^2): model-free, since sums over pairs of products of inner products
        are sums over the entries of d x d matrices (equation 1.15 of the theory
        chapter of the documentation). nan if one of them is constant.

    Raises
    ------
    ValueError
        If the shapes do not fit together or ``query`` is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import pairwise_fidelity
    >>> X = np.random.default_rng(0).normal(size=(2000, 64))
    >>> round(pairwise_fidelity(np.sign(X), X), 2)
    0.64
    """
    owner = "pairwise_fidelity"
    check_option(query, "query", owner, QUERIES)
    centered = renamed_parameter(centered, centred, "centered", "centred", owner)
    check_bool(centered, "centered", owner)
    q, f = as_real_array(codes, "codes"), as_real_array(vectors, "vectors")
    if q.ndim != 2 or f.ndim != 2 or len(q) != len(f) or len(q) < 3:
        raise ValueError(
            "codes and vectors must be 2-d with the same number of rows, at least 3. "
            f"Got {q.shape} and {f.shape}."
        )
    if query == "vectors" and q.shape != f.shape:
        raise ValueError(
            f"query='vectors' needs codes of the vectors' shape {f.shape}. "
            f"Got {q.shape}."
        )
    if centered:
        f = f - f.mean(axis=0)
    left = q if query == "codes" else f
    pairs = len(q) * (len(q) - 1)
    of_codes, of_vectors, mixed = q.T @ q, f.T @ f, q.T @ f
    of_left, with_left = (
        (of_codes, mixed) if query == "codes" else (of_vectors, of_vectors)
    )
    own_score = np.einsum("nd,nd->n", left, q)
    own_similarity = np.einsum("nd,nd->n", f, f)

    def mean(total: float | np.floating, own: np.ndarray) -> float:
        """Mean over pairs of different rows, given the sum over all pairs."""
        return float(total - own.sum()) / pairs  # eq. (1.15)

    score = mean(left.sum(axis=0) @ q.sum(axis=0), own_score)
    similarity = mean(np.square(f.sum(axis=0)).sum(), own_similarity)
    score_square = mean(np.vdot(of_left, of_codes), own_score**2)
    similarity_square = mean(np.vdot(of_vectors, of_vectors), own_similarity**2)
    product = mean(np.vdot(with_left, mixed), own_score * own_similarity)
    variances = (score_square - score**2) * (similarity_square - similarity**2)
    if not variances > _ROUNDING * score_square * similarity_square:
        return float("nan")
    return (product - score * similarity) / float(np.sqrt(variances))
