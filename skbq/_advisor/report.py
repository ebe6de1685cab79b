"""The advice in words, for terminals; :mod:`.html_report` says the same in HTML."""

from collections.abc import Iterable
from textwrap import fill

import numpy as np

from .._quantization.strategy import Strategy
from .._utils.estimate import WIDEST, Estimate, say_recall
from .candidates import Kind, kind_of
from .choice import MAX_OVERSAMPLING, Choice, Option
from .paired_comparison import PairedComparison
from .recall_curve import CONFIDENCE, NEARLY, rows_to_support
from .results import Advice, Reranked
from .strategy_search import Evaluation

# Columns of a text.
_WIDTH = 80


def say_outcome(advice: Advice) -> list[str]:
    """Warn if the target is not reached, or a prediction is missing or reaches far."""
    return [
        *_say_not_reached(advice),
        *_say_not_predicted(advice),
        *_say_trend(advice),
    ]


def _is_unknown(advice: Advice) -> bool:
    return advice.recall.high - advice.recall.low > WIDEST


def _say_not_reached(advice: Advice) -> list[str]:
    choice, task, curve = advice.findings.choice, advice.task, advice.chosen.curve
    if choice.reached:
        return []
    k, target = task.n_neighbors, task.target
    if _is_unknown(advice):
        return [
            f"There are too few rows or queries to measure recall@{k}: "
            f"{curve.n_rows:,} rows and {curve.n_queries:,} queries. A few hundred of "
            "either are needed."
        ]
    safe = curve.needed(target).safe
    cost = (
        f"no oversampling up to {curve.oversampling[-1]:g} is sure to"
        if np.isinf(safe)
        else f"that takes oversampling {safe:g}, {safe * k:.0f} vectors read for each "
        "query"
    )
    return [
        f"Do not quantize these vectors to 1-2 bits if you need recall@{k} {target:g} "
        f"on {curve.n_rows:,} rows: the best strategy allowed, "
        f"{choice.strategy.words}, has recall {say_recall(advice.recall)} with "
        f"oversampling {choice.oversampling or 1:g}; {cost}."
    ]


def _say_not_predicted(advice: Advice) -> list[str]:
    task, n_rows = advice.task, advice.chosen.curve.n_rows
    if n_rows >= task.expected_rows or _is_unknown(advice):
        return []
    if task.expected_rows > advice.supported_rows:
        needed = rows_to_support(task.expected_rows, task.n_neighbors)
        why = (
            f"the rows given support {advice.supported_rows:,} at most. Fit again with "
            f"{needed:,} rows or more"
        )
    else:
        why = (
            "the rows given leave it open by more than half of the scale. Fit again "
            "with more rows"
        )
    return [
        f"Recall on {task.expected_rows:,} rows is not predicted: {why}. All figures "
        f"are for {n_rows:,} rows; on more, recall is lower."
    ]


def _say_trend(advice: Advice) -> list[str]:
    curve = advice.chosen.curve
    far = curve.n_rows > NEARLY * advice.chosen.n_rows
    if not far or curve.depth_ratio <= 1:
        return []
    return [
        f"{curve.n_rows:,} rows are far more than were measured: recall rests on a "
        "trend, which small clusters that the sample cannot show would break. Measure "
        "again when there are more rows."
    ]


def as_text(advice: Advice, profile: str, warnings: list[str]) -> str:
    """Write the report for a terminal."""
    lines = [*map(_wrapped, headline(advice)), ""]
    why = reasons(advice)
    if why:
        lines += ["Why", *(_wrapped(f"- {text}") for text in why), ""]
    if warnings:
        lines += ["Warnings", *(_wrapped(f"- {text}") for text in warnings), ""]
    lines += ["Many rows", *(_wrapped(f"- {x}") for x in advice.lists.sentences()), ""]
    lines += [_wrapped(table_title(advice)), ""]
    lines += [*_text_table(table_header(advice), ladder(advice)), ""]
    lines += ["The vectors", *(_wrapped(f"- {x}") for x in profile.splitlines())]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def headline(advice: Advice) -> list[str]:
    """Say in a line each: the strategy, reranking, recall, and bytes for each row."""
    return [
        f"{_verb(advice)}: {advice.findings.choice.strategy.words}",
        _say_reranking(advice),
        _say_recall_line(advice),
        _say_memory(advice),
    ]


def verdict(advice: Advice) -> str:
    """Say the recommendation in one sentence, such as closes a comparison."""
    choice, task = advice.findings.choice, advice.task
    code_bytes = advice.code_bytes(choice.strategy)
    reranking = (
        "without reranking"
        if choice.oversampling is None
        else f"reranking {n_candidates(advice)} candidates"
    )
    speed = advice.speed(choice.strategy)
    return (
        f"{_verb(advice)}: {choice.strategy.words}, {reranking}: "
        f"recall@{task.n_neighbors} {say_recall(advice.recall)} on "
        f"{advice.chosen.curve.n_rows:,} rows, {code_bytes} bytes per vector "
        f"({task.vector_bytes / code_bytes:.0f} times less), {speed} the queries per "
        "second of exact search."
    )


def _verb(advice: Advice) -> str:
    if advice.findings.choice.reached:
        return "Recommended"
    if _is_unknown(advice):
        return "Too few rows or queries to recommend a strategy; nearest to the target"
    return "Target not reached; nearest to it"


def n_candidates(advice: Advice) -> int:
    oversampling = advice.findings.choice.oversampling or 1.0
    return int(np.ceil(oversampling * advice.task.n_neighbors - 1e-9))


def _say_reranking(advice: Advice) -> str:
    oversampling = advice.findings.choice.oversampling
    if oversampling is None:
        return "Reranking: none is needed."
    return (
        f"Reranking: by the vectors, {n_candidates(advice)} candidates for k = "
        f"{advice.task.n_neighbors} (oversampling {oversampling:g})."
    )


def _say_recall_line(advice: Advice) -> str:
    curve, k = advice.chosen.curve, advice.task.n_neighbors
    line = f"Recall@{k} on {curve.n_rows:,} rows: {say_recall(advice.recall)}"
    if advice.findings.choice.oversampling is not None:
        line += f"; {say_recall(curve.at(1.0))} without reranking"
    how = "predicted" if curve.depth_ratio else "measured"
    return f"{line}; {how} on {curve.n_queries:,} queries."


def _say_memory(advice: Advice) -> str:
    choice, task = advice.findings.choice, advice.task
    code_bytes = advice.code_bytes(choice.strategy)
    line = (
        f"Memory: {code_bytes} bytes a row for the codes, "
        f"{task.vector_bytes / code_bytes:.0f} times less than the vectors"
    )
    if choice.oversampling is not None:
        line += (
            f"; {task.vector_bytes:,} more for the vectors that reranking reads, which "
            "may stay on disk"
        )
    return f"{line}."


def reasons(advice: Advice) -> list[str]:
    """Say what each part of the recommendation is better than, and how surely."""
    choice, task = advice.findings.choice, advice.task
    compared = advice.findings.comparisons[kind_of(choice.strategy)]
    lines = []
    if choice.reached and choice.option is not None:
        lines += _say_choice(choice.option, choice, advice)
    if compared.chosen.complexity > compared.baseline.complexity:
        lines.append(_say_gain(compared))
    if compared.rival is not None and compared.rival_gain is not None:
        lines.append(_say_rival(compared, compared.rival, compared.rival_gain))
    if choice.strategy.is_pca:
        lines += _say_axes(choice.strategy, advice)
    if choice.strategy.query == "vectors" and choice.reached:
        lines.append(
            "Queries stay in float32 (asymmetric search): symmetric search would "
            f"need more than {MAX_OVERSAMPLING:g} candidates for each neighbor, more "
            f"memory, or more reading, for recall@{task.n_neighbors} of "
            f"{task.target:g}."
        )
    return lines


def _say_choice(option: Option, choice: Choice, advice: Advice) -> list[str]:
    task, least = advice.task, choice.least
    reach = f"recall@{task.n_neighbors} of {task.target:g}"
    within = f" with at most {MAX_OVERSAMPLING:g} candidates for each neighbor"
    if task.prefer == "speed":
        lines = [
            f"It is the code that is searched fastest among those that reach {reach}"
            f"{within}."
        ]
    elif least is None or least.memory == option.memory:
        within = "" if option.oversampling is None else within
        lines = [f"It is the smallest code that reaches {reach}{within}."]
    else:
        lines = [
            f"It is the knee among codes that reach {reach}: with less memory, as with "
            f"{_in_short(least, advice)}, a query needs many more candidates, and has "
            "clearly more to read."
        ]
    if choice.close is not None:
        lines.append(_say_close(option, choice.close, advice))
    return lines


def _in_short(option: Option, advice: Advice) -> str:
    """Name an option with its bytes and its reranking."""
    reranking = (
        "no reranking"
        if option.oversampling is None
        else f"oversampling {option.oversampling:g}"
    )
    n_bytes = advice.code_bytes(option.strategy)
    return f"{option.strategy.words} ({n_bytes} bytes a row, {reranking})"


def _say_close(option: Option, close: Option, advice: Advice) -> str:
    ratio = option.bytes_per_query / close.bytes_per_query
    return (
        f"Close behind is {_in_short(close, advice)}. It reaches the target too; a "
        f"query of the recommended code reads {abs(1 - ratio):.0%} "
        f"{'fewer' if ratio < 1 else 'more'} bytes, codes and candidates together."
    )


def _say_axes(strategy: Strategy, advice: Advice) -> list[str]:
    """Hold a code of principal axes against the best other one of as many bytes."""
    n_bytes = advice.code_bytes(strategy)
    chosen = advice.chosen.curve
    others = [
        (evaluation.curve.at(1.0).value, evaluation)
        for evaluation in advice.findings.evaluations.values()
        if not evaluation.strategy.is_pca
        and advice.code_bytes(evaluation.strategy) <= n_bytes
        and evaluation.curve.n_rows == chosen.n_rows
    ]
    lines = [
        "Bits go to principal axes by their variance, which skbq searches and other "
        "engines do not: export gives those the best code that they take."
    ]
    if others:
        _, best = max(others, key=lambda pair: pair[0])
        lines.append(
            f"Without reranking it has recall {say_recall(chosen.at(1.0))}; "
            f"{best.strategy.words}, of {advice.code_bytes(best.strategy)} bytes, has "
            f"{say_recall(best.curve.at(1.0))}."
        )
    return lines


def _say_gain(compared: PairedComparison) -> str:
    left_out = compared.leave_one_out
    if left_out is not None and left_out.chosen is left_out.baseline:
        left_out = None  # the baseline was significantly worse without them
    baseline = (left_out or compared).baseline
    text = (
        f"{_extras(compared.chosen)}: {compared.gain:+.3f} recall over the baseline "
        f"code ({baseline.words}), without reranking, {_on_queries(compared)}"
    )
    if left_out:
        text += f"; {_on_left_out(left_out, left_out.gain)}"
    return f"{text}."


def _say_rival(compared: PairedComparison, rival: Strategy, gain: Estimate) -> str:
    text = (
        f"{_extras(rival)}: {gain:+.3f} recall, without reranking, "
        f"{_on_queries(compared)}"
    )
    left_out = compared.leave_one_out
    if left_out is not None and left_out.rival is rival and left_out.rival_gain:
        gain = left_out.rival_gain
        text += f"; {_on_left_out(left_out, gain)}"
    if gain.high < 0:
        return f"{text}: significantly worse."
    return f"{text}: not statistically significant; the simpler code is kept."


def _on_queries(compared: PairedComparison) -> str:
    return f"on {len(compared.recalls[compared.chosen]):,} queries"


def _on_left_out(left_out: PairedComparison, difference: Estimate) -> str:
    n_rows = len(left_out.recalls[left_out.chosen])
    return f"{difference:+.3f} on {n_rows:,} leave-one-out queries"


def _extras(strategy: Strategy) -> str:
    """Name what a strategy adds to the baseline code."""
    parts = ["a random rotation"] if strategy.rotated else []
    if strategy.bits == 2 and isinstance(strategy.levels, str):
        parts.append("levels of least squared error (lloyd_max)")
    text = " and ".join(parts)
    return text[:1].upper() + text[1:]


def table_title(advice: Advice) -> str:
    task, curve = advice.task, advice.chosen.curve
    return (
        f"What more memory buys on {curve.n_rows:,} rows: bytes per vector of the "
        f"codes; recall@{task.n_neighbors} without reranking; the oversampling whose "
        f"lower limit reaches {task.target:g}; recall with it ({MAX_OVERSAMPLING:g} at "
        "most); queries per second without reranking, as multiples of exact search "
        "here, the lowest and the highest of several rounds."
    )


def everything_title(advice: Advice) -> str:
    n_queries = min(e.n_queries for e in advice.findings.evaluations.values())
    return (
        f"Strategies of {n_queries:,} queries were screened and left behind there: "
        "their figures are rougher."
    )


def _best_of(kinds: Iterable[Kind], advice: Advice) -> list[Evaluation]:
    """Return the strategy chosen for each amount of memory, the smallest first."""
    findings = advice.findings
    chosen = [findings.comparisons[kind].chosen for kind in kinds]
    chosen.sort(key=advice.code_bytes)
    return [findings.evaluations[s] for s in chosen]


def ladder(advice: Advice) -> list[list[str]]:
    evaluations = _best_of(advice.findings.comparisons, advice)
    return [_cells(evaluation, advice) for evaluation in evaluations]


def everything(advice: Advice) -> list[list[str]]:
    return [
        [*_cells(e, advice), f"{e.curve.n_rows:,}", f"{e.curve.n_queries:,}"]
        for e in advice.findings.evaluations.values()
    ]


def _cells(evaluation: Evaluation, advice: Advice) -> list[str]:
    curve, strategy = evaluation.curve, evaluation.strategy
    reranked = Reranked.of(curve, advice.task.target)
    needed = reranked.oversampling
    return [
        strategy.words,
        str(advice.code_bytes(strategy)),
        _short(curve.at(1.0)),
        f"{needed:g}" if np.isfinite(needed) else f"> {curve.oversampling[-1]:g}",
        _short(reranked.recall, with_limits=False),
        str(advice.speed(strategy)),
    ]


def _short(recall: Estimate, *, with_limits: bool = True) -> str:
    if recall.high - recall.low > WIDEST:
        return f"{recall.low:.2f} to {recall.high:.2f}"
    if not with_limits:
        return f"{recall.value:.3f}"
    return f"{recall.value:.3f} [{recall.low:.3f}, {recall.high:.3f}]"


def table_header(advice: Advice) -> list[str]:
    recall = f"recall@{advice.task.n_neighbors} ({100 * CONFIDENCE:g}%)"
    return ["strategy", "bytes", recall, "oversampling", "reranked", "speed"]


def _text_table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Align columns; where that is too wide, names have lines of their own."""
    rows = [header, *rows]
    first, *widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        figures = "".join(
            f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
        )
        if first + len(figures) <= _WIDTH:
            lines.append(f"{name:<{first}}{figures}")
        else:
            lines += [_wrapped(name), f"  {figures}"]
    return lines
