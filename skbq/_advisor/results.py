"""The advice as tables and mappings."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._quantization.quantizers import TwoBitQuantizer
from .._quantization.strategy import Strategy
from .strategy_search import MAX_OVERSAMPLING, Evaluation, Findings, Kind, Task, kind_of


@dataclass(frozen=True)
class Advice:
    """All that a study found, and what it was asked for."""

    task: Task
    findings: Findings
    speeds: dict[Kind, float]
    metric: str
    n_features: int

    @property
    def chosen(self) -> Evaluation:
        """What is known of the recommended strategy."""
        return self.findings.evaluations[self.findings.chosen]

    @property
    def recall(self) -> tuple[float, float, float]:
        """Recall to expect of the recommendation, lower and upper limit."""
        return self.chosen.curve.at(self.findings.oversampling or 1.0)

    @property
    def code_bytes(self) -> int:
        """Memory that the recommendation searches for each row."""
        return self.task.code_bytes[kind_of(self.findings.chosen)]


def recommendation(advice: Advice) -> dict[str, Any]:
    """Return the recommendation, with the keys that exports take."""
    strategy = advice.findings.chosen
    vectors = 0 if advice.findings.oversampling is None else advice.task.vector_bytes
    return {
        "strategy": strategy.words,
        "centre": strategy.threshold == "mean",
        "rotate": strategy.rotated,
        "bits": strategy.bits,
        "query": strategy.query,
        "levels": _numbers(strategy),
        "oversampling": advice.findings.oversampling,
        "metric": advice.metric,
        "n_features": advice.n_features,
        "n_neighbors": advice.task.n_neighbors,
        "quantizer": strategy.make_quantizer(),
        "bytes_per_row": advice.code_bytes,
        "bytes_per_row_with_vectors": advice.code_bytes + vectors,
        "suitable": advice.findings.reached,
    }


def _numbers(strategy: Strategy) -> tuple[float, float] | None:
    """Return the levels as numbers; None for one bit."""
    if strategy.bits == 1:
        return None
    _, levels = TwoBitQuantizer(levels=strategy.levels).step_function([0.0], [1.0])
    return float(levels[2]), float(levels[3])


def results_table(advice: Advice) -> dict[str, Any]:
    """Return one array for each figure, one entry for each strategy."""
    evaluations = list(advice.findings.evaluations.values())
    strategies = [e.strategy for e in evaluations]
    compared = {s for kind in advice.findings.settled.values() for s in kind.found}
    target, task = advice.task.target, advice.task
    needed = np.array([e.curve.needed(target) for e in evaluations])
    reranked = np.array(
        [
            e.curve.at(min(safe, MAX_OVERSAMPLING))
            for e, safe in zip(evaluations, needed[:, 2], strict=True)
        ]
    )
    fidelity = np.array([e.fidelity for e in evaluations])
    recall = np.array([e.recall for e in evaluations])
    single = np.array([e.curve.at(1.0) for e in evaluations])
    code_bytes = np.array([task.code_bytes[kind_of(s)] for s in strategies])
    return {
        "strategy": np.array([s.words for s in strategies], dtype=object),
        "params": [_params(s, advice.metric) for s in strategies],
        "bits": np.array([s.bits for s in strategies]),
        "query": np.array([s.query for s in strategies], dtype=object),
        "rotate": np.array([s.rotated for s in strategies]),
        "threshold": np.array([s.threshold for s in strategies], dtype=object),
        "levels": _objects([_numbers(s) for s in strategies]),
        "predicted_fidelity": np.array([e.predicted_fidelity for e in evaluations]),
        "measured_fidelity": fidelity[:, 0],
        "measured_fidelity_interval": fidelity[:, 1:],
        "measured_recall": recall[:, 0],
        "measured_recall_interval": recall[:, 1:],
        "measured_rows": np.array([e.n_rows for e in evaluations]),
        "measured_queries": np.array([len(e.found) for e in evaluations]),
        "compared": np.array([s in compared for s in strategies]),
        "predicted_recall": single[:, 0],
        "predicted_recall_interval": single[:, 1:],
        "oversampling": needed[:, 2],
        "oversampling_interval": needed[:, [0, 2]],
        "recall_reranked": reranked[:, 0],
        "recall_reranked_interval": reranked[:, 1:],
        "bytes_per_row": code_bytes,
        "bytes_per_row_with_vectors": code_bytes + task.vector_bytes,
        "relative_speed": np.array([advice.speeds[kind_of(s)] for s in strategies]),
    }


def _params(strategy: Strategy, metric: str) -> dict[str, Any]:
    return {
        "quantizer": strategy.make_quantizer(),
        "query": strategy.query,
        "metric": metric,
    }


def _objects(values: list[Any]) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out
