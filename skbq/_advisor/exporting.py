"""The strategies of a study as candidates for an engine that may not run the best."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from .._quantization.strategy import LITERATURE, Strategy
from ..exports._candidates import Candidate, LinearMap
from .choice import MAX_OVERSAMPLING, Choice, choose_option
from .results import Advice
from .strategy_search import Evaluation


class Candidates(NamedTuple):
    """Strategies that engines may take, and the best of them; None: there is none."""

    strategies: list[Candidate]
    recommended: Candidate | None


def export_candidates(advice: Advice) -> Candidates:
    """Return each strategy with its own oversampling and its own promise.

    The oversampling is the smallest that reaches the target for sure; where none does,
    the largest that is recommended, with what it reaches. A linear map is offered where
    it saves memory at no cost: where the baseline code of one bit needs no fewer
    candidates.
    """
    evaluations = advice.findings.evaluations
    listed = {
        strategy: _candidate(advice, evaluation)
        for strategy, evaluation in evaluations.items()
        if strategy != LITERATURE and not strategy.is_pca
    }
    plain = [
        candidate
        for strategy, candidate in listed.items()
        if (strategy.bits, strategy.query) == (1, "codes")
    ]
    for strategy, quantizer in advice.linear_maps.items():
        candidate = _candidate(advice, evaluations[strategy])
        if all(_is_no_worse(candidate, other) for other in plain):
            matrix = quantizer.components_.T
            center = quantizer.mean_ @ matrix
            mapped = LinearMap(matrix, center)
            listed[strategy] = replace(candidate, linear_map=mapped)
    choice = _choice_for_engines(advice, listed)
    if choice is None:
        return Candidates([], None)
    recommended = replace(
        _at(
            advice,
            evaluations[choice.strategy],
            choice.oversampling or 1.0,
            choice.reached,
        ),
        linear_map=listed[choice.strategy].linear_map,
    )
    listed[choice.strategy] = recommended
    return Candidates(list(listed.values()), recommended)


def _choice_for_engines(
    advice: Advice, listed: Mapping[Strategy, Candidate]
) -> Choice | None:
    """Choose as for skbq among what engines may take, as far as it was compared."""
    findings = advice.findings
    if findings.choice.strategy in listed:
        return findings.choice
    chosen = [comparison.chosen for comparison in findings.comparisons.values()]
    curves = {s: findings.evaluations[s].curve for s in chosen if s in listed}
    if not curves:
        return None
    n_bytes = {s: advice.code_bytes(s) for s in curves}
    return choose_option(curves, n_bytes, advice.task)


def _is_no_worse(candidate: Candidate, other: Candidate) -> bool:
    """Whether a candidate reaches the target with no more reranking than another."""
    if not other.reached:
        return candidate.reached or (
            candidate.promise is not None
            and other.promise is not None
            and candidate.promise.value >= other.promise.value
        )
    return candidate.reached and candidate.n_candidates <= other.n_candidates


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
        rotate=strategy.rotated or strategy.is_pca,
        bits=1 if strategy.is_linear_map else strategy.bits,
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
