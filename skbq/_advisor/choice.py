"""The choice: what reaches the target, and which of that costs least."""

from collections.abc import Mapping
from dataclasses import dataclass

from .._quantization.strategy import Strategy
from .recall_curve import Curve

MAX_OVERSAMPLING = 20.0
# Reading a vector from a disk, or from memory that is not in a cache, costs a page.
_PAGE_BYTES = 4096
# Above half of the largest oversampling the draw of the queries may decide whether a
# code is able at all. Another one of nearly the same memory, vectors included, is then
# taken if a query has clearly less to read.
_MUCH_RERANKING = MAX_OVERSAMPLING / 2
_SAME_MEMORY = 1.05
_CLEARLY_LESS = 0.75


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
    """

    metric: str
    n_features: int
    n_neighbors: int
    target: float
    expected_rows: int
    vector_bytes: int
    own_queries: bool


@dataclass(frozen=True)
class Option:
    """A strategy with the oversampling that reaches the target.

    Attributes
    ----------
    strategy : Strategy
    oversampling : float or None
        None: no reranking.
    memory : int
        Bytes for each row: code, corrections, and the vector if it is reranked.
    bytes_per_query : float
        What a query reads: all codes, and a page for each candidate's vector.
    recall : float
    """

    strategy: Strategy
    oversampling: float | None
    memory: int
    bytes_per_query: float
    recall: float


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
    close : Option or None
        The best other one that needs nearly the same memory.
    """

    strategy: Strategy
    oversampling: float | None
    reached: bool
    option: Option | None = None
    close: Option | None = None


def choose_option(
    curves: Mapping[Strategy, Curve], code_bytes: Mapping[Strategy, int], task: Task
) -> Choice:
    """Choose the option of least memory that reaches the target.

    If that reranks much, one of nearly the same memory with clearly less to read is
    preferred. If no option reaches the target, the strategy that comes nearest with the
    largest oversampling is chosen.

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
    smallest = min(options, key=_by_memory)
    others = [
        option
        for option in options
        if option is not smallest and option.memory <= _SAME_MEMORY * smallest.memory
    ]
    close = min(others, key=lambda option: option.bytes_per_query, default=None)
    best = smallest
    if (
        close is not None
        and (smallest.oversampling or 1) > _MUCH_RERANKING
        and close.bytes_per_query < _CLEARLY_LESS * smallest.bytes_per_query
    ):
        best, close = close, smallest
    return Choice(best.strategy, best.oversampling, True, best, close)


def _option(
    strategy: Strategy, curve: Curve, code_bytes: int, task: Task
) -> Option | None:
    safe = curve.needed(task.target).safe
    if safe > MAX_OVERSAMPLING:
        return None
    scanned = float(code_bytes) * task.expected_rows
    recall = curve.at(safe).value
    if safe == 1:
        return Option(strategy, None, code_bytes, scanned, recall)
    candidates = safe * task.n_neighbors
    return Option(
        strategy,
        safe,
        code_bytes + task.vector_bytes,
        scanned + candidates * max(task.vector_bytes, _PAGE_BYTES),
        recall,
    )


def _by_memory(option: Option) -> tuple[int, float, float]:
    return option.memory, option.bytes_per_query, -option.recall


def _nearest(curves: Mapping[Strategy, Curve]) -> Choice:
    """Choose what finds most with the largest oversampling."""

    def recall(strategy: Strategy) -> tuple[float, float]:
        curve = curves[strategy]
        return curve.at(MAX_OVERSAMPLING).value, float(curve.recall[0])

    best = max(curves, key=recall)
    largest = min(MAX_OVERSAMPLING, float(curves[best].oversampling[-1]))
    return Choice(best, largest, False)
