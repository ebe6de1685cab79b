"""Which strategy: paired comparison with the plain code, and the cheapest that does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .._measuring import mean_interval
from .._strategies import Strategy

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
    """

    chosen: Strategy
    plain: Strategy
    gain: Difference
    rival: Strategy | None
    rival_gain: Difference | None
    found: dict[Strategy, np.ndarray]


def finalists(members: dict[Strategy, float]) -> list[Strategy]:
    """Pick the plain strategies and the best others by recall in a first look."""
    plain = [s for s in members if s.complexity == 0]
    others = sorted((s for s in members if s.complexity), key=lambda s: -members[s])
    best = max(members.values())
    others = [s for s in others if members[s] > best - _WITHIN]
    return [*plain, *others[:_MOST_OTHERS]]


def settle(members: list[Strategy], measure: Measure) -> Settled:
    """Measure strategies of equal memory until they are told apart.

    Parameters
    ----------
    members : list of Strategy
        Some of complexity 0 among them.
    measure : callable
        Given a list of strategies, which it reads anew before each batch, yields the
        recall of each query of a batch for each strategy of the list.
    """
    found = {s: np.empty(0) for s in members}
    running = list(members)
    for batch in measure(running):
        for strategy, recall in batch.items():
            found[strategy] = np.append(found[strategy], recall)
        plain, rest = _split(running, found)
        if not rest:
            break
        leader = max(rest, key=lambda s: found[s].mean())
        if Difference.of(found[leader], found[plain]).half_width <= _HALF_WIDTH:
            break
        ahead = max([plain, leader], key=lambda s: found[s].mean())
        running[:] = [
            s
            for s in running
            if s in (plain, leader)
            or Difference.of(found[s], found[ahead], _DROP_CONFIDENCE).high >= 0
        ]
    last = {s: found[s] for s in running}
    return replace(choose(last), found=found)


def _split(
    running: list[Strategy], found: dict[Strategy, np.ndarray]
) -> tuple[Strategy, list[Strategy]]:
    """Return the better plain strategy, and all that are not plain."""
    plain = [s for s in running if s.complexity == 0]
    best = max(plain, key=lambda s: found[s].mean())
    return best, [s for s in running if s.complexity]


def choose(found: dict[Strategy, np.ndarray]) -> Settled:
    """From the plain code up, take what is better beyond its interval.

    Parameters
    ----------
    found : dict of Strategy to ndarray of shape (n_queries,)
        Recall of the same queries.
    """
    plain, rest = _split(list(found), found)
    chosen = plain
    for complexity in sorted({s.complexity for s in rest}):
        level = [s for s in rest if s.complexity == complexity]
        best = max(level, key=lambda s: found[s].mean())
        if Difference.of(found[best], found[chosen]).low > 0:
            chosen = best
    others = [s for s in rest if s is not chosen and s.complexity > chosen.complexity]
    rival = max(others, key=lambda s: found[s].mean(), default=None)
    return Settled(
        chosen,
        plain,
        Difference.of(found[chosen], found[plain]),
        rival,
        None if rival is None else Difference.of(found[rival], found[chosen]),
        found,
    )
