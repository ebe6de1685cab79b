"""What an engine can do, as data, and the choice of the strategy that it runs best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal, NamedTuple

from .._utils.typing import METRICS, Metric, Query
from ._candidates import MAX_OVERSAMPLING, Candidate
from ._prepare import Prepare

Ids = Literal["rows", "numbers", "text"]
Who = Literal["codes", "you", "engine", "option"]
"""Who centers or rotates.

"codes": skbq's own codes go in, and the vectors stay as they are; "you": the vectors
are prepared before; "engine": it always does; "option": it does so if it is told to.
"""


def as_measured(strategy: Candidate) -> float | None:
    """Return the oversampling of a strategy."""
    return strategy.oversampling


@dataclass(frozen=True)
class Method:
    """One way of an engine to code vectors and to search.

    Attributes
    ----------
    name : str
    bits : tuple of int
        Bits of a coordinate that it has.
    query : {"codes", "vectors"}
        "codes" where queries are coded like rows; "vectors" where they stay floats or
        are coded finer than rows.
    center, rotate : {"codes", "you", "engine", "option"}
        Who does it; see :data:`Who`.
    metrics : tuple of str
        Metrics of a reranked search.
    reranks : bool
        Whether the engine reranks with the vectors; else the snippet does.
    oversample : callable
        Gives the oversampling that the engine needs for what was measured of a
        strategy: more of it, where codes of its own rank less exactly.
    notes : tuple of str
        What the engine does differently, for the user to know.
    """

    name: str
    bits: tuple[int, ...]
    query: Query
    center: Who
    rotate: Who
    metrics: tuple[Metric, ...] = METRICS
    reranks: bool = True
    oversample: Callable[[Candidate], float | None] = as_measured
    notes: tuple[str, ...] = ()

    def runs(self, candidate: Candidate) -> bool:
        """Whether it is this very strategy, or one that is no worse."""
        return (
            candidate.metric in self.metrics
            and candidate.bits in self.bits
            and candidate.query == self.query
            and (candidate.center or self.center != "engine")
            and (candidate.rotate or self.rotate != "engine")
            and not self._cannot_center(candidate)
            and (candidate.linear_map is None or self._takes_codes)
        )

    @property
    def _takes_codes(self) -> bool:
        """Whether codes go in that are made outside, beside vectors as they are."""
        return self.center == self.rotate == "codes"

    def nearest(self, candidate: Candidate) -> Candidate:
        """Return the strategy most like another that it runs, with no promise."""
        bits = min(self.bits, key=lambda b: (abs(b - candidate.bits), b))
        near = replace(
            candidate,
            bits=bits,
            query=self.query,
            center=candidate.center or self.center == "engine",
            rotate=candidate.rotate or self.rotate == "engine",
            words="",
            promise=None,
            n_bytes=0,
        )
        return replace(near, center=False) if self._cannot_center(near) else near

    def _cannot_center(self, candidate: Candidate) -> bool:
        """Whether vectors would have to be centered that are reranked too.

        Under inner_product only rows could be, and then the signs of queries are taken
        about another point than those of rows.
        """
        reranked_as_given = self.center == "you"
        inner_product = candidate.metric == "inner_product"
        return candidate.center and reranked_as_given and inner_product


@dataclass(frozen=True)
class Plan:
    """What an engine is asked to do, for the writer of its snippets.

    Attributes
    ----------
    strategy : Candidate
        With the oversampling that the engine needs.
    method : Method
    metric : str
        What the engine is told: "euclidean" for centered unit-norm vectors.
    prepare : Prepare
        Not fitted, unless rows are stored.
    ids : {"rows", "numbers", "text"} or None
        What the rows are called that :func:`~skbq.exports.write_for` stores: by their
        numbers, or by whole numbers or text of the user; None in an export, whose
        program stores them.
    """

    strategy: Candidate
    method: Method
    metric: Metric
    prepare: Prepare
    ids: Ids | None = None

    @property
    def d(self) -> int:
        """Number of coordinates."""
        return self.strategy.n_features

    @property
    def stored(self) -> bool:
        """Whether the rows are stored before the program runs, with skbq's codes."""
        return self.ids is not None

    @property
    def n_bits(self) -> int:
        """Number of numbers whose signs a one-bit code holds."""
        return self.strategy.n_bits

    @property
    def n_bytes(self) -> int:
        """Bytes of a one-bit code."""
        return ceil(self.n_bits / 8)

    @property
    def k(self) -> int:
        """Number of neighbors."""
        return self.strategy.n_neighbors

    @property
    def n_candidates(self) -> int:
        """Number of rows that are reranked, or given if none are."""
        return self.strategy.n_candidates

    @property
    def reranks(self) -> bool:
        """Whether candidates are rescored with the vectors."""
        return self.strategy.reranks

    def within(self, limit: float) -> tuple[int, float]:
        """Return neighbors to ask for, and oversampling, where that has a limit.

        Asking for more neighbors than needed and keeping the first makes up for it.
        """
        factor = self.strategy.oversampling or 1.0
        if factor <= limit:
            return self.k, factor
        return ceil(self.n_candidates / limit), limit


class Snippets(NamedTuple):
    """What is pasted: console statements (empty for a library), and Python.

    ``python`` only searches where the rows are stored already.
    """

    schema: str
    insert: str
    query: str
    python: str


@dataclass(frozen=True)
class Engine:
    """A product: what it can do, and who writes its settings.

    Attributes
    ----------
    name : str
    methods : tuple of Method
    write : callable
        Writes the snippets of a plan.
    checked : str
        What the settings were checked with or against, and when.
    largest : int
        Most coordinates that a vector may have.
    smallest : int
        Fewest coordinates that a vector may have.
    multiple : int
        What their number must be a multiple of.
    shell : str
        Language of the console statements, "" for a library.
    notes : tuple of str
        What a user must know, whatever the strategy.
    """

    name: str
    methods: tuple[Method, ...]
    write: Callable[[Plan], Snippets]
    checked: str
    largest: int
    smallest: int = 1
    multiple: int = 1
    shell: str = ""
    notes: tuple[str, ...] = ()


class Choice(NamedTuple):
    """The strategy that an engine runs, the way, and what is not as it was asked."""

    strategy: Candidate
    method: Method
    differences: list[str]


def choose(
    candidates: Sequence[Candidate], engine: Engine, recommended: Candidate | None
) -> Choice:
    """Choose the best strategy that an engine can run.

    The recommended one if it can; else that of least memory and then least
    oversampling among those that reach the recall asked for; else the one that comes
    nearest to that recall. Of a single strategy that the engine lacks, the most
    similar one is taken, without a promise.

    Raises
    ------
    ValueError
        If the engine lacks the metric, vectors have too many or too few coordinates,
        or it can run none of the strategies.
    """
    check_limits(candidates[0], engine)
    able = [(c, m) for c in candidates for m in engine.methods if m.runs(c)]
    for candidate, method in able:
        if candidate == recommended:
            return Choice(candidate, method, [])
    if able:
        return Choice(*min(able, key=lambda pair: _preference(pair[0])), [])
    single = candidates[0]
    if len(candidates) > 1 or single.bits not in (1, 2) or single.linear_map:
        names = sorted({c.words or f"{c.bits:g} bits" for c in candidates})
        raise ValueError(
            f"{engine.name} can run none of these strategies: {names}. It has "
            f"{_abilities(engine)}."
        )
    return _most_similar(single, engine)


def check_limits(candidate: Candidate, engine: Engine) -> None:
    """Refuse a metric that an engine lacks, and too many or too few coordinates."""
    d, metric = candidate.n_features, candidate.metric
    known = [m for m in METRICS if any(m in x.metrics for x in engine.methods)]
    if metric not in known:
        raise ValueError(
            f"{engine.name} lacks the metric {metric!r}. It has {known}. Use one of "
            "these, or another engine."
        )
    if not engine.smallest <= d <= engine.largest:
        raise ValueError(
            f"{engine.name} takes vectors of {engine.smallest:,} to "
            f"{engine.largest:,} coordinates for this. Got {d:,}. Use another engine, "
            "or reduce the vectors first, for instance with PCA."
        )
    if d % engine.multiple:
        raise ValueError(
            f"{engine.name} takes a multiple of {engine.multiple} coordinates for "
            f"this. Got {d:,}. Append {-d % engine.multiple} zeros to rows and "
            "queries, which change no distance."
        )


def _preference(candidate: Candidate) -> tuple[bool, bool, float, float]:
    """Sort the best strategy first; min() takes the first of equal ones."""
    oversampling = candidate.oversampling or 1.0
    if not candidate.reached:
        expected = candidate.promise.value if candidate.promise else 0.0
        return True, True, -expected, oversampling
    return False, oversampling > MAX_OVERSAMPLING, candidate.n_bytes, oversampling


def _abilities(engine: Engine) -> str:
    return "; ".join(
        f"{m.name}: {' or '.join(map(str, m.bits))} bits, "
        f"{'coded' if m.query == 'codes' else 'float or finely coded'} queries"
        for m in engine.methods
    )


def _most_similar(asked: Candidate, engine: Engine) -> Choice:
    def distance(method: Method) -> tuple[bool, bool, bool, bool]:
        near = method.nearest(asked)
        return (
            near.query != asked.query,
            near.bits != asked.bits,
            near.center != asked.center,
            near.rotate != asked.rotate,
        )

    fitting = [m for m in engine.methods if asked.metric in m.metrics]
    method = min(fitting, key=distance)
    near = method.nearest(asked)
    return Choice(near, method, _differences(asked, near, method))


def _differences(asked: Candidate, near: Candidate, method: Method) -> list[str]:
    said = []
    if near.bits != asked.bits:
        said.append(
            f"{asked.bits:g} bits of a coordinate: {method.name} has {near.bits:g}."
        )
    if near.query != asked.query:
        finer = near.query == "vectors"
        said.append(
            f"Symmetric search: queries of {method.name} are finer than its rows."
            if finer
            else f"Asymmetric search: {method.name} encodes queries as it does rows."
        )
    if near.center and not asked.center:
        said.append(f"Leave out centering: {method.name} always centers.")
    if asked.center and not near.center:
        said.append(
            "Center under inner_product: the vectors that it is given are reranked "
            "too, and the signs of queries would be taken about another point than "
            "those of rows. It gets the vectors as they are."
        )
    if near.rotate and not asked.rotate:
        said.append(f"Leave out rotation: {method.name} always rotates.")
    said.append(
        "Keep the recall that was promised: the strategy is another one, so measure "
        "its recall. QuantizationAdvisor.export chooses by measured recall instead."
    )
    return said


def make_plan(choice: Choice) -> Plan:
    """Say who does what.

    Centering changes cosines, but no Euclidean distance, which ranks unit-norm vectors
    alike. So an engine that reranks centered vectors is told "euclidean".
    """
    method = choice.method
    needed = method.oversample(choice.strategy)
    strategy = replace(choice.strategy, oversampling=needed)
    by_you = ("you", "codes")
    center = strategy.center and method.center in by_you
    rotate = strategy.rotate and method.rotate in by_you
    cosine = strategy.metric == "cosine"
    as_euclidean = cosine and center and method.center == "you" and method.reranks
    prepare = Prepare(
        # A threshold of zero sees only signs, which lengths do not change.
        unit=cosine and center,
        rotate=rotate,
        center=center,
        linear_map=strategy.linear_map,
    )
    metric = "euclidean" if as_euclidean else strategy.metric
    return Plan(strategy, method, metric, prepare)
