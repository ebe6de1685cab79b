"""The measured counterpart of the identity behind the predictions."""

from typing import Any

import numpy as np

from ._inputs import check_choice


def pairwise_fidelity(
    codes: Any, vectors: Any, *, query: str = "codes", centred: bool = False
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
    centred : bool, default=False
        Subtract the mean from the vectors first.

    Returns
    -------
    float
        Correlation of score and similarity over the n (n - 1) ordered pairs, in
        O(n d^2): model-free, since sums over pairs of products of inner products
        are sums over the entries of d x d matrices. nan if one of them is constant.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import pairwise_fidelity
    >>> X = np.random.default_rng(0).normal(size=(2000, 64))
    >>> round(pairwise_fidelity(np.sign(X), X), 2)
    0.64
    """
    check_choice(query, "query", ("codes", "vectors"))
    q = np.asarray(codes, dtype=np.float64)
    f = np.asarray(vectors, dtype=np.float64)
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
    if centred:
        f = f - f.mean(axis=0)
    left = q if query == "codes" else f
    score = _second_moments(left, q)
    similarity = _second_moments(f, f)
    mixed = left.T @ f * (q.T @ f)
    diagonal = np.einsum("nd,nd->n", left, q) * np.einsum("nd,nd->n", f, f)
    pairs = len(q) * (len(q) - 1)
    cross = (mixed.sum() - diagonal.sum()) / pairs - score[0] * similarity[0]
    product = score[1] * similarity[1]
    tiny = 1e-20 * score[2] * similarity[2]
    return float(cross / np.sqrt(product)) if product > tiny else float("nan")


def _second_moments(left: np.ndarray, right: np.ndarray) -> tuple[float, float, float]:
    """Mean, variance and mean square of <left_x, right_y> over pairs x != y."""
    pairs = len(left) * (len(left) - 1)
    own = np.einsum("nd,nd->n", left, right)
    mean = (left.sum(axis=0) @ right.sum(axis=0) - own.sum()) / pairs
    square = (np.sum((left.T @ left) * (right.T @ right)) - own @ own) / pairs
    return float(mean), float(square - mean**2), float(square)
