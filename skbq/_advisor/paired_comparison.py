"""Which strategy: paired comparison with the baseline code, on the same queries.

Among strategies of equal memory the simplest code is the baseline. Another is chosen
only where its recall is higher beyond the interval of the paired difference.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._quantization.strategy import Strategy
from .._utils.estimate import Estimate, mean_estimate

# Queries are drawn until a difference in recall is known that well, at this level.
_HALF_WIDTH = 0.005
_CONFIDENCE = 0.95
# A strategy that is behind the leader at this level is measured no longer.
_DROP_CONFIDENCE = 0.999
# Of strategies that are not the simplest, those within that of the best are compared.
_WITHIN = 0.05
_MOST_OTHERS = 4

Recalls = dict[Strategy, np.ndarray]
# Given a list of strategies, which it reads anew before each batch of queries, yields
# the recall of each query of a batch for each strategy of the list.
Measure = Callable[[list[Strategy]], Iterator[Recalls]]


def mean_difference(
    a: np.ndarray, b: np.ndarray, confidence: float = _CONFIDENCE
) -> Estimate:
    """Return the mean difference in recall over the same queries."""
    bounds = (-1.0, 1.0) if len(a) < 2 else (-np.inf, np.inf)
    return mean_estimate(a - b, confidence, bounds=bounds)


@dataclass(frozen=True)
class PairedComparison:
    """The strategy chosen among those of equal memory.

    Attributes
    ----------
    chosen, baseline : Strategy
        ``baseline`` is the better one of the unrotated codes with the common levels.
    gain : Estimate
        Recall of ``chosen`` less that of ``baseline``.
    rival : Strategy or None
        The best of the more complex ones, where they are not significantly better.
    rival_gain : Estimate or None
        Its recall less that of ``chosen``.
    recalls : dict of Strategy to ndarray of shape (n_queries,)
        Recall of each query without reranking, as far as it was measured.
    leave_one_out : PairedComparison or None
        The choice by leave-one-out queries, among strategies that the user's queries
        were too few to tell apart.
    """

    chosen: Strategy
    baseline: Strategy
    gain: Estimate
    rival: Strategy | None
    rival_gain: Estimate | None
    recalls: Recalls
    leave_one_out: "PairedComparison | None" = None


def finalists(recalls: dict[Strategy, float]) -> list[Strategy]:
    """Pick the simplest strategies, and the best others by recall in a screening."""
    simplest = min(s.complexity for s in recalls)
    plain = [s for s in recalls if s.complexity == simplest]
    others = [s for s in recalls if s.complexity > simplest]
    others.sort(key=lambda s: -recalls[s])
    best = max(recalls.values())
    others = [s for s in others if recalls[s] > best - _WITHIN]
    return [*plain, *others[:_MOST_OTHERS]]


def compare_groups(
    groups: Sequence[list[Strategy]],
    measure: Measure,
    measure_left_out: Measure | None = None,
) -> list[PairedComparison]:
    """Measure the strategies of each group until they are told apart.

    Parameters
    ----------
    groups : sequence of list of Strategy
        Strategies of equal memory. All groups are measured on the same queries.
    measure : callable
        Measures on the user's queries, or on rows that were held out.
    measure_left_out : callable or None
        The same on leave-one-out queries. Among strategies that the queries are too few
        to tell apart, they decide.
    """
    races = _run(groups, measure)
    compared = [replace(choose(race.results()), recalls=race.recalls) for race in races]
    if measure_left_out is None:
        return compared
    undecided = {
        number: race.level()
        for number, race in enumerate(races)
        if not race.decided and len(race.level()) > 1
    }
    for number, race in zip(
        undecided, _run(list(undecided.values()), measure_left_out), strict=True
    ):
        first, recalls = compared[number], races[number].recalls
        decision = choose(race.results())
        measured = {s: recalls[s] for s in [*race.recalls, first.baseline]}
        again = _held_against(decision.chosen, first.baseline, measured)
        compared[number] = replace(again, recalls=recalls, leave_one_out=decision)
    return compared


@dataclass
class _Race:
    """Strategies of equal memory, as far as they were measured.

    Those that are behind the leader for sure leave ``running``.
    """

    running: list[Strategy]
    recalls: Recalls

    @classmethod
    def of(cls, members: list[Strategy]) -> "_Race":
        """Start before any query."""
        return cls(list(members), {s: np.empty(0) for s in members})

    def add(self, batch: Recalls) -> None:
        """Count the recalls of more queries."""
        for s in self.running:
            self.recalls[s] = np.append(self.recalls[s], batch[s])
        if self.decided:
            return
        baseline = _best_of_simplest(self.results())
        self.running = [
            s
            for s in self.running
            if self._in_reach(s, _DROP_CONFIDENCE) or s is baseline
        ]

    @property
    def decided(self) -> bool:
        """Whether every difference to the best is known well enough."""
        leader = self._leader()
        return all(
            mean_difference(self.recalls[s], self.recalls[leader]).half_width
            <= _HALF_WIDTH
            for s in self.running
        )

    def results(self) -> Recalls:
        """Return the recalls of those that were measured to the end."""
        return {s: self.recalls[s] for s in self.running}

    def level(self) -> list[Strategy]:
        """List what may be as good as the best."""
        return [s for s in self.running if self._in_reach(s, _CONFIDENCE)]

    def _leader(self) -> Strategy:
        return max(self.running, key=lambda s: self.recalls[s].mean())

    def _in_reach(self, strategy: Strategy, confidence: float) -> bool:
        ahead = self.recalls[self._leader()]
        return mean_difference(self.recalls[strategy], ahead, confidence).high >= 0


def _run(groups: Sequence[list[Strategy]], measure: Measure) -> list[_Race]:
    """Measure batch after batch, all groups on the same queries."""
    races = [_Race.of(members) for members in groups]
    running = [s for race in races for s in race.running]
    if not running:
        return races
    open_races = races
    for batch in measure(running):
        for race in open_races:
            race.add(batch)
        open_races = [race for race in open_races if not race.decided]
        running[:] = [s for race in open_races for s in race.running]
        if not running:
            break
    return races


def _best_of_simplest(recalls: Recalls) -> Strategy:
    simplest = min(s.complexity for s in recalls)
    plain = [s for s in recalls if s.complexity == simplest]
    return max(plain, key=lambda s: recalls[s].mean())


def choose(recalls: Recalls) -> PairedComparison:
    """From the baseline code up, take what is better beyond its interval.

    Parameters
    ----------
    recalls : dict of Strategy to ndarray of shape (n_queries,)
        Recall of the same queries.
    """
    chosen = baseline = _best_of_simplest(recalls)
    rest = [s for s in recalls if s.complexity > baseline.complexity]
    for complexity in sorted({s.complexity for s in rest}):
        level = [s for s in rest if s.complexity == complexity]
        best = max(level, key=lambda s: recalls[s].mean())
        if mean_difference(recalls[best], recalls[chosen]).low > 0:
            chosen = best
    return _held_against(chosen, baseline, recalls)


def _held_against(
    chosen: Strategy, baseline: Strategy, recalls: Recalls
) -> PairedComparison:
    """Compare a choice with the baseline and with the best of what is more complex."""
    others = [s for s in recalls if s.complexity > chosen.complexity]
    rival = max(others, key=lambda s: recalls[s].mean(), default=None)
    return PairedComparison(
        chosen,
        baseline,
        mean_difference(recalls[chosen], recalls[baseline]),
        rival,
        None if rival is None else mean_difference(recalls[rival], recalls[chosen]),
        recalls,
    )
