"""The strategies of a study as candidates for an engine that may not run the best."""

from typing import NamedTuple

from .._quantization.strategy import LITERATURE
from ..exports._candidates import Candidate
from .choice import MAX_OVERSAMPLING
from .results import Advice
from .strategy_search import Evaluation


class Candidates(NamedTuple):
    """All strategies that were measured, and the one that is recommended."""

    strategies: list[Candidate]
    recommended: Candidate


def export_candidates(advice: Advice) -> Candidates:
    """Return each strategy with its own oversampling and its own promise.

    The oversampling is the smallest that reaches the target for sure; where none does,
    the largest that is recommended, with what it reaches.
    """
    listed = {
        strategy: _candidate(advice, evaluation)
        for strategy, evaluation in advice.findings.evaluations.items()
        if strategy != LITERATURE
    }
    choice = advice.findings.choice
    listed[choice.strategy] = _at(
        advice, advice.chosen, choice.oversampling or 1.0, choice.reached
    )
    return Candidates(list(listed.values()), listed[choice.strategy])


def _candidate(advice: Advice, evaluation: Evaluation) -> Candidate:
    curve = evaluation.curve
    safe = curve.needed(advice.task.target).safe
    if safe <= curve.oversampling[-1]:
        return _at(advice, evaluation, safe, True)
    largest = min(float(MAX_OVERSAMPLING), float(curve.oversampling[-1]))
    return _at(advice, evaluation, largest, False)


def _at(
    advice: Advice, evaluation: Evaluation, oversampling: float, reached: bool
) -> Candidate:
    strategy, task = evaluation.strategy, advice.task
    reranks = oversampling > 1
    return Candidate(
        center=strategy.threshold == "mean",
        rotate=strategy.rotated,
        bits=strategy.bits,
        query="codes" if strategy.query == "codes" else "vectors",
        oversampling=oversampling if reranks else None,
        metric=task.metric,  # type: ignore[arg-type]
        n_features=task.n_features,
        n_neighbors=task.n_neighbors,
        words=strategy.words,
        promise=evaluation.curve.at(oversampling),
        reached=reached,
        n_bytes=advice.code_bytes(strategy) + (task.vector_bytes if reranks else 0),
    )
