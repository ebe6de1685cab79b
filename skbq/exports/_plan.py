"""What every export shares: the recommendation, the answer, what the user must do."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Export:
    """Settings of one product for one recommendation.

    Printing it shows all of it in readable form.

    Attributes
    ----------
    engine : str
        Name of the product.
    settings : str
        Text to paste: JSON (requests, by method and path), SQL or Python.
    preparation : str
        Python code that turns the float arrays ``vectors`` of shape
        (n_samples, n_features) and ``queries`` of shape (n_queries, n_features) into
        what the product must be given, or an empty string if that is the arrays as
        they are. The comment on its last line says under which names.
    applied_by_engine : list of str
        What of the recommendation the product does itself.
    applied_by_user : list of str
        What must be done outside of the product.
    cannot : list of str
        What of the recommendation the product cannot do, and what it does instead.
    checked : str
        The documentation that the settings were checked against.
    """

    engine: str
    settings: str
    preparation: str = ""
    applied_by_engine: list[str] = field(default_factory=list)
    applied_by_user: list[str] = field(default_factory=list)
    cannot: list[str] = field(default_factory=list)
    checked: str = ""

    def __str__(self) -> str:
        """Give all of it as text."""
        parts = [f"Settings for {self.engine}", self.settings]
        if self.preparation:
            parts += ["Preparation, before rows or queries are sent", self.preparation]
        for title, lines in (
            (f"Done by {self.engine}", self.applied_by_engine),
            ("To be done by you", self.applied_by_user),
            (f"What {self.engine} cannot do of it", self.cannot),
        ):
            parts += [title, "\n".join(f"- {line}" for line in lines or ["nothing"])]
        parts += ["Checked against", self.checked]
        titled = zip(parts[::2], parts[1::2], strict=True)
        return "\n\n".join(
            f"{title}\n{'-' * len(title)}\n{text}" for title, text in titled
        )


@dataclass(frozen=True)
class Recommendation:
    """A checked recommendation."""

    centre: bool
    rotate: bool
    bits: int
    query: str
    levels: tuple[float, float] | None
    oversampling: float | None
    metric: str
    n_features: int
    n_neighbors: int

    @property
    def candidates(self) -> int:
        """Number of rows that are reranked, or given if none are."""
        return ceil((self.oversampling or 1) * self.n_neighbors)

    def within(self, limit: float) -> tuple[int, float]:
        """Neighbors to ask for, and oversampling, where that has a largest value.

        Asking for more neighbors than needed and keeping the first makes up for it.
        """
        assert self.oversampling is not None
        if self.oversampling <= limit:
            return self.n_neighbors, self.oversampling
        return ceil(self.candidates / limit), limit


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not _is_bool(value) and int(value) >= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not _is_bool(value) and isfinite(float(value))


def _is_pair(value: Any) -> bool:
    is_sequence = isinstance(value, tuple | list | np.ndarray)
    return is_sequence and len(value) == 2 and all(map(_is_number, value))


_METRICS = ("cosine", "euclidean", "inner_product")
_EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "centre": ("a bool", _is_bool),
    "rotate": ("a bool", _is_bool),
    "bits": ("1 or 2", lambda value: _is_count(value) and value <= 2),
    "query": (
        "'codes' or 'vectors'",
        lambda value: isinstance(value, str) and value in ("codes", "vectors"),
    ),
    "levels": (
        "None or a pair of numbers",
        lambda value: value is None or _is_pair(value),
    ),
    "oversampling": (
        "None or a number of at least 1",
        lambda value: value is None or (_is_number(value) and value >= 1),
    ),
    "metric": (
        f"one of {list(_METRICS)}",
        lambda value: isinstance(value, str) and value in _METRICS,
    ),
    "n_features": ("an int of at least 1", _is_count),
    "n_neighbors": ("an int of at least 1", _is_count),
}


def check_recommendation(recommendation: Any) -> Recommendation:
    """Let in what is a whole and sensible recommendation."""
    if not isinstance(recommendation, Mapping):
        raise TypeError(
            f"recommendation must be a mapping with the keys {sorted(_EXPECTED)}, such "
            "as QuantizationAdvisor's recommended_. Got "
            f"{type(recommendation).__name__} instead."
        )
    missing = sorted(_EXPECTED.keys() - recommendation.keys())
    if missing:
        raise ValueError(
            f"recommendation lacks {missing}. It must have the keys "
            f"{sorted(_EXPECTED)}. Got {sorted(map(str, recommendation))} instead."
        )
    for name, (expected, is_good) in _EXPECTED.items():
        value = recommendation[name]
        if not is_good(value):
            raise ValueError(
                f"recommendation[{name!r}] must be {expected}. Got {value!r} instead."
            )
    levels, oversampling = recommendation["levels"], recommendation["oversampling"]
    return Recommendation(
        centre=bool(recommendation["centre"]),
        rotate=bool(recommendation["rotate"]),
        bits=int(recommendation["bits"]),
        query=recommendation["query"],
        levels=None if levels is None else (float(levels[0]), float(levels[1])),
        oversampling=None if oversampling is None else float(oversampling),
        metric=recommendation["metric"],
        n_features=int(recommendation["n_features"]),
        n_neighbors=int(recommendation["n_neighbors"]),
    )


@dataclass(frozen=True)
class Prepared:
    """What the user does to the vectors, and what that means for the product."""

    imports: list[str]
    body: list[str]
    metric: str
    steps: list[str]
    results: list[str]
    cannot: list[str]

    @property
    def code(self) -> str:
        """The code to run before rows or queries are sent, if any is needed."""
        if not self.body:
            return ""
        last = "# send rows, and query_rows as queries"
        return "\n".join([*self.imports, "", *self.body, last])


def prepare(
    rec: Recommendation, *, centre: bool, rotate: bool, coded_query: bool = False
) -> Prepared:
    """Write the code for those steps that the product does not take itself.

    Centring changes cosines and inner products but no Euclidean distance, and the
    product knows only the vectors it is given. Therefore under "cosine" it is given
    centred unit vectors and told "euclidean", which ranks the same; under
    "inner_product" only rows are centred, which takes the same <c, y> off the scores
    of all rows.

    ``coded_query`` says whether the product reduces the query to its signs.
    """
    if not (centre or rotate):
        return Prepared([], [], rec.metric, [], [], [])
    imports, body = _preparation(rec, centre, rotate)
    metric, results, cannot = rec.metric, [], []
    if centre and rec.metric == "cosine":
        metric = "euclidean"
        results.append(
            "The metric set here is Euclidean distance and not cosine: on unit vectors "
            "both rank alike, and centring leaves only the former unchanged. A "
            "Euclidean distance d stands for the cosine 1 - d^2 / 2."
        )
    if centre and rec.metric == "inner_product":
        results.append(
            "Scores that come back lack <centre, query>, the same for all rows: the "
            "order is right, their values are not."
        )
        if coded_query:
            cannot.append(
                "Take the signs of a query about the centre: under inner_product the "
                "query must stay uncentred for reranking, so its signs are taken about "
                "zero. Expect less recall than measured."
            )
    steps = [_preparation_in_words(rec, centre, rotate)]
    return Prepared(imports, body, metric, steps, results, cannot)


def _preparation_in_words(rec: Recommendation, centre: bool, rotate: bool) -> str:
    steps = []
    if centre and rec.metric == "cosine":
        steps.append("scale vectors and queries to unit length")
    if rotate:
        steps.append("rotate both with one seeded RandomRotation")
    if centre:
        both = "rows only" if rec.metric == "inner_product" else "both"
        steps.append(f"subtract the means of the rows from {both}")
    kept = [name for name, used in (("rotation", rotate), ("centre", centre)) if used]
    return (
        f"Prepare the vectors: {', then '.join(steps)}. The code is given. Save its "
        f"{' and '.join(kept)}: rows and queries that come later need the same."
    )


def _preparation(
    rec: Recommendation, centre: bool, rotate: bool
) -> tuple[list[str], list[str]]:
    """Give the imports and the lines that make ``rows`` and ``query_rows``."""
    unit_imports, given = unit_rows(centre and rec.metric == "cosine")
    imports = ["import numpy as np"] if centre else []
    imports += unit_imports
    imports += ["from skbq import RandomRotation"] if rotate else []
    body = [given]
    if rotate:
        body += [
            "rotation = RandomRotation(random_state=0).fit(rows)",
            "rows = rotation.transform(rows)",
            "query_rows = rotation.transform(query_rows)",
        ]
    if centre:
        body += [
            "centre = rows.mean(axis=0, dtype=np.float64)",
            "rows = (rows - centre).astype(np.float32)",
        ]
        if rec.metric != "inner_product":
            body += ["query_rows = (query_rows - centre).astype(np.float32)"]
    return imports, body


def unit_rows(unit: bool) -> tuple[list[str], str]:
    """Give the imports and the line that name ``rows`` and ``query_rows``."""
    if not unit:
        return [], "rows, query_rows = vectors, queries"
    return (
        ["from sklearn.preprocessing import normalize"],
        "rows, query_rows = normalize(vectors), normalize(queries)",
    )


def own_codes(rec: Recommendation) -> tuple[list[str], list[str]]:
    """Give the imports and the lines that fit skbq's own one-bit quantizer."""
    imports, given = unit_rows(rec.metric == "cosine")
    quantizer = f'BinaryQuantizer(threshold="{"mean" if rec.centre else "zero"}")'
    if rec.rotate:
        quantizer = f"make_pipeline(RandomRotation(random_state=0), {quantizer})"
        imports = ["from sklearn.pipeline import make_pipeline", *imports]
        imports.append("from skbq import BinaryQuantizer, RandomRotation")
    else:
        imports.append("from skbq import BinaryQuantizer")
    return ["import numpy as np", *imports], [
        given,
        f"quantizer = {quantizer}.fit(rows)",
    ]


def requests(**bodies: Any) -> str:
    """Write requests as one JSON object."""
    return json.dumps(bodies, indent=2)


def measure_again(what: str) -> str:
    """Say that the recall of the recommendation is that of a full scan."""
    return (
        "Measure recall once in place: the recommendation was measured by comparing "
        f"every query with every code; {what}"
    )


def only_one_bit(rec: Recommendation, instead: str) -> list[str]:
    """Say what becomes of a two-bit recommendation where there is only one bit."""
    if rec.bits == 1:
        return []
    return [
        f"Two bits per coordinate: {instead} The oversampling was measured with two "
        "bits and will not be enough with one: measure it for one bit."
    ]


def other_two_bits(rec: Recommendation, instead: str) -> list[str]:
    """Say how the product's own two bits differ from sign and magnitude."""
    if rec.bits == 1:
        return []
    levels = "" if rec.levels is None else f" with levels {rec.levels}"
    return [f"Two-bit codes of sign and magnitude{levels}: {instead}"]
