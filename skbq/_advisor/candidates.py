"""Strategies that the advisor tries, what each weighs, and the index it makes."""

from typing import Literal, NamedTuple

from .._neighbors.index import BinaryNeighbors
from .._quantization.pca import CORRECTION_BYTES, SharedAxes
from .._quantization.strategy import LITERATURE, PLAIN_LEVELS, Strategy
from .._utils.typing import Levels, Metric, Query
from ..codes import code_width

# Levels worth trying, by bits.
_LEVELS_OF: tuple[tuple[int, tuple[Levels, ...]], ...] = (
    (1, (PLAIN_LEVELS,)),
    (2, (PLAIN_LEVELS, "lloyd_max")),
)
# Bytes of the norm of a row, beside its corrections, which error bounds of inner
# products by codes of one and two bits need.
_NORM_BYTES = 2
# Bytes of a row in an index, corrections included, at which codes of principal axes
# are tried.
BUDGETS = (8, 16, 24, 32, 48, 64, 96, 128, 192)
# Those of fewer bits for each coordinate find too little to be worth the time.
_FEWEST_BITS = 1 / 8
_MAX_DEPTH = 4
# More axes of one bit save too little beside one bit for each coordinate.
_MOST_AXES = 3 / 4
# Axes of more coordinates take minutes and gigabytes.
_MOST_FEATURES = 4096
# Of fewer rows axes are chance.
_FEWEST_ROWS = 100


class Kind(NamedTuple):
    """What strategies of equal memory share, which are searched alike.

    Attributes
    ----------
    bits : float
        Of a coordinate; of principal axes their mean.
    query : {"codes", "vectors"}
    width : int or None
        Bytes of a code of principal axes; None where all coordinates get ``bits``.
    """

    bits: float
    query: Query
    width: int | None = None


def kind_of(strategy: Strategy) -> Kind:
    """Return what a strategy shares with those of equal memory."""
    return Kind(strategy.bits, strategy.query, strategy.code_bytes)


def bytes_per_row(strategy: Strategy, n_features: int, metric: str) -> int:
    """Return the memory that is searched for each row: its code and corrections."""
    n_bytes = strategy.width(n_features)
    if strategy.query == "codes":
        return n_bytes
    has_norms = metric == "inner_product" and not strategy.is_pca
    return n_bytes + CORRECTION_BYTES + _NORM_BYTES * has_norms


def make_index(
    strategy: Strategy,
    k: int,
    *,
    metric: Metric = "cosine",
    oversampling: float | None = None,
    n_jobs: int | None = None,
) -> BinaryNeighbors:
    """Make the unfitted index."""
    return BinaryNeighbors(
        k,
        quantizer=strategy.make_quantizer(),
        metric=metric,
        query=strategy.query,
        code_metric=strategy.code_metric,
        oversampling=oversampling,
        n_jobs=n_jobs,
    )


def all_strategies(
    rotation: Literal["haar", "dct", "hadamard"] = "haar",
) -> list[Strategy]:
    """List what is worth trying, the simplest first among those of equal memory.

    Parameters
    ----------
    rotation : {"haar", "dct", "hadamard"}, default="haar"
        How rotated strategies rotate.
    """
    listed = [
        Strategy(bits, query, rotated, threshold, levels, rotation=rotation)
        for bits, levels_of in _LEVELS_OF
        for query in ("codes", "vectors")
        for rotated in (False, True)
        for levels in levels_of
        for threshold in ("mean", "zero")
    ]
    return [*listed, LITERATURE]


def pca_budgets(n_features: int, max_bytes: int | None = None) -> list[int]:
    """List the bytes of a row at which asymmetric search of PCA codes is tried.

    Corrections are among them. Beside the usual numbers there are those of one and two
    bits for each of many coordinates, and ``max_bytes`` itself.
    """
    by_bits = (code_width(n_features), 2 * code_width(n_features))
    tried = {*BUDGETS, *(n for n in by_bits if n > BUDGETS[-1])}
    tried = {n for n in tried if 8 * n >= _FEWEST_BITS * n_features}
    if max_bytes is not None:
        tried = {n for n in tried if n < max_bytes} | {max_bytes}
    most = code_width(_MAX_DEPTH * n_features) + CORRECTION_BYTES
    return sorted(n for n in tried if CORRECTION_BYTES < n <= most)


def linear_map_budgets(n_features: int, max_bytes: int | None = None) -> list[int]:
    """List the bytes at which one bit for each of the strongest axes is tried.

    All are clearly below one bit for each coordinate, or ``max_bytes``.
    """
    tried = {
        n
        for n in BUDGETS
        if _FEWEST_BITS * n_features <= 8 * n <= _MOST_AXES * n_features
    }
    if max_bytes is not None:
        tried = {n for n in tried if n < max_bytes} | {max_bytes}
    return sorted(n for n in tried if 8 * n < n_features)


def tries_pca(n_rows: int, n_features: int) -> bool:
    """Whether there are rows enough for axes, and not too many coordinates."""
    return n_rows >= _FEWEST_ROWS and n_features <= _MOST_FEATURES


def pca_strategies(
    axes: SharedAxes,
    n_features: int,
    max_bytes: int | None = None,
    rotation: Literal["haar", "dct", "hadamard"] = "haar",
) -> list[Strategy]:
    """List codes of principal axes that are worth trying, the smallest first.

    Parameters
    ----------
    axes : SharedAxes
        Of the rows, on which exponents are chosen.
    n_features : int
    max_bytes : int or None, default=None
        Most bytes of a row.
    rotation : {"haar", "dct", "hadamard"}, default="haar"
        How axes of equally many bits are rotated.
    """

    def fits(n_bits: int, max_depth: int) -> bool:
        return 0.95 * n_bits <= axes.rank * max_depth or axes.rank == n_features

    widths = [
        n - CORRECTION_BYTES
        for n in pca_budgets(n_features, max_bytes)
        if fits(8 * (n - CORRECTION_BYTES), _MAX_DEPTH)
    ]
    exponents = axes.best_exponents([8 * n for n in widths], _MAX_DEPTH, rotation)
    asymmetric = [
        Strategy(
            8 * width / n_features,
            "vectors",
            code_bytes=width,
            exponent=exponent,
            rotation=rotation,
        )
        for width, exponent in zip(widths, exponents, strict=True)
    ]
    linear = [
        Strategy(
            8 * width / n_features,
            code_bytes=width,
            exponent=0.0,
            max_depth=1,
            rotation=rotation,
        )
        for width in linear_map_budgets(n_features, max_bytes)
        if fits(8 * width, 1)
    ]
    return [*linear, *asymmetric]
