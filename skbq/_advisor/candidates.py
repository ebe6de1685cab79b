"""Strategies that the advisor tries, what each weighs, and the index it makes."""

from typing import Literal, NamedTuple

from .._neighbors.index import BinaryNeighbors
from .._quantization.strategy import LITERATURE, PLAIN_LEVELS, Strategy
from .._utils.typing import Levels, Metric, Query
from ..codes import code_width

# Levels worth trying, by bits.
_LEVELS_OF: tuple[tuple[int, tuple[Levels, ...]], ...] = (
    (1, (PLAIN_LEVELS,)),
    (2, (PLAIN_LEVELS, "lloyd_max")),
)
# Bytes of the corrections of a row.
_CORRECTION_BYTES = 3
# And of its norm, which error bounds of inner products need.
_NORM_BYTES = 2


class Kind(NamedTuple):
    """What strategies of equal memory share."""

    bits: int
    query: Query


def kind_of(strategy: Strategy) -> Kind:
    """Return what a strategy shares with those of equal memory."""
    return Kind(strategy.bits, strategy.query)


def bytes_per_row(strategy: Strategy, n_features: int, metric: str) -> int:
    """Return the memory that is searched for each row: its code and corrections."""
    corrections = 0
    if strategy.query == "vectors":
        corrections = _CORRECTION_BYTES + _NORM_BYTES * (metric == "inner_product")
    return strategy.bits * code_width(n_features) + corrections


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
