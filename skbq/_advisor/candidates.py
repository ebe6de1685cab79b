"""Strategies that the advisor tries, and the index that each of them makes."""

from .._neighbors.index import BinaryNeighbors
from .._quantization.strategy import LITERATURE, PLAIN_LEVELS, Strategy


def make_index(
    strategy: Strategy,
    k: int,
    *,
    metric: str = "cosine",
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


def all_strategies() -> list[Strategy]:
    """List what is worth trying, plainest first among those of equal memory."""
    listed = [
        Strategy(bits, query, rotated, threshold, levels)
        for bits, levels_of in ((1, [PLAIN_LEVELS]), (2, [PLAIN_LEVELS, "lloyd_max"]))
        for query in ("codes", "vectors")
        for rotated in (False, True)
        for levels in levels_of
        for threshold in ("mean", "zero")
    ]
    return [*listed, LITERATURE]
