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
from .._utils.estimate import WIDEST
from ..exports import ENGINES, Export, export_best
from .bytes_curve import FAMILIES, BytesPoint
from .choice import Task
from .exporting import export_candidates
from .recall_curve import CONFIDENCE, Curve
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
from .results import Advice, recall_over_bytes

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
    command: str = "",
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
    command : str, default=""
        What builds the recommended index on the command line, if files are known.
    """
    return {
        "verdict": headline(advice)[0],
        "is_good": advice.findings.choice.reached,
        "advice_figures": _figures(advice),
        "warnings": warnings,
        "advice_charts": _charts(advice),
        "reasons": reasons(advice),
        "lists": advice.lists.sentences(),
        "table_title": table_title(advice),
        "ladder": _table(table_header(advice), ladder(advice), advice),
        "everything_title": everything_title(advice),
        "everything": _table(
            [*table_header(advice), "rows", "queries"], everything(advice), advice
        ),
        "own_settings": [
            Code("In Python", python_code(index)),
            *([Code("On the command line", command)] if command else []),
        ],
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
            f"{choice.oversampling:g}; the vectors may stay on disk",
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
        "bytes. Where candidates are reranked, vectors are kept, on disk if you "
        "like: their bytes are not counted above.",
        "Rows to come are like these. check_drift tests that.",
        "Speed is that of this computer, with nothing else to do.",
    ]


# Pictures.


def _charts(advice: Advice) -> list[Chart]:
    over_bytes = recall_over_bytes(advice)
    curves = {e.strategy.words: e.curve for e in advice.findings.evaluations.values()}
    told = [p for p in over_bytes.measured if not curves[p.strategy].says_nothing]
    if not told:
        return []
    chosen = advice.findings.choice.strategy.words
    drawn = {p: curves[p.strategy] for p in over_bytes.near(chosen) if p in told}
    return [
        _oversampling_chart(drawn, chosen, advice.task),
        _bytes_chart(told, chosen, advice.task),
    ]


def _oversampling_chart(
    drawn: dict[BytesPoint, Curve], chosen: str, task: Task
) -> Chart:
    series = [
        Series(
            _name(point),
            curve.oversampling,
            curve.recall,
            curve.low if point.strategy == chosen else None,
            curve.high if point.strategy == chosen else None,
            FAMILIES.index(point.family),
            is_light=point.query == "codes",
            is_marked=point.strategy == chosen,
        )
        for point, curve in drawn.items()
    ]
    lows = [float(curve.low[0]) for curve in drawn.values()]
    most = max(float(curve.oversampling[-1]) for curve in drawn.values())
    first = next(iter(drawn.values()))
    return Chart(
        "Recall against oversampling",
        "Candidates that are read and reranked for each neighbor. Bold: the "
        f"recommended code, with its interval at {CONFIDENCE:.0%}. Dashed: symmetric "
        "search.",
        f"Recall by oversampling on {first.n_rows:,} rows; the target is "
        f"{task.target:g}. " + " ".join(_say_curve(*pair) for pair in drawn.items()),
        Axis("oversampling", 1.0, max(most, 2.0), is_log=True),
        _recall_axis(task, lows),
        series,
        [_target(task)],
    )


def _say_curve(point: BytesPoint, curve: Curve) -> str:
    values = [
        f"{curve.at(x).value:.3f} at {x:g}"
        for x in _SAID
        if x <= curve.oversampling[-1] + 1e-9
    ]
    return f"{_name(point)}: {', '.join(values)}."


def _bytes_chart(points: list[BytesPoint], chosen: str, task: Task) -> Chart:
    series, named = [], set()
    for point in points:
        search = "symmetric" if point.query == "codes" else "asymmetric"
        kind = f"{point.family}, {search}"
        series.append(
            Series(
                kind if kind not in named else "",
                [point.bytes_per_row],
                [point.recall.value],
                [point.recall.low],
                [point.recall.high],
                FAMILIES.index(point.family),
                is_light=point.query == "codes",
                is_line=False,
                is_marked=point.strategy == chosen,
            )
        )
        named.add(kind)
    return Chart(
        "Recall against bytes",
        "Without reranking, with intervals. The ring is around the recommended code. "
        "Hollow: symmetric search.",
        f"Recall@{task.n_neighbors} without reranking by bytes per vector. "
        + " ".join(f"{_name(p)}: {p.recall.value:.3f}." for p in points),
        Axis.around("bytes per vector", [p.bytes_per_row for p in points], is_log=True),
        _recall_axis(task, [p.recall.low for p in points]),
        series,
        [_target(task, at_start=True)],
    )


def _name(point: BytesPoint) -> str:
    return f"{point.strategy}: {point.bytes_per_row:,} bytes"


def _target(task: Task, *, at_start: bool = False) -> Guide:
    return Guide(task.target, f"target {task.target:g}", at_start=at_start)


def _recall_axis(task: Task, values: Sequence[float]) -> Axis:
    low = np.floor(min(*values, task.target) * 20) / 20
    return Axis(f"recall@{task.n_neighbors}", max(float(low), 0.0), 1.005)
