"""The advice in words: text for terminals, HTML for notebooks and files."""

from html import escape
from textwrap import fill

import numpy as np

from .._quantization.strategy import Strategy
from .paired_comparison import Difference, Settled
from .recall_curve import NEARLY
from .results import Advice
from .strategy_search import MAX_OVERSAMPLING, Evaluation, Kind, kind_of

# Columns of a text.
_WIDTH = 88


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
    if curve.depth_ratio > 1 and task.expected_rows > NEARLY * advice.chosen.n_rows:
        warnings.append(
            f"{task.expected_rows:,} rows are far more than were measured: recall "
            "rests on a trend, which small clusters that the sample cannot show would "
            "break. Measure again when there are more rows."
        )
    return warnings


def as_text(advice: Advice, profile: str, warnings: list[str]) -> str:
    """Write the report for a terminal."""
    lines = [*map(_wrapped, _headline(advice)), ""]
    reasons = _reasons(advice)
    if reasons:
        lines += ["Why", *(_wrapped(f"- {text}") for text in reasons), ""]
    if warnings:
        lines += ["Warnings", *(_wrapped(f"- {text}") for text in warnings), ""]
    lines += [_wrapped(_table_title(advice)), ""]
    lines += [*_text_table(_ladder(advice), advice.task.n_neighbors), ""]
    lines += ["The vectors", *(_wrapped(f"- {x}") for x in profile.splitlines())]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def as_html(advice: Advice, profile: str, warnings: list[str]) -> str:
    """Write the report as a piece of HTML without scripts or outside files."""
    k = advice.task.n_neighbors
    first, *others = _headline(advice)
    parts = [f"<p><b>{escape(first)}</b></p>", _html_list(others)]
    reasons = _reasons(advice)
    if reasons:
        parts += ["<p><b>Why</b></p>", _html_list(reasons)]
    if warnings:
        parts += ["<p><b>Warnings</b></p>", _html_list(warnings)]
    parts.append(f"<p>{escape(_table_title(advice))}</p>")
    parts.append(_html_table(_ladder(advice), k))
    parts.append("<details><summary>All strategies</summary>")
    parts.append(_html_table(_everything(advice), k))
    parts.append("</details><details><summary>The vectors</summary>")
    parts.append(_html_list(profile.splitlines()))
    parts.append("</details>")
    return '<div class="skbq-report">\n' + "\n".join(parts) + "\n</div>"


def _headline(advice: Advice) -> list[str]:
    """Say in a line each what is recommended, what it weighs and what it finds."""
    task, findings = advice.task, advice.findings
    value, low, high = advice.recall
    k, curve = task.n_neighbors, advice.chosen.curve
    verb = "Recommended" if findings.reached else "Target not reached; nearest to it"
    memory = (
        f"Memory: {advice.code_bytes} bytes a row for the codes, "
        f"{task.vector_bytes / advice.code_bytes:.0f} times less than the vectors"
    )
    recall = f"Recall@{k} on {curve.n_rows:,} rows: {value:.3f} [{low:.3f}, {high:.3f}]"
    if findings.oversampling is None:
        reranking = "Reranking: none is needed."
    else:
        n_candidates = int(np.ceil(findings.oversampling * k - 1e-9))
        reranking = (
            f"Reranking: by the vectors, {n_candidates} candidates for {k} neighbors "
            f"(oversampling {findings.oversampling:g})."
        )
        memory += (
            f"; {task.vector_bytes} more for the vectors that reranking reads, which "
            "may stay on a disk"
        )
        recall += f"; {curve.recall[0]:.3f} without reranking"
    title = f"{verb}: {findings.chosen.words}"
    return [title, reranking, f"{recall}.", f"{memory}."]


def _reasons(advice: Advice) -> list[str]:
    """Say what each part of the recommendation is better than, and how surely."""
    settled = advice.findings.settled[kind_of(advice.findings.chosen)]
    lines = []
    if advice.findings.reached:
        k, target = advice.task.n_neighbors, advice.task.target
        text = f"It is the code of least memory that reaches recall@{k} {target:g}"
        if advice.findings.oversampling is not None:
            text += f" with {MAX_OVERSAMPLING} candidates for each neighbor or fewer"
        lines.append(f"{text}.")
    if settled.chosen.complexity > settled.plain.complexity:
        by_rows = settled.by_rows
        if by_rows is not None and by_rows.chosen is by_rows.plain:
            by_rows = None  # the plain code was worse for sure without them
        compared = by_rows or settled
        lines.append(
            f"{_extras(settled.chosen)}: {_in_words(settled.gain)} recall over the "
            f"plain code ({compared.plain.words}), without reranking, "
            f"{_on_queries(settled)}"
            + (f"; {_when_rows_ask(by_rows, by_rows.gain)}." if by_rows else ".")
        )
    if settled.rival is not None and settled.rival_gain is not None:
        lines.append(_say_rival(settled, settled.rival, settled.rival_gain))
    if settled.chosen.query == "vectors":
        lines.append(
            "Float queries are compared with the codes, since coded ones need more "
            "candidates than are reasonable, or memory, for the target."
        )
    return lines


def _say_rival(settled: Settled, rival: Strategy, gain: Difference) -> str:
    text = (
        f"{_extras(rival)}: {_in_words(gain)} recall, without reranking, "
        f"{_on_queries(settled)}"
    )
    by_rows = settled.by_rows
    if by_rows is not None and by_rows.rival is rival and by_rows.rival_gain:
        gain = by_rows.rival_gain
        text += f"; {_when_rows_ask(by_rows, gain)}"
    if gain.high < 0:
        return f"{text}: worse."
    return f"{text}: no difference that is sure, so keep it simple."


def _on_queries(settled: Settled) -> str:
    return f"on {len(settled.found[settled.chosen]):,} queries"


def _when_rows_ask(by_rows: Settled, difference: Difference) -> str:
    n_rows = len(by_rows.found[by_rows.chosen])
    return f"{_in_words(difference)} when {n_rows:,} rows ask"


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
        f"What more memory buys on {task.expected_rows:,} rows: bytes of the codes a "
        f"row; recall@{task.n_neighbors} of the codes alone; the oversampling that "
        f"reaches {task.target:g} for sure; recall with it ({MAX_OVERSAMPLING} at "
        "most); speed of the codes alone, as multiples of exact search here."
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
        f"{advice.speeds[kind]:.2g}x",
    ]


def _header(k: int) -> list[str]:
    return ["strategy", "bytes", f"recall@{k}", "oversampling", "reranked", "speed"]


def _text_table(rows: list[list[str]], k: int) -> list[str]:
    rows = [_header(k), *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: list[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [f"{first[0]:<{first[1]}}"]
        padded += [f"{cell:>{width}}" for cell, width in others]
        return "  ".join(padded)

    return [line(cells) for cells in rows]


def _html_table(rows: list[list[str]], k: int) -> str:
    def line(tag: str, cells: list[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

    body = [line("th", _header(k)), *(line("td", cells) for cells in rows)]
    return "<table>\n" + "\n".join(body) + "\n</table>"


def _html_list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
