"""The advice as HTML: verdict, pictures, table, settings to copy, what was assumed."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn import config_context

from .._html.charts import Axis, Chart, Guide, Series
from .._html.page import Code, Fact, Table
from .._neighbors.index import BinaryNeighbors
from .._profiling.html_report import profile_values
from .._profiling.profiler import HeterogeneityProfiler
from .._quantization.strategy import Strategy
from .._utils.estimate import WIDEST, Estimate
from ..exports import ENGINES, Export, export_best
from .exporting import export_candidates
from .report import (
    everything,
    everything_title,
    headline,
    ladder,
    n_candidates,
    reasons,
    table_header,
    table_title,
)
from .results import Advice
from .strategy_search import Evaluation

# Oversamplings that the words of a chart name.
_SAID = (1.0, 2.0, 4.0, 10.0)


class EngineSettings(NamedTuple):
    """What an engine runs of the advice, or why it runs nothing of it."""

    engine: str
    export: Export | None
    reason: str
    is_open: bool


def advice_values(
    advice: Advice,
    profiler: HeterogeneityProfiler,
    warnings: list[str],
    index: BinaryNeighbors,
    engines: Sequence[EngineSettings] = (),
) -> dict[str, object]:
    """Return what the template ``advice.html`` shows.

    Parameters
    ----------
    advice : Advice
    profiler : HeterogeneityProfiler
        Of the sampled rows.
    warnings : list of str
    index : BinaryNeighbors
        The recommended one, unfitted.
    engines : sequence of EngineSettings, default=()
        A page has them, a notebook does not.
    """
    return {
        "verdict": headline(advice)[0],
        "is_good": advice.findings.choice.reached,
        "advice_figures": _figures(advice),
        "warnings": warnings,
        "advice_charts": _charts(advice),
        "reasons": reasons(advice),
        "table_title": table_title(advice),
        "ladder": _table(table_header(advice), ladder(advice), advice),
        "everything_title": everything_title(advice),
        "everything": _table(
            [*table_header(advice), "rows", "queries"], everything(advice), advice
        ),
        "python": Code("In Python", python_code(index)),
        "engines": engines,
        "assumed": _assumptions(advice),
        **profile_values(profiler),
    }


def engine_settings(advice: Advice, engine: str | None = None) -> list[EngineSettings]:
    """Return what each engine runs of the advice; ``engine`` is shown at once."""
    found = export_candidates(advice)
    settings = []
    for name in ENGINES:
        answer, reason = None, ""
        try:
            answer = export_best(found.strategies, name, found.recommended)
        except ValueError as error:
            reason = str(error)
        settings.append(EngineSettings(name, answer, reason, name == engine))
    return settings


def python_code(index: BinaryNeighbors) -> str:
    """Return a program that builds an index and searches it."""
    with config_context(print_changed_only=True):
        made = repr(index)
    ours = sorted(set(re.findall(r"\b([A-Z]\w+)\(", made)) - {"Pipeline"})
    imports = [f"from skbq import {', '.join(ours)}"]
    if "Pipeline(" in made:
        imports.insert(0, "from sklearn.pipeline import Pipeline")
    return "\n".join(
        [
            *imports,
            "",
            f"index = {made}",
            "index.fit(X)  # your vectors, (n_samples, n_features)",
            "distances, rows = index.kneighbors(queries)",
        ]
    )


def _table(header: Sequence[str], rows: list[list[str]], advice: Advice) -> Table:
    words = advice.findings.choice.strategy.words
    marked = [number for number, row in enumerate(rows) if row[0] == words]
    return Table(header, rows, marked[0] if marked else None)


def _figures(advice: Advice) -> list[Fact]:
    choice, task = advice.findings.choice, advice.task
    code_bytes = advice.code_bytes(choice.strategy)
    reranking = Fact("reranking", "none", "the codes alone are enough")
    if choice.oversampling is not None:
        reranking = Fact(
            "reranking",
            f"{n_candidates(advice)} candidates",
            f"of each query, for k = {task.n_neighbors}: oversampling "
            f"{choice.oversampling:g}; the vectors may stay on a disk",
        )
    return [
        _recall_fact(advice),
        Fact(
            "bytes per vector",
            f"{code_bytes:,}",
            f"{task.vector_bytes / code_bytes:.0f} times less than the "
            f"{task.vector_bytes:,} of the vector",
        ),
        reranking,
        Fact(
            "speed",
            f"{advice.speed(choice.strategy)}",
            "the queries per second of exact search here, without reranking",
        ),
    ]


def _recall_fact(advice: Advice) -> Fact:
    curve, recall = advice.chosen.curve, advice.recall
    how = "predicted" if curve.depth_ratio else "measured"
    limits = f"{recall.low:.3f} to {recall.high:.3f}"
    value = f"{recall.value:.3f}"
    if recall.high - recall.low > WIDEST:
        value, limits = "not known", f"{recall.low:.2f} to {recall.high:.2f}"
    return Fact(
        f"recall@{advice.task.n_neighbors}",
        value,
        f"{limits} at {recall.confidence:.0%}, {how} for {curve.n_rows:,} rows on "
        f"{curve.n_queries:,} queries",
    )


def _assumptions(advice: Advice) -> list[str]:
    task, curve = advice.task, advice.chosen.curve
    own = "your own" if task.own_queries else "rows that were held out"
    measured = "predicted from a sample" if curve.depth_ratio else "measured"
    return [
        f"Near means near by {task.metric.replace('_', ' ')}. The {task.n_neighbors} "
        f"nearest count, and recall@{task.n_neighbors} of {task.target:g} is to be "
        "reached, after reranking where that is needed.",
        f"{task.expected_rows:,} rows are searched; recall is {measured} for "
        f"{curve.n_rows:,}.",
        f"Queries are {own}: {curve.n_queries:,} of them.",
        f"A vector has {task.n_features:,} coordinates and {task.vector_bytes:,} "
        "bytes. Where candidates are reranked, vectors are kept, on a disk if you "
        "like: their bytes are not counted above.",
        "Rows to come are like these. check_drift tests that.",
        "Speed is that of this computer, with nothing else to do.",
    ]


# Pictures.


def _charts(advice: Advice) -> list[Chart]:
    shown = [e for e in _compared(advice) if not e.curve.says_nothing]
    if not shown:
        return []
    return [_oversampling_chart(shown, advice), _bytes_chart(shown, advice)]


def _compared(advice: Advice) -> list[Evaluation]:
    """Return the strategies in question on the rows that recall is told for."""
    findings, n_rows = advice.findings, advice.chosen.curve.n_rows
    chosen = [findings.comparisons[kind].chosen for kind in findings.comparisons]
    chosen.sort(key=advice.code_bytes)
    evaluations = [findings.evaluations[strategy] for strategy in chosen]
    return [e for e in evaluations if e.curve.n_rows == n_rows]


class _Look(NamedTuple):
    """How a strategy is drawn: color by its kind of code, dashes by its queries."""

    color: int
    is_light: bool


def _look(strategy: Strategy) -> _Look:
    color = 2 if strategy.is_pca else int(strategy.bits) - 1
    return _Look(color, strategy.query == "codes")


def _name(evaluation: Evaluation, advice: Advice) -> str:
    strategy = evaluation.strategy
    return f"{strategy.words}: {advice.code_bytes(strategy):,} bytes"


def _oversampling_chart(shown: list[Evaluation], advice: Advice) -> Chart:
    task, chosen = advice.task, advice.chosen
    series = []
    for evaluation in shown:
        curve, is_chosen = evaluation.curve, evaluation is chosen
        look = _look(evaluation.strategy)
        series.append(
            Series(
                _name(evaluation, advice),
                curve.oversampling,
                curve.recall,
                curve.low if is_chosen else None,
                curve.high if is_chosen else None,
                look.color,
                look.is_light,
                is_marked=is_chosen,
            )
        )
    recall = f"recall@{task.n_neighbors}"
    lows = [float(e.curve.low[0]) for e in shown]
    most = max(float(e.curve.oversampling[-1]) for e in shown)
    return Chart(
        "Recall against oversampling",
        "Candidates that are read and reranked for each neighbor. Bold: the "
        f"recommended code, with its interval at {chosen.curve.at(1.0).confidence:.0%}."
        " Dashed: queries are coded too.",
        f"Recall by oversampling on {chosen.curve.n_rows:,} rows; the target is "
        f"{task.target:g}. " + " ".join(_say_curve(e, advice) for e in shown),
        Axis("oversampling", 1.0, max(most, 2.0), is_log=True),
        _recall_axis(recall, [*lows, task.target]),
        series,
        [Guide(task.target, f"target {task.target:g}")],
    )


def _say_curve(evaluation: Evaluation, advice: Advice) -> str:
    curve = evaluation.curve
    values = [
        f"{curve.at(x).value:.3f} at {x:g}"
        for x in _SAID
        if x <= curve.oversampling[-1] + 1e-9
    ]
    return f"{_name(evaluation, advice)}: {', '.join(values)}."


def _bytes_chart(shown: list[Evaluation], advice: Advice) -> Chart:
    task = advice.task
    alone = [e.curve.at(1.0) for e in shown]
    n_bytes = [advice.code_bytes(e.strategy) for e in shown]
    series = [
        _point(evaluation, recall, size, is_chosen=evaluation is advice.chosen)
        for evaluation, recall, size in zip(shown, alone, n_bytes, strict=True)
    ]
    return Chart(
        "Recall against bytes",
        "Without reranking, with intervals. The ring is around the recommended code. "
        "Hollow: queries are coded too.",
        f"Recall@{task.n_neighbors} without reranking by bytes per vector. "
        + " ".join(
            f"{_name(e, advice)}: {recall.value:.3f}."
            for e, recall in zip(shown, alone, strict=True)
        ),
        Axis.around("bytes per vector", n_bytes, is_log=True),
        _recall_axis(
            f"recall@{task.n_neighbors}", [*(e.low for e in alone), task.target]
        ),
        series,
        [Guide(task.target, f"target {task.target:g}")],
    )


def _point(
    evaluation: Evaluation, recall: Estimate, n_bytes: int, *, is_chosen: bool
) -> Series:
    look = _look(evaluation.strategy)
    return Series(
        evaluation.strategy.words,
        [n_bytes],
        [recall.value],
        [recall.low],
        [recall.high],
        look.color,
        look.is_light,
        is_line=False,
        is_marked=is_chosen,
    )


def _recall_axis(label: str, values: Sequence[float]) -> Axis:
    low = np.floor(min(values) * 20) / 20
    return Axis(label, max(float(low), 0.0), 1.005)
