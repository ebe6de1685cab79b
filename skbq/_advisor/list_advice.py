"""Whether inverted lists would pay for these vectors, and from how many rows on."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._neighbors.calibration import (
    CALIBRATION_ROWS,
    FEWEST_NEIGHBORS,
    MOST_SHARE,
    FoundRows,
    measure_curve,
)
from .._neighbors.inverted_lists import choose_n_lists, learn_lists
from .._quantization.strategy import Strategy
from .._utils.estimate import Estimate
from .._utils.parallel import fixed_blocks
from .._utils.params import check_option, check_real
from .bench import Bench

# Of fewer rows brute force takes less than a call costs, and lists of a quarter of them
# would be too few to tell a trend by.
FEWEST_ROWS = 2000
# The trend is told by a sample, and by such a part of it.
_PART = 4
# Any: the sample itself is drawn at random.
_SEED = 0
# Exact distances that are computed at a time: 64 MB.
_PAIRS = 2**23
# Numbers of rows at which lists are held against brute force: so many for each factor
# of ten, up to so many.
_PER_DECADE = 40
_MOST_ROWS = 10**9


class ListCost(NamedTuple):
    """What a query in lists costs, as brute force over so many rows would.

    Attributes
    ----------
    fixed_rows : float
        Whatever it compares: ranking lists, reading tables once for each.
    per_row : float
        For each row in the lists that it probes.
    """

    fixed_rows: float
    per_row: float


# Fitted by benchmarks/break_even.py, by kind of query: one at a time, and in batches.
# That was at 200,000 rows; fewer rows have fewer lists to rank, which costs a little
# less, so that lists pay from somewhat fewer rows than these say.
COSTS = {
    "codes": {"single": ListCost(18_500, 1.5), "batch": ListCost(40_700, 3.6)},
    "vectors": {"single": ListCost(9_200, 1.4), "batch": ListCost(10_400, 1.8)},
}


KINDS = ("single", "batch")


@dataclass(frozen=True)
class ListAdvice:
    """How much of the rows lists would compare, and from where on they pay.

    Attributes
    ----------
    n_rows : int
        Rows of the sample that this was measured on.
    expected_rows : int
        Rows that will be searched.
    target_recall : float
        Share of the nearest rows that the lists probed are to hold.
    n_queries : int
        Queries that it was measured with; 0: the sample is too small to tell.
    own_queries : bool
        Whether they are the user's own, or sampled rows, each left out.
    share : float
        Share of the sample in the lists that are sure to hold the target: at the lower
        limit of its 95% interval.
    recall : Estimate or None
        Share of the nearest rows in these lists; None: the sample is too small.
    part_rows : int
        Rows of a part of the sample.
    part_share : float
        The same share of them: rows that are fewer are parted less.
    query : {"codes", "vectors"}
        Symmetric or asymmetric search.
    """

    n_rows: int
    expected_rows: int
    target_recall: float
    n_queries: int
    own_queries: bool
    share: float
    recall: Estimate | None
    part_rows: int
    part_share: float
    query: str

    @property
    def is_known(self) -> bool:
        """Whether the sample has rows enough to tell."""
        return self.n_queries > 0

    @property
    def separates(self) -> bool:
        """Whether lists separate the sampled rows."""
        return self.is_known and self.share <= MOST_SHARE

    def share_at(self, n_rows: float) -> float:
        """Return the share of so many rows that is compared, by the sample's trend.

        Beyond the sample the share is taken to fall with the power of the number of
        rows by which it falls from a quarter of the sample to the sample, if it does.

        Parameters
        ----------
        n_rows : float, at least 1
        """
        n_rows = check_real(n_rows, "n_rows", "share_at", low=1)
        ratio = self.part_share / self.share
        power = np.log(max(ratio, 1.0)) / np.log(self.n_rows / self.part_rows)
        return float(min(1.0, self.share * (self.n_rows / n_rows) ** power))

    def pays_from(self, kind: str) -> int | None:
        """Return the number of rows from which lists are faster; None: not known.

        Parameters
        ----------
        kind : {"single", "batch"}
            Queries one at a time, or hundreds in a call.
        """
        check_option(kind, "kind", "pays_from", KINDS)
        if not self.separates:
            return None
        cost = COSTS[self.query][kind]
        decades = np.log10(_MOST_ROWS) - 3
        for n in np.geomspace(1000, _MOST_ROWS, round(_PER_DECADE * decades) + 1):
            compared = cost.per_row * self.share_at(n) * n
            if cost.fixed_rows + compared < n:
                return _round(n)
        return None

    def to_dict(self) -> dict[str, object]:
        """Return the figures, for JSON."""
        known, recall = self.is_known, self.recall
        return {
            "sampled_rows": self.n_rows,
            "queries": self.n_queries,
            "own_queries": self.own_queries,
            "target_recall": self.target_recall,
            "separated": self.separates if known else None,
            "share_compared": self.share if known else None,
            "recall": None if recall is None else recall.value,
            "recall_interval": None if recall is None else list(recall.interval),
            "expected_rows": self.expected_rows,
            "rows_compared": self.rows_compared,
            "pays_from_single": self.pays_from("single"),
            "pays_from_batch": self.pays_from("batch"),
        }

    @property
    def rows_compared(self) -> int | None:
        """Rows that a query would compare among those expected; None: not known."""
        if not self.is_known:
            return None
        return round(self.share_at(self.expected_rows) * self.expected_rows)

    def sentences(self) -> list[str]:
        """Say it in words."""
        if not self.is_known:
            return [
                f"{self.n_rows:,} sampled rows are too few to tell from how many rows "
                f"inverted lists pay ({FEWEST_ROWS:,} are needed). Brute force is fast "
                "on so few."
            ]
        how = (
            f"{self.n_queries:,} queries of yours"
            if self.own_queries
            else f"{self.n_queries:,} of them as queries, each left out"
        )
        measured = f"measured on {self.n_rows:,} sampled rows, with {how}"
        target = f"{100 * self.target_recall:.3g}%"
        if not self.separates:
            return [
                f"Lists do not separate your rows: to find {target} you must compare "
                f"{self.share:.0%} of them ({measured}). Use algorithm='brute'."
            ]
        return [self._say_share(target, measured), self._say_pays()]

    def _say_share(self, target: str, measured: str) -> str:
        line = (
            f"A query that probes inverted lists (algorithm='ivf') compares "
            f"{_percent(self.share)} of the rows to find {target} of the nearest ones "
            f"({measured}; {self.recall:.3f} of them are in these lists). A quarter of "
            f"the sample takes {_percent(self.part_share)}."
        )
        if self.expected_rows <= self.n_rows:
            return line
        most = round(self.share * self.expected_rows)
        return (
            f"{line} Of {self.expected_rows:,} rows that is {most:,} at most; "
            f"{self.rows_compared:,} if the share goes on falling as from the quarter "
            "to the sample."
        )

    def _say_pays(self) -> str:
        ways = {"single": "where queries come one by one", "batch": "in batches"}
        pays = {kind: n for kind in ways if (n := self.pays_from(kind)) is not None}
        if not pays:
            return (
                "That is too much for lists to be faster at any number of rows: use "
                "algorithm='brute'."
            )
        told = ", and ".join(
            f"from about {n:,} rows on {ways[kind]}" for kind, n in pays.items()
        )
        line = f"Lists are faster than brute force {told}"
        for kind in ways.keys() - pays.keys():
            line += f", but not {ways[kind]}"
        line += ", by the costs that benchmarks/break_even.py measured"
        if max(pays.values()) > self.n_rows:
            line += ", and by the trend of the share beyond the sample"
        if self.expected_rows < min(pays.values()):
            return f"{line}. For {self.expected_rows:,} rows use algorithm='brute'."
        return f"{line}: algorithm='ivf' pays for your {self.expected_rows:,}."


def _round(n: float) -> int:
    """Keep two digits."""
    size = 10 ** (int(np.log10(n)) - 1)
    return round(n / size) * size


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"


def advise_lists(
    bench: Bench,
    strategy: Strategy,
    target_recall: float,
    expected_rows: int,
    *,
    own_queries: bool,
) -> ListAdvice:
    """Put the sampled rows into lists, and measure what share must be compared.

    Parameters
    ----------
    bench : Bench
        Rows in random order, and queries.
    strategy : Strategy
        Whose codes the lists are of.
    target_recall : float
    expected_rows : int
    own_queries : bool
        Whether the queries of the bench are the user's own, which are then asked; else
        rows are, each left out.
    """
    n, part = len(bench.rows), len(bench.rows) // _PART
    whole = of_part = _Probed(0, 1.0, None)
    if n >= FEWEST_ROWS:
        whole, of_part = (
            _probe(bench, strategy, n_rows, target_recall, own=not own_queries)
            for n_rows in (n, part)
        )
    return ListAdvice(
        n_rows=n,
        expected_rows=expected_rows,
        target_recall=target_recall,
        n_queries=whole.n_queries,
        own_queries=own_queries,
        share=whole.share,
        recall=whole.recall,
        part_rows=part,
        part_share=of_part.share,
        query=strategy.query,
    )


class _Probed(NamedTuple):
    """Number of queries, the share of the rows that they compare, and its recall."""

    n_queries: int
    share: float
    recall: Estimate | None


def _probe(
    bench: Bench,
    strategy: Strategy,
    n_rows: int,
    target_recall: float,
    *,
    own: bool,
) -> _Probed:
    """Put the first rows into lists; ``own``: rows are the queries, each left out."""
    index = bench.rows.index(strategy)
    codes = index.codes_[:n_rows]
    random_state = np.random.RandomState(_SEED)
    asked = bench.first(n_rows)
    asked = asked.leaving_one_out() if own else asked
    queries = slice(0, min(CALIBRATION_ROWS, len(asked.queries)))
    # The first rows are the queries where rows are: lists learn from the others.
    n_first = min(CALIBRATION_ROWS, n_rows)
    others = n_first + random_state.permutation(n_rows - n_first)
    drawn = np.concatenate([others, np.arange(n_first)])
    n_lists = choose_n_lists(n_rows)
    lists = learn_lists(codes, n_lists, random_state, n_jobs=-1, order=drawn)
    seen = (bench.rows if own else bench.queries).seen_by(strategy)[queries]
    order, _ = index._search.rank(seen, lists, len(lists))
    k = max(bench.n_neighbors, FEWEST_NEIGHBORS)
    nearest = FoundRows.nearest(_nearest_rows(asked, queries, k))
    curve = measure_curve(lists, order, nearest)
    point = curve.find(target_recall)
    return _Probed(queries.stop, float(curve.share[point]), curve.recall[point])


def _nearest_rows(bench: Bench, queries: slice, k: int) -> np.ndarray:
    """Return the numbers of the k nearest rows of queries, by exact distance."""
    rows = []
    for some in fixed_blocks(queries.stop, max(1, _PAIRS // len(bench.rows))):
        near = bench.distances(some, slice(0, len(bench.rows)))
        rows.append(np.argpartition(near, k - 1, axis=1)[:, :k])
    return np.concatenate(rows).astype(np.int64)
