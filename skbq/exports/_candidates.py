"""Strategies that an engine may be asked to run, each with its own promise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, isfinite
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from .._utils.deprecation import renamed_key
from .._utils.estimate import Estimate
from .._utils.typing import METRICS, Metric, Query

# More oversampling than this is taken only if nothing else will do.
MAX_OVERSAMPLING = 20


class LinearMap(NamedTuple):
    """A map to the strongest principal axes, rotated, whose signs are the code.

    ``matrix``, (n_features, n_bits), is applied as ``X @ matrix``; ``center``,
    (n_bits,), is subtracted then.
    """

    matrix: np.ndarray
    center: np.ndarray


@dataclass(frozen=True)
class Candidate:
    """A strategy that may be exported.

    Attributes
    ----------
    center, rotate : bool
        Whether coordinates are compared with their means, and whether vectors are
        rotated at random before.
    bits : float
        Bits of each coordinate.
    query : {"codes", "vectors"}
        Whether a query is coded too (symmetric search) or stays in floats (asymmetric).
    oversampling : float or None
        Candidates to rerank for each neighbor; None: no reranking.
    metric : {"cosine", "euclidean", "inner_product"}
    n_features, n_neighbors : int
    words : str
        The strategy in words.
    promise : Estimate or None
        Recall@k to expect of it; None if it was not measured.
    reached : bool
        Whether the promise reaches the recall asked for.
    n_bytes : int
        Memory of a row, vectors for reranking included; 0 if unknown.
    linear_map : LinearMap or None
        What maps vectors to those whose signs are the code; None: as many as they are.
    """

    center: bool
    rotate: bool
    bits: float
    query: Query
    oversampling: float | None
    metric: Metric
    n_features: int
    n_neighbors: int
    words: str = ""
    promise: Estimate | None = None
    reached: bool = True
    n_bytes: int = 0
    linear_map: LinearMap | None = field(default=None, compare=False)

    @property
    def n_bits(self) -> int:
        """Number of numbers whose signs a code of one bit holds."""
        if self.linear_map is None:
            return self.n_features
        return len(self.linear_map.center)

    @property
    def n_candidates(self) -> int:
        """Number of rows that are reranked, or given if none are."""
        return ceil((self.oversampling or 1) * self.n_neighbors - 1e-9)

    @property
    def reranks(self) -> bool:
        """Whether candidates are rescored with the vectors."""
        return self.oversampling is not None

    @property
    def in_words(self) -> str:
        """The strategy in words, with its oversampling."""
        name = self.words or describe(self)
        if self.oversampling is None:
            return f"{name}, no reranking"
        return f"{name}, {self.oversampling:g} candidates for each neighbor"


def describe(candidate: Candidate) -> str:
    """Put a strategy in words."""
    parts = [f"{candidate.bits:g} bit" + ("" if candidate.bits == 1 else "s")]
    parts.append("centered" if candidate.center else "threshold zero")
    if candidate.rotate:
        parts.append("rotated")
    is_symmetric = candidate.query == "codes"
    parts.append("symmetric search" if is_symmetric else "asymmetric search")
    return ", ".join(parts)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not _is_bool(value) and int(value) >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not _is_bool(value) and isfinite(float(value))


def _is_at_least(value: object, low: float) -> bool:
    return _is_number(value) and float(value) >= low  # type: ignore[arg-type]


def _one_of(*options: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in options


_EXPECTED: dict[str, tuple[str, Callable[[object], bool]]] = {
    "center": ("a bool", _is_bool),
    "rotate": ("a bool", _is_bool),
    "bits": (
        "a number above 0, such as 1 or 2",
        lambda value: _is_number(value) and float(value) > 0,  # type: ignore[arg-type]
    ),
    "query": ("'codes' or 'vectors'", _one_of("codes", "vectors")),
    "oversampling": (
        "None or a number of at least 1",
        lambda value: value is None or _is_at_least(value, 1),
    ),
    "metric": (f"one of {list(METRICS)}", _one_of(*METRICS)),
    "n_features": ("an int of at least 1", _is_count),
    "n_neighbors": ("an int of at least 1", _is_count),
}


def check_recommendation(recommendation: object) -> Candidate:
    """Let in what is a whole and sensible recommendation.

    Raises
    ------
    TypeError
        If it is not a mapping.
    ValueError
        If a key is missing or its value is none of the expected.
    """
    if not isinstance(recommendation, Mapping):
        raise TypeError(
            f"recommendation must be a mapping with the keys {sorted(_EXPECTED)}, such "
            "as QuantizationAdvisor's recommended_. Got "
            f"{type(recommendation).__name__} instead."
        )
    given = renamed_key(recommendation, "center", "centre", "a recommendation")
    if given.get("code", "coordinates") != "coordinates":
        raise ValueError(
            f"recommendation is {given.get('strategy', 'a code of principal axes')!r}, "
            "which no other engine takes. Use QuantizationAdvisor.export(engine): it "
            "gives the best code that the engine takes."
        )
    missing = sorted(_EXPECTED.keys() - given.keys())
    if missing:
        raise ValueError(
            f"recommendation lacks {missing}. It must have the keys "
            f"{sorted(_EXPECTED)}. Got {sorted(map(str, given))} instead."
        )
    for name, (expected, is_good) in _EXPECTED.items():
        if not is_good(given[name]):
            raise ValueError(
                f"recommendation[{name!r}] must be {expected}. Got {given[name]!r} "
                "instead."
            )
    oversampling = given["oversampling"]
    return Candidate(
        center=bool(given["center"]),
        rotate=bool(given["rotate"]),
        bits=float(given["bits"]),
        query=given["query"],
        oversampling=None if oversampling is None else float(oversampling),
        metric=given["metric"],
        n_features=int(given["n_features"]),
        n_neighbors=int(given["n_neighbors"]),
    )
