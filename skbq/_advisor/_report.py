"""The advice in words: text for terminals, HTML for notebooks and files."""

from html import escape

import numpy as np

from .._strategies import Strategy
from ._deciding import Difference, Settled
from ._results import Advice
from ._study import MAX_OVERSAMPLING, Evaluation, Kind, kind_of

_HEADER = ["strategy", "bytes/row", "recall@k", "oversampling", "reranked", "speed"]


def say_outcome(advice: Advice) -> list[str]:
    """Warn where the target is not reached, or the prediction reaches far."""
    warnings = []
    task, curve = advice.task, advice.chosen.curve
    k, target = task.n_neighbors, task.target
    if not advice.findings.reached:
        value, low, _ = advice.recall
        largest = advice.findings.oversampling or 1.0
        safe = curve.needed(target)[2]
        cost = (
            f"no oversampling up to {curve.oversampling[-1]:g} is sure to"
            if np.isinf(safe)
            else f"that takes oversampling {safe:g}, {safe * k:.0f} vectors read for "
            "each query"
        )
        warnings.append(
            f"Do not quantize these vectors to 1-2 bits if you need recall@{k} "
            f"{target:g} on {task.expected_rows:,} rows: the best strategy allowed, "
            f"{advice.findings.chosen.words}, finds {value:.3f} (at least {low:.3f}) "
            f"with oversampling {largest:g}; {cost}."
        )
    if curve.n_rows < task.expected_rows:
        warnings.append(
            f"There are too few rows to predict recall on {task.expected_rows:,}: the "
            f"figures are for {curve.n_rows:,}."
        )
    if curve.depth_ratio > 1:
        warnings.append(
            f"{task.expected_rows:,} rows are far more than were measured: recall "
            "rests on a trend, which small clusters that the sample cannot show would "
            "break. Measure again when there are more rows."
        )
    return warnings


def as_text(advice: Advice, profile: str, warnings: list[str]) -> str:
    """Write the report for a terminal."""
    lines = [_headline(advice), "", *_reasons(advice), ""]
    if warnings:
        lines += ["Warnings", *(f"- {text}" for text in warnings), ""]
    lines += [_table_title(advice), *_text_table(_ladder(advice)), ""]
    lines += ["The vectors", profile]
    return "\n".join(lines)


def as_html(advice: Advice, profile: str, warnings: list[str]) -> str:
    """Write the report as a piece of HTML without scripts or outside files."""
    parts = [f"<p><b>{escape(_headline(advice))}</b></p>"]
    parts.append(_html_list(_reasons(advice)))
    if warnings:
        parts += ["<p><b>Warnings</b></p>", _html_list(warnings)]
    parts.append(f"<p>{escape(_table_title(advice))}</p>")
    parts.append(_html_table(_ladder(advice)))
    parts.append("<details><summary>All strategies</summary>")
    parts.append(_html_table(_everything(advice)))
    parts.append("</details><details><summary>The vectors</summary>")
    parts.append(_html_list(profile.splitlines()))
    parts.append("</details>")
    return '<div class="skbq-report">\n' + "\n".join(parts) + "\n</div>"


def _headline(advice: Advice) -> str:
    task, findings = advice.task, advice.findings
    value, low, high = advice.recall
    k = task.n_neighbors
    times = task.vector_bytes / advice.code_bytes
    verb = "Recommended" if findings.reached else "Target not reached; nearest to it"
    text = f"{verb}: {findings.chosen.words}, {advice.code_bytes} bytes a row"
    text += f" ({times:.0f} times less than the vectors). "
    if findings.oversampling is None:
        text += "No reranking is needed: "
    else:
        n_candidates = int(np.ceil(findings.oversampling * k - 1e-9))
        text += (
            f"Rerank {n_candidates} candidates for {k} neighbors (oversampling "
            f"{findings.oversampling:g}) by the vectors, {task.vector_bytes} bytes a "
            "row more: "
        )
    text += f"recall@{k} {value:.3f} [{low:.3f}, {high:.3f}]"
    if findings.oversampling is not None:
        text += f", {advice.chosen.curve.recall[0]:.3f} without"
    return text + f", on {advice.chosen.curve.n_rows:,} rows."


def _reasons(advice: Advice) -> list[str]:
    """Say what each part of the recommendation is better than, and how surely."""
    settled = advice.findings.settled[kind_of(advice.findings.chosen)]
    n_queries = len(settled.found[settled.chosen])
    lines = []
    if settled.chosen is not settled.plain:
        lines.append(
            f"{_extras(settled.chosen)}: {_in_words(settled.gain)} recall over the "
            f"plain code ({settled.plain.words}), without reranking, on "
            f"{n_queries:,} queries."
        )
    if settled.rival is not None and settled.rival_gain is not None:
        lines.append(_say_rival(settled, n_queries))
    if settled.chosen.query == "vectors":
        lines.append(
            "Float queries are compared with the codes, since coded ones need more "
            "candidates than are reasonable, or memory, for the target."
        )
    return lines


def _say_rival(settled: Settled, n_queries: int) -> str:
    assert settled.rival is not None
    assert settled.rival_gain is not None
    verdict = "no difference that is sure: keep it simple"
    if settled.rival_gain.high < 0:
        verdict = "worse"
    return (
        f"{_extras(settled.rival)}: {_in_words(settled.rival_gain)} recall, without "
        f"reranking, on {n_queries:,} queries: {verdict}."
    )


def _extras(strategy: Strategy) -> str:
    """Name what a strategy asks for beyond the plain code."""
    parts = ["a random rotation"] if strategy.rotated else []
    if strategy.bits == 2 and isinstance(strategy.levels, str):
        parts.append("levels of least squared error (lloyd_max)")
    text = " and ".join(parts)
    return text[:1].upper() + text[1:]


def _in_words(difference: Difference) -> str:
    return f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def _table_title(advice: Advice) -> str:
    task = advice.task
    return (
        f"What more memory buys on {task.expected_rows:,} rows: recall@"
        f"{task.n_neighbors} of the codes alone, the oversampling that reaches "
        f"{task.target:g}, recall with it ({MAX_OVERSAMPLING} at most), and queries "
        "per second as multiples of exact search. Reranking reads the vectors: "
        f"{task.vector_bytes} bytes a row more."
    )


def _best_of(kind: Kind, advice: Advice) -> Evaluation:
    """Return the strategy settled on, or what the first look would choose."""
    findings = advice.findings
    if kind in findings.settled:
        return findings.evaluations[findings.settled[kind].chosen]
    return findings.evaluations[findings.first_sight[kind]]


def _ladder(advice: Advice) -> list[list[str]]:
    """List the best strategy of each amount of memory, cheapest first."""
    kinds = sorted(advice.speeds, key=lambda kind: advice.task.code_bytes[kind])
    return [_cells(_best_of(kind, advice), advice) for kind in kinds]


def _everything(advice: Advice) -> list[list[str]]:
    return [_cells(e, advice) for e in advice.findings.evaluations.values()]


def _cells(evaluation: Evaluation, advice: Advice) -> list[str]:
    curve, kind = evaluation.curve, kind_of(evaluation.strategy)
    single, low, high = curve.at(1.0)
    safe = curve.needed(advice.task.target)[2]
    reranked = curve.at(min(safe, MAX_OVERSAMPLING))[0]
    return [
        evaluation.strategy.words,
        str(advice.task.code_bytes[kind]),
        f"{single:.3f} [{low:.3f}, {high:.3f}]",
        f"{safe:g}" if np.isfinite(safe) else f"> {curve.oversampling[-1]:g}",
        f"{reranked:.3f}",
        f"{advice.speeds[kind]:.2g}",
    ]


def _text_table(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(_HEADER, *rows, strict=True)]

    def line(cells: list[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [f"{first[0]:<{first[1]}}"]
        padded += [f"{cell:>{width}}" for cell, width in others]
        return "  ".join(padded)

    return [line(cells) for cells in [_HEADER, *rows]]


def _html_table(rows: list[list[str]]) -> str:
    def line(tag: str, cells: list[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

    body = [line("th", _HEADER), *(line("td", cells) for cells in rows)]
    return "<table>\n" + "\n".join(body) + "\n</table>"


def _html_list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
