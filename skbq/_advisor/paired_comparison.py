"""Which strategy: paired comparison with the plain code, and the cheapest that does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .._quantization.strategy import Strategy
from .bench import mean_interval

# Queries are drawn until a difference in recall is known that well, at this level.
_HALF_WIDTH = 0.005
_CONFIDENCE = 0.95
# A strategy that is behind the leader at this level is measured no longer.
_DROP_CONFIDENCE = 0.999
# Of strategies that are not plain, those within that of the best are measured on.
_WITHIN = 0.05
_MOST_OTHERS = 4

Measure = Callable[[list[Strategy]], Iterator[dict[Strategy, np.ndarray]]]


@dataclass(frozen=True)
class Difference:
    """Mean difference in recall over the same queries, and its limits."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(
        cls, a: np.ndarray, b: np.ndarray, confidence: float = _CONFIDENCE
    ) -> "Difference":
        """Compare the recalls of two strategies, query by query."""
        return cls(*mean_interval(a - b, confidence))

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Settled:
    """The strategy chosen among those of equal memory.

    Attributes
    ----------
    chosen, plain : Strategy
        ``plain`` is the better one of the unrotated codes with the common levels.
    gain : Difference
        Recall of ``chosen`` less that of ``plain``.
    rival : Strategy or None
        The best of the others where they are no better than ``chosen`` for sure.
    rival_gain : Difference or None
        Its recall less that of ``chosen``.
    found : dict of Strategy to ndarray of shape (n_queries,)
        Recall of each query without reranking, as far as it was measured.
    by_rows : Settled or None
        The choice when rows ask, among strategies that the user's queries were too
        few to tell apart.
    """

    chosen: Strategy
    plain: Strategy
    gain: Difference
    rival: Strategy | None
    rival_gain: Difference | None
    found: dict[Strategy, np.ndarray]
    by_rows: "Settled | None" = None


def finalists(members: dict[Strategy, float]) -> list[Strategy]:
    """Pick the plain strategies and the best others by recall in a first look."""
    plain = [s for s in members if s.complexity == 0]
    others = sorted((s for s in members if s.complexity), key=lambda s: -members[s])
    best = max(members.values())
    others = [s for s in others if members[s] > best - _WITHIN]
    return [*plain, *others[:_MOST_OTHERS]]


def settle(
    members: list[Strategy], measure: Measure, measure_rows: Measure | None = None
) -> Settled:
    """Measure strategies of equal memory until they are told apart.

    Parameters
    ----------
    members : list of Strategy
        Some of complexity 0 among them.
    measure : callable
        Given a list of strategies, which it reads anew before each batch, yields the
        recall of each query of a batch for each strategy of the list.
    measure_rows : callable or None
        The same where rows ask. Among strategies that the queries are too few to tell
        apart, they decide.
    """
    running, found = _run(members, measure)
    settled = replace(choose({s: found[s] for s in running}), found=found)
    ahead = max(running, key=lambda s: found[s].mean())
    if measure_rows is None or _told_apart(running, found):
        return settled
    level = [s for s in running if Difference.of(found[s], found[ahead]).high >= 0]
    if len(level) < 2:
        return settled
    running, asked = _run(level, measure_rows)
    by_rows = choose({s: asked[s] for s in running})
    measured = {s: found[s] for s in level} | {settled.plain: found[settled.plain]}
    settled = _compared(by_rows.chosen, settled.plain, measured)
    return replace(settled, found=found, by_rows=by_rows)


def _run(
    members: list[Strategy], measure: Measure
) -> tuple[list[Strategy], dict[Strategy, np.ndarray]]:
    """Measure batch after batch; return who is left, and the recalls of all."""
    found = {s: np.empty(0) for s in members}
    running = list(members)
    for batch in measure(running):
        for strategy, recall in batch.items():
            found[strategy] = np.append(found[strategy], recall)
        if _told_apart(running, found):
            break
        ahead = max(running, key=lambda s: found[s].mean())
        running[:] = [
            s
            for s in running
            if Difference.of(found[s], found[ahead], _DROP_CONFIDENCE).high >= 0
            or s is _best_plain(running, found)
        ]
    return running, found


def _told_apart(running: list[Strategy], found: dict[Strategy, np.ndarray]) -> bool:
    """Whether every difference to the best is known well enough."""
    ahead = max(running, key=lambda s: found[s].mean())
    return all(
        Difference.of(found[s], found[ahead]).half_width <= _HALF_WIDTH for s in running
    )


def _best_plain(running: list[Strategy], found: dict[Strategy, np.ndarray]) -> Strategy:
    """Return the best of the simplest strategies."""
    simplest = min(s.complexity for s in running)
    plain = [s for s in running if s.complexity == simplest]
    return max(plain, key=lambda s: found[s].mean())


def choose(found: dict[Strategy, np.ndarray]) -> Settled:
    """From the plain code up, take what is better beyond its interval.

    Parameters
    ----------
    found : dict of Strategy to ndarray of shape (n_queries,)
        Recall of the same queries.
    """
    chosen = plain = _best_plain(list(found), found)
    rest = [s for s in found if s.complexity > plain.complexity]
    for complexity in sorted({s.complexity for s in rest}):
        level = [s for s in rest if s.complexity == complexity]
        best = max(level, key=lambda s: found[s].mean())
        if Difference.of(found[best], found[chosen]).low > 0:
            chosen = best
    return _compared(chosen, plain, found)


def _compared(
    chosen: Strategy, plain: Strategy, found: dict[Strategy, np.ndarray]
) -> Settled:
    """Hold a choice against the plain code and the best of what asks for more."""
    others = [s for s in found if s.complexity > chosen.complexity]
    rival = max(others, key=lambda s: found[s].mean(), default=None)
    return Settled(
        chosen,
        plain,
        Difference.of(found[chosen], found[plain]),
        rival,
        None if rival is None else Difference.of(found[rival], found[chosen]),
        found,
    )
