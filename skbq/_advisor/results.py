"""The advice as tables and mappings."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._quantization.pca import PCAQuantizer
from .._quantization.quantizers import TwoBitQuantizer
from .._quantization.strategy import Strategy
from .._utils.estimate import Estimate
from .bytes_curve import BytesCurve, BytesPoint, bytes_curve
from .candidates import Kind, bytes_per_row, kind_of
from .choice import MAX_OVERSAMPLING, Task
from .list_advice import ListAdvice
from .recall_curve import Curve
from .speed import RelativeSpeed
from .strategy_search import Evaluation, Findings

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Advice:
    """All that was found, and what was asked for.

    Attributes
    ----------
    task : Task
    findings : Findings
    speeds : dict of Kind to RelativeSpeed
    supported_rows : int
        The largest number of rows that recall can be predicted for.
    linear_maps : mapping of Strategy to PCAQuantizer
        The fitted quantizers of one bit for each of the strongest axes.
    lists : ListAdvice
        Whether inverted lists of the recommended codes pay.
    """

    task: Task
    findings: Findings
    speeds: dict[Kind, RelativeSpeed]
    supported_rows: int
    linear_maps: Mapping[Strategy, PCAQuantizer]
    lists: ListAdvice

    @property
    def chosen(self) -> Evaluation:
        """What is known of the recommended strategy."""
        return self.findings.evaluations[self.findings.choice.strategy]

    @property
    def recall(self) -> Estimate:
        """Recall to expect of the recommendation."""
        return self.chosen.curve.at(self.findings.choice.oversampling or 1.0)

    def code_bytes(self, strategy: Strategy) -> int:
        """Return the memory that a strategy searches for each row."""
        return bytes_per_row(strategy, self.task.n_features, self.task.metric)

    def speed(self, strategy: Strategy) -> RelativeSpeed:
        """Return the speed of a strategy without reranking."""
        return self.speeds[kind_of(strategy)]


@dataclass(frozen=True)
class Reranked:
    """A strategy with the oversampling that is sure to reach the target.

    Attributes
    ----------
    oversampling : float
        Infinite where none is.
    hopeful : float
        The smallest that may reach it.
    recall : Estimate
        With that oversampling, or the largest that is recommended.
    """

    oversampling: float
    hopeful: float
    recall: Estimate

    @classmethod
    def of(cls, curve: Curve, target: float) -> "Reranked":
        """Read a recall curve at the target."""
        needed = curve.needed(target)
        recall = curve.at(min(needed.safe, MAX_OVERSAMPLING))
        return cls(needed.safe, needed.hopeful, recall)


class Recommended(dict[str, Any]):
    """A recommendation, which still answers to a key of before version 0.2."""

    def __missing__(self, key: str) -> object:
        if key != "centre":
            raise KeyError(key)
        warnings.warn(
            "recommended_['centre'] is deprecated and will go in version 0.3: use "
            "recommended_['center'].",
            FutureWarning,
            stacklevel=2,
        )
        return self["center"]


def recommendation(advice: Advice) -> Recommended:
    """Return the recommendation, with the keys that exports take."""
    choice = advice.findings.choice
    strategy, oversampling = choice.strategy, choice.oversampling
    code_bytes = advice.code_bytes(strategy)
    vectors = 0 if oversampling is None else advice.task.vector_bytes
    return Recommended(
        strategy=strategy.words,
        center=strategy.threshold == "mean",
        rotate=strategy.rotated or strategy.is_pca,
        rotation=strategy.rotation if strategy.rotated or strategy.is_pca else None,
        code="principal axes" if strategy.is_pca else "coordinates",
        bits=strategy.bits,
        query=strategy.query,
        levels=_numbers(strategy),
        oversampling=oversampling,
        metric=advice.task.metric,
        n_features=advice.task.n_features,
        n_neighbors=advice.task.n_neighbors,
        quantizer=strategy.make_quantizer(),
        bytes_per_row=code_bytes,
        bytes_per_row_with_vectors=code_bytes + vectors,
        suitable=choice.reached,
    )


def _numbers(strategy: Strategy) -> tuple[float, float] | None:
    """Return the levels as numbers; None for one bit and for principal axes."""
    if strategy.bits == 1 or strategy.is_pca:
        return None
    _, levels = TwoBitQuantizer(levels=strategy.levels).step_function([0.0], [1.0])
    return float(levels[2]), float(levels[3])


class ResultsTable(dict[str, Any]):
    """Columns of equal length, ready for ``pandas.DataFrame``.

    Limits of an interval were one column of two numbers before version 0.2; these keys
    are still answered.
    """

    def to_frame(self) -> "pandas.DataFrame":
        """Return the table as a DataFrame, a row for each strategy.

        Raises
        ------
        ImportError
            If pandas is missing.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError(
                "results_.to_frame() needs pandas: pip install pandas. Without it, "
                "results_ is a dict of columns, and results_.rows() lists the rows."
            ) from None
        return pandas.DataFrame(self)

    def rows(self) -> list[dict[str, Any]]:
        """Return the table without pandas: a dict for each strategy."""
        return [
            {name: column[row] for name, column in self.items()}
            for row in range(len(self["strategy"]))
        ]

    def __missing__(self, key: str) -> np.ndarray:
        name = key.removesuffix("_interval")
        if name == key or f"{name}_low" not in self:
            raise KeyError(key)
        warnings.warn(
            f"results_[{key!r}] is deprecated and will go in version 0.3: use "
            f"results_['{name}_low'] and results_['{name}_high'].",
            FutureWarning,
            stacklevel=2,
        )
        return np.stack([self[f"{name}_low"], self[f"{name}_high"]], axis=1)


def results_table(advice: Advice) -> ResultsTable:
    """Return one array for each figure, one entry for each strategy."""
    evaluations = list(advice.findings.evaluations.values())
    strategies = [e.strategy for e in evaluations]
    reranked = [Reranked.of(e.curve, advice.task.target) for e in evaluations]
    code_bytes = np.array([advice.code_bytes(s) for s in strategies])
    speeds = [advice.speed(s) for s in strategies]
    return ResultsTable(
        {
            "strategy": _objects([s.words for s in strategies]),
            "params": [_params(s, advice.task.metric) for s in strategies],
            "bits": np.array([s.bits for s in strategies]),
            "query": _objects([s.query for s in strategies]),
            "rotate": np.array([s.rotated or s.is_pca for s in strategies]),
            "threshold": _objects([s.threshold for s in strategies]),
            "levels": _objects([_numbers(s) for s in strategies]),
            "predicted_fidelity": np.array([e.predicted_fidelity for e in evaluations]),
            **_columns("measured_fidelity", [e.fidelity for e in evaluations]),
            **_columns("measured_recall", [e.recall for e in evaluations]),
            "measured_rows": np.array([e.n_rows for e in evaluations]),
            "measured_queries": np.array([e.n_queries for e in evaluations]),
            "compared": np.array([e.compared for e in evaluations]),
            **_columns("predicted_recall", [e.curve.at(1.0) for e in evaluations]),
            "predicted_rows": np.array([e.curve.n_rows for e in evaluations]),
            "oversampling": np.array([r.oversampling for r in reranked]),
            "oversampling_low": np.array([r.hopeful for r in reranked]),
            "oversampling_high": np.array([r.oversampling for r in reranked]),
            **_columns("recall_reranked", [r.recall for r in reranked]),
            "bytes_per_row": code_bytes,
            "bytes_per_row_with_vectors": code_bytes + advice.task.vector_bytes,
            "relative_speed": np.array([speed.median for speed in speeds]),
            "relative_speed_low": np.array([speed.low for speed in speeds]),
            "relative_speed_high": np.array([speed.high for speed in speeds]),
        }
    )


def recall_over_bytes(advice: Advice) -> BytesCurve:
    """Return what each amount of memory finds, as measured on the same rows."""
    chosen = advice.chosen.curve
    evaluations = [
        evaluation
        for comparison in advice.findings.comparisons.values()
        if (evaluation := advice.findings.evaluations[comparison.chosen]).curve.n_rows
        == chosen.n_rows
    ]
    return bytes_curve(
        [_point(evaluation, advice) for evaluation in evaluations],
        target_recall=advice.task.target,
        n_neighbors=advice.task.n_neighbors,
        n_rows=chosen.n_rows,
        n_queries=chosen.n_queries,
        is_measured=not chosen.depth_ratio,
    )


def _point(evaluation: Evaluation, advice: Advice) -> BytesPoint:
    strategy, curve = evaluation.strategy, evaluation.curve
    reranked = Reranked.of(curve, advice.task.target)
    return BytesPoint(
        advice.code_bytes(strategy),
        strategy.words,
        strategy.query,
        _family(strategy),
        curve.at(1.0),
        reranked.oversampling,
        reranked.recall,
    )


def _family(strategy: Strategy) -> str:
    if strategy.is_linear_map:
        return "PCA, 1 bit"
    if strategy.is_pca:
        return "PCA"
    return "1 bit" if strategy.bits == 1 else "2 bits"


def _columns(name: str, estimates: list[Estimate]) -> dict[str, np.ndarray]:
    return {
        name: np.array([e.value for e in estimates]),
        f"{name}_low": np.array([e.low for e in estimates]),
        f"{name}_high": np.array([e.high for e in estimates]),
    }


def _params(strategy: Strategy, metric: str) -> dict[str, object]:
    return {
        "quantizer": strategy.make_quantizer(),
        "query": strategy.query,
        "metric": metric,
    }


def _objects(values: Sequence[object]) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out
