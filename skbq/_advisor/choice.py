"""The choice: what reaches the target, and which of that costs least."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from .._quantization.strategy import Strategy
from .recall_curve import Curve

Prefer = Literal["memory", "speed"]
PREFERENCES: tuple[Prefer, ...] = get_args(Prefer)

# Recommendations rerank no more: by convention. 20 times 10 float32 vectors of 384
# coordinates are 300 KB of scattered reads for a query.
MAX_OVERSAMPLING = 20.0
# Reading a vector from a disk, or from memory that is not in a cache, costs a page.
_PAGE_BYTES = 4096
# The knee: above half of the largest oversampling, reranking is much, and the draw of
# the queries may decide whether a code is able at all. More memory is then taken where
# a query has clearly less to read, and where candidates fall at least as much as memory
# grows.
_MUCH_RERANKING = MAX_OVERSAMPLING / 2
_CLEARLY_LESS = 0.75
# Options within that factor of memory are named beside the choice.
_CLOSE_MEMORY = 2.0
# Scanning a byte by look-up tables takes as long as that many by popcount: 2.0 to 2.3
# for single queries and batches in benchmarks/results/search.md.
_LOOKUP_COST = 2.0


@dataclass(frozen=True)
class Task:
    """What is asked for.

    Attributes
    ----------
    metric : {"cosine", "euclidean", "inner_product"}
    n_features, n_neighbors : int
    target : float
        Recall@k to reach.
    expected_rows : int
    vector_bytes : int
        Of a vector, which reranking reads.
    own_queries : bool
        Whether queries are the user's own.
    prefer : {"memory", "speed"}
        What decides among codes that reach the target.
    """

    metric: str
    n_features: int
    n_neighbors: int
    target: float
    expected_rows: int
    vector_bytes: int
    own_queries: bool
    prefer: Prefer = "memory"


@dataclass(frozen=True)
class Option:
    """A strategy with the oversampling that reaches the target.

    Attributes
    ----------
    strategy : Strategy
    oversampling : float or None
        None: no reranking.
    memory : int
        Bytes that are searched for each row: code and corrections.
    bytes_per_query : float
        What a query reads: all codes, and a page for each candidate's vector.
    cost : float
        The same, weighted by how fast such codes are scanned.
    recall : float
    """

    strategy: Strategy
    oversampling: float | None
    memory: int
    bytes_per_query: float
    cost: float
    recall: float

    @property
    def candidates(self) -> float:
        """Rows that a query reads vectors of, for each neighbor; 1 for none."""
        return self.oversampling or 1.0


@dataclass(frozen=True)
class Choice:
    """What is recommended.

    Attributes
    ----------
    strategy : Strategy
    oversampling : float or None
        None if no reranking is needed.
    reached : bool
        Whether the target recall is.
    option : Option or None
        What it costs, if the target is reached.
    least : Option or None
        The one of least memory that reaches the target, which may be the same.
    close : Option or None
        The one of at most twice the memory, and at least half, with least to read.
    """

    strategy: Strategy
    oversampling: float | None
    reached: bool
    option: Option | None = None
    least: Option | None = None
    close: Option | None = None


def choose_option(
    curves: Mapping[Strategy, Curve], code_bytes: Mapping[Strategy, int], task: Task
) -> Choice:
    """Choose among the options that reach the target.

    With ``prefer="memory"`` that is the knee: the option of least memory; where that
    reranks much, the next one that has clearly less to read, and whose candidates are
    fewer by at least the factor by which its memory is more. With ``prefer="speed"`` it
    is the option that is searched fastest. If none reaches the target, the strategy
    that comes nearest with the largest oversampling is chosen.

    Parameters
    ----------
    curves : mapping of Strategy to Curve
    code_bytes : mapping of Strategy to int
        Bytes of code and corrections for each row.
    task : Task
    """
    options = [
        option
        for s, curve in curves.items()
        if (option := _option(s, curve, code_bytes[s], task)) is not None
    ]
    if not options:
        return _nearest(curves)
    best = _knee(options) if task.prefer == "memory" else min(options, key=_by_speed)
    close = [
        option
        for option in options
        if option is not best
        and 1 / _CLOSE_MEMORY <= option.memory / best.memory <= _CLOSE_MEMORY
    ]
    nearest = min(close, key=lambda option: option.bytes_per_query, default=None)
    least = min(options, key=_by_memory)
    return Choice(best.strategy, best.oversampling, True, best, least, nearest)


def _knee(options: Sequence[Option]) -> Option:
    """Return the option after which more memory buys little."""
    best, *others = sorted(options, key=_by_memory)
    for option in others:
        saves = best.candidates / option.candidates
        if (
            best.candidates > _MUCH_RERANKING
            and option.bytes_per_query < _CLEARLY_LESS * best.bytes_per_query
            and saves >= option.memory / best.memory
        ):
            best = option
    return best


def _option(
    strategy: Strategy, curve: Curve, code_bytes: int, task: Task
) -> Option | None:
    safe = curve.needed(task.target).safe
    if safe > MAX_OVERSAMPLING:
        return None
    scanned = float(code_bytes) * task.expected_rows
    candidates = 0.0 if safe == 1 else safe * task.n_neighbors
    read = candidates * max(task.vector_bytes, _PAGE_BYTES)
    by_popcount = strategy.query == "codes" and strategy.bits == 1
    return Option(
        strategy,
        None if safe == 1 else safe,
        code_bytes,
        scanned + read,
        scanned * (1 if by_popcount else _LOOKUP_COST) + read,
        curve.at(safe).value,
    )


def _by_memory(option: Option) -> tuple[int, float, float]:
    return option.memory, option.bytes_per_query, -option.recall


def _by_speed(option: Option) -> tuple[float, int, float]:
    return option.cost, option.memory, -option.recall


def _nearest(curves: Mapping[Strategy, Curve]) -> Choice:
    """Choose what finds most with the largest oversampling."""

    def recall(strategy: Strategy) -> tuple[float, float]:
        curve = curves[strategy]
        return curve.at(MAX_OVERSAMPLING).value, float(curve.recall[0])

    best = max(curves, key=recall)
    largest = min(MAX_OVERSAMPLING, float(curves[best].oversampling[-1]))
    return Choice(best, largest, False)
