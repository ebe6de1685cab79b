"""What each choice of a quantizer adds, and whether the advisor chooses well.

    python benchmarks/design_guide.py [mine.npy others.npz ...] [--out TABLES.md]

measures all strategies on generated vectors, on the embeddings that ship with skbq and
on files: ``.npy`` (rows; a tenth, 500 at most, is held out at random) or ``.npz`` with
the arrays ``base`` and ``queries``. Cosine, recall@10 on all rows, queries that are not
among the rows. Differences are means over queries, with intervals at 95 %.

    python benchmarks/design_guide.py [others.npz ...] --advice ADVICE.md [--rows 3000]

measures what the advisor recommends alone, on the shipped embeddings and on files, of
which the first rows are taken.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from _sets import ORIGINS, describe_run

from skbq import HeterogeneityProfiler, QuantizationAdvisor, RandomRotation
from skbq._advisor.bench import Bench
from skbq._advisor.bytes_curve import BytesCurve
from skbq._advisor.candidates import BUDGETS, all_strategies, bytes_per_row
from skbq._advisor.recall_curve import oversampling_grid
from skbq._quantization.strategy import (
    LITERATURE,
    ROTATION_SEED,
    Strategy,
)
from skbq._utils.estimate import Estimate, mean_estimate
from skbq._utils.similarity import unit_norm
from skbq.datasets import (
    load_wordnet_minilm,
    make_gaussian,
    make_low_rank_clusters,
    make_sphere,
)
from skbq.metrics import ranking_fidelity

K = 10
TARGET = 0.95
QUERIES = 500
# Leave-one-out queries by which the advisor's choice is held to account.
LEFT_OUT = 2000
BATCH = 500
SHOWN_OVERSAMPLING = (1, 3, 5, 10)


@dataclass
class Case:
    """A set of vectors, and what was measured on it."""

    name: str
    origin: str
    rows: np.ndarray
    queries: np.ndarray
    own_queries: bool = True  # whether queries may differ from rows
    figures: dict = field(default_factory=dict)
    recalls: dict = field(default_factory=dict)  # Strategy -> (n_queries, n_depths)
    uncorrected: np.ndarray | None = None
    fidelities: dict = field(default_factory=dict)
    advice: dict = field(default_factory=dict)

    @property
    def bench(self) -> Bench:
        """The rows and queries, with the rotation that all strategies share."""
        rotation = RandomRotation(random_state=ROTATION_SEED).fit(self.rows[:1])
        return Bench.of(self.rows, self.queries, "cosine", K, rotation)


def shift(n: int, d: int, ratio: float, seed: int) -> np.ndarray:
    """Gaussian rows of a power-law spectrum, away from the origin."""
    return make_gaussian(
        n, d, spectrum=0.7, heterogeneity=0.3, mean=ratio, random_state=seed
    )


def one_sided(n: int, d: int, seed: int) -> np.ndarray:
    """Positive rows, half of the values zero, as activations are."""
    rows = make_gaussian(n, d, spectrum=0.8, random_state=seed)
    return np.maximum(rows, 0) + 1e-6


def heavy_tailed(n: int, d: int, seed: int) -> np.ndarray:
    """Rows of clusters whose coordinates have heavy tails."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_t(3, size=(400, d))
    return centers[rng.integers(400, size=n)] + 0.8 * rng.standard_t(3, size=(n, d))


def unequal_clusters(n: int, d: int, seed: int) -> np.ndarray:
    """Clusters of very unequal size and spread."""
    rng = np.random.default_rng(seed)
    sizes = np.minimum(rng.zipf(1.5, 200), 2000)
    labels = rng.choice(200, n, p=sizes / sizes.sum())
    spread = rng.uniform(0.05, 1, (200, 1))[labels]
    return rng.standard_normal((200, d))[labels] + spread * rng.standard_normal((n, d))


def counts(n: int, d: int, seed: int) -> np.ndarray:
    """Word counts under a mixture of topics, most of them 0."""
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(d, 0.05), 30)
    return rng.poisson(60 * rng.dirichlet(np.full(30, 0.2), n) @ topics) + 0.0


def nested(n: int, d: int, seed: int) -> np.ndarray:
    """Variances that fall along the coordinates, as Matryoshka training makes them."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 40)) @ rng.standard_normal((40, d))
    return (common + 0.7 * rng.standard_normal((n, d))) * (1 + np.arange(d)) ** -0.7


GENERATED: dict[str, Callable[[int], np.ndarray]] = {
    "sphere_768": lambda n: make_sphere(n, 768, random_state=1),
    "low_rank_clusters_768": lambda n: make_low_rank_clusters(n, 768, random_state=1),
    "shifted_256": lambda n: shift(n, 256, 1.0, 1),
    "one_sided_256": lambda n: one_sided(n, 256, 1),
    "heavy_tailed_128": lambda n: heavy_tailed(n, 128, 1),
    "unequal_clusters_256": lambda n: unequal_clusters(n, 256, 1),
    "counts_300": lambda n: counts(n, 300, 1),
    "nested_512": lambda n: nested(n, 512, 1),
    "short_24": lambda n: make_gaussian(n, 24, spectrum=0.5, random_state=1),
}
GENERATED_ROWS = 5500


def cases(files: list[str], shipped: bool, *, made: bool = True) -> Iterator[Case]:
    if shipped:
        glosses = load_wordnet_minilm()
        yield Case("shipped glosses", ORIGINS["shipped"], glosses.data, glosses.queries)
        for name, make in GENERATED.items() if made else ():
            rows = make(GENERATED_ROWS).astype(np.float32)
            rows = rows[rows.any(axis=1)]
            yield Case(name, "generated", rows[QUERIES:], rows[:QUERIES], False)
    for file in files:
        name = Path(file).stem
        origin = ORIGINS.get(name, "given by name")
        stored = np.load(file, mmap_mode="r" if file.endswith(".npy") else None)
        if file.endswith(".npz"):
            base, queries = stored["base"], stored["queries"]
        else:
            order = np.random.default_rng(0).permutation(len(stored))
            held_out = min(QUERIES, len(stored) // 10)
            base = stored[np.sort(order[held_out:])]
            queries = stored[np.sort(order[:held_out])]
        rows, queries = base.astype(np.float32), queries[:QUERIES].astype(np.float32)
        yield Case(name, origin, rows, queries, file.endswith(".npz"))


def measure(case: Case) -> None:
    """Measure every strategy on all rows."""
    bench = case.bench
    rows = unit_norm(case.rows)
    profile = HeterogeneityProfiler(random_state=0).fit(rows)
    mean = profile.mean_
    absolute = np.abs(rows).mean(axis=0)
    case.figures = {
        "n": len(rows),
        "d": rows.shape[1],
        "sign entropy": profile.sign_entropy_,
        "heterogeneity": profile.heterogeneity_,
        "effective dimension": profile.effective_dimension_,
        "energy in the mean": float(mean @ mean),
        "normal": profile.gaussian_pass_rate_,
        "|mean|/mean|x|": float(np.mean(np.abs(mean) / np.maximum(absolute, 1e-12))),
        # How far from flat a row is: |x|_1 / (sqrt(d) |x|_2), less for spikes.
        "L1/L2": float(np.abs(rows).sum(axis=1).mean() / rows.shape[1] ** 0.5),
    }
    grid = oversampling_grid(K, len(rows))
    depths = np.minimum(np.round(grid * K).astype(int), len(rows))
    strategies, pairs = all_strategies(), (slice(None), slice(0, 2000))
    search = bench.search(strategies, slice(None), int(depths.max()))
    true = -bench.distances(*pairs)
    for strategy in strategies:
        case.recalls[strategy] = search.recalls(strategy, depths)
        scores = bench.scores(strategy, *pairs)
        case.fidelities[strategy] = ranking_fidelity(true, scores)
    case.uncorrected = uncorrected_recall(bench)
    case.figures["grid"] = grid


def uncorrected_recall(bench: Bench) -> np.ndarray:
    """Return the recall of each query by <q, y - c>, without corrections."""
    index = bench.rows.index(Strategy(1, "vectors"))
    queries = unit_norm(bench.queries.vectors) - index.quantizer_.thresholds_
    scores = queries @ index.codes_.unpack().T
    found = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    near = bench.distances(slice(None), slice(None))
    limits = np.partition(near, K - 1, axis=1)[:, K - 1 : K] + 1e-12
    hits = np.take_along_axis(near, found, axis=1) <= limits
    return hits.mean(axis=1)


def left_out_gap(
    case: Case, chosen: Strategy, same: list[Strategy]
) -> tuple[Strategy, Estimate]:
    """Return the best strategy of equal bytes on leave-one-out queries, and the gap.

    There are more of them than of other queries, so that gaps of 0.01 show.
    """
    left_out, n_rows = case.bench.leaving_one_out(), len(case.rows)
    found: dict[Strategy, list] = {s: [] for s in same}
    for start in range(max(n_rows - LEFT_OUT, 0), n_rows, BATCH):
        search = left_out.search(same, slice(start, min(start + BATCH, n_rows)), K)
        for s in same:
            found[s].append(search.recalls(s, np.array([K]))[:, 0])
    recalls = {s: np.concatenate(parts) for s, parts in found.items()}
    best = max(same, key=lambda s: recalls[s].mean())
    return best, mean_estimate(recalls[chosen] - recalls[best], 0.95)


def advise(case: Case, with_queries: bool) -> None:
    """Let the advisor choose, and hold it to account on queries it has not seen."""
    given = len(case.queries) // 2 if with_queries and case.own_queries else 0
    start = time.perf_counter()
    advisor = QuantizationAdvisor(target_recall=TARGET, random_state=0)
    advisor.fit(case.rows, queries=case.queries[:given] if given else None)
    seconds = time.perf_counter() - start
    chosen = advisor._advice.findings.choice.strategy
    grid = case.figures["grid"]
    tried = list(advisor._advice.findings.evaluations)
    measure_more(case, tried)
    oversampling = advisor.oversampling_ or 1.0
    recalls = {s: case.recalls[s][given:] for s in tried}
    found = recalls[chosen]
    here = int(np.searchsorted(grid, oversampling + 1e-9)) - 1
    needed = grid[np.flatnonzero(found.mean(axis=0) >= TARGET)]
    single = {s: r[:, 0] for s, r in recalls.items() if s != LITERATURE}
    results = advisor.results_
    n_bytes = {s: bytes_per_row(s, case.figures["d"], "cosine") for s in single}
    same = [s for s in single if n_bytes[s] == n_bytes[chosen]]
    best = max(same, key=lambda s: single[s].mean())
    plain = max(
        (s for s in single if s.query == "codes" and s.complexity == 0),
        key=lambda s: (n_bytes[s] <= n_bytes[chosen], -s.bits, single[s].mean()),
    )
    covers = {}
    for strategy, predicted in zip(tried, results["oversampling"], strict=True):
        enough = grid[np.flatnonzero(recalls[strategy].mean(axis=0) >= TARGET)]
        covers[strategy] = (predicted, enough[0] if len(enough) else np.inf)
    best_left_out, gap_left_out = left_out_gap(case, chosen, same)
    case.advice = {
        "given": given,
        "chosen": chosen,
        "bytes": advisor.recommended_["bytes_per_row"],
        "suitable": advisor.recommended_["suitable"],
        "oversampling": oversampling,
        "needed": needed[0] if len(needed) else np.inf,
        "expected": advisor.recall_,
        "interval": advisor.recall_interval_,
        "recall": mean_estimate(found[:, here], 0.95),
        "single": single[chosen].mean(),
        "best": best,
        "gap to best": mean_estimate(single[chosen] - single[best], 0.95),
        "best of left out": best_left_out,
        "gap of left out": gap_left_out,
        "gap to plain": mean_estimate(single[chosen] - single[plain], 0.95),
        "covers": covers,
        "seconds": seconds,
        "warnings": advisor.warnings_,
        "curve": advisor.bytes_curve_,
        "half": advise_half_a_bit(case, given),
    }


def advise_only(case: Case) -> None:
    """Let the advisor choose, and measure its choice on queries it has not seen."""
    case.figures = {"d": case.rows.shape[1], "n": len(case.rows)}
    case.figures["grid"] = oversampling_grid(K, len(case.rows))
    given = len(case.queries) // 2 if case.own_queries else 0
    start = time.perf_counter()
    advisor = QuantizationAdvisor(target_recall=TARGET, random_state=0)
    advisor.fit(case.rows, queries=case.queries[:given] if given else None)
    seconds = time.perf_counter() - start
    chosen = advisor._advice.findings.choice.strategy
    measure_more(case, [chosen])
    grid, oversampling = case.figures["grid"], advisor.oversampling_ or 1.0
    here = int(np.searchsorted(grid, oversampling + 1e-9)) - 1
    case.advice = {
        "given": given,
        "chosen": chosen,
        "bytes": advisor.recommended_["bytes_per_row"],
        "suitable": advisor.recommended_["suitable"],
        "oversampling": oversampling,
        "expected": advisor.recall_,
        "interval": advisor.recall_interval_,
        "recall": mean_estimate(case.recalls[chosen][given:, here], 0.95),
        "seconds": seconds,
        "curve": advisor.bytes_curve_,
        "held out": held_out_curve(case, advisor, given),
        "half": advise_half_a_bit(case, given),
    }


def held_out_curve(
    case: Case, advisor: QuantizationAdvisor, given: int
) -> list[tuple[int, np.ndarray]]:
    """Measure the curve over bytes on queries that the advisor has not seen.

    Returns
    -------
    steps : list of (int, ndarray of shape (n_queries,))
        Bytes of a row, and recall of each query without reranking, of each strategy
        that is the best of its bytes or fewer.
    """
    named = {s.words: s for s in advisor._advice.findings.evaluations}
    points = {p.strategy: p.bytes_per_row for p in advisor.bytes_curve_.best_recall}
    measure_more(case, [named[words] for words in points])
    return [
        (n_bytes, case.recalls[named[words]][given:, 0])
        for words, n_bytes in points.items()
    ]


def advise_half_a_bit(case: Case, given: int) -> tuple[str, int, Estimate, Estimate]:
    """Return what is recommended within half a bit for each coordinate.

    The strategy, its bytes, the recall that is promised, and that of other queries.
    """
    advisor = QuantizationAdvisor(
        target_recall=TARGET, max_bytes=max(case.figures["d"] // 16, 1), random_state=0
    )
    advisor.fit(case.rows, queries=case.queries[:given] if given else None)
    chosen = advisor._advice.findings.choice.strategy
    measure_more(case, [chosen])
    grid, oversampling = case.figures["grid"], advisor.oversampling_ or 1.0
    here = int(np.searchsorted(grid, oversampling + 1e-9)) - 1
    words = f"{chosen.words}, x{oversampling:g}"
    n_bytes = advisor.recommended_["bytes_per_row"]
    low, high = advisor.recall_interval_
    promised = Estimate(advisor.recall_, low, high, 0.9)
    return (
        words,
        n_bytes,
        promised,
        mean_estimate(case.recalls[chosen][given:, here], 0.95),
    )


def measure_more(case: Case, strategies: list[Strategy]) -> None:
    """Measure what the advisor tried on the rows, as far as it was not."""
    missing = [s for s in strategies if s not in case.recalls]
    if not missing:
        return
    depths = np.minimum(np.round(case.figures["grid"] * K).astype(int), len(case.rows))
    search = case.bench.search(missing, slice(None), int(depths.max()))
    for strategy in missing:
        case.recalls[strategy] = search.recalls(strategy, depths)


# Tables.


def table(name: str, header: list[str], rows: list[list[str]]) -> list[str]:
    """Write a table between marks, by which the documentation includes it."""
    return marked(name, plain_table(header, rows))


def marked(name: str, lines: list[str]) -> list[str]:
    return [f"<!-- {name} -->", "", *lines, "", "<!-- end -->", ""]


def plain_table(header: list[str], rows: list[list[str]]) -> list[str]:
    header = [cell.replace("|", "\\|") for cell in header]
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def folded(title: str, lines: list[str]) -> list[str]:
    return [
        "<details>",
        f"<summary>{title}</summary>",
        "",
        *lines,
        "",
        "</details>",
        "",
    ]


def signed(gap: Estimate) -> str:
    return f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"


def plain_interval(recall: Estimate) -> str:
    return f"{recall.value:.3f} [{recall.low:.3f}, {recall.high:.3f}]"


def difference(case: Case, a: Strategy, b: Strategy) -> str:
    gain = case.recalls[a][:, 0] - case.recalls[b][:, 0]
    return signed(mean_estimate(gain, 0.95))


def write_sets(done: list[Case]) -> list[str]:
    keys = [k for k in done[0].figures if k != "grid"]
    rows = [
        [c.name]
        + [
            f"{c.figures[k]:,}" if k in ("n", "d") else f"{c.figures[k]:.3g}"
            for k in keys
        ]
        for c in done
    ]
    return ["## The sets", "", *table("sets", ["set", *keys], rows)]


def write_recalls(done: list[Case]) -> list[str]:
    shown = [
        Strategy(1, threshold="zero"),
        Strategy(1),
        Strategy(1, rotated=True),
        LITERATURE,
        Strategy(2),
        Strategy(2, levels="lloyd_max"),
        Strategy(2, rotated=True),
        Strategy(1, "vectors"),
        Strategy(1, "vectors", True),
        Strategy(2, "vectors"),
        Strategy(2, "vectors", True, levels="lloyd_max"),
    ]
    lines = ["## Recall@10 without reranking", ""]
    lines += table(
        "recall",
        ["set", *(s.words for s in shown)],
        [[c.name, *(f"{c.recalls[s][:, 0].mean():.3f}" for s in shown)] for c in done],
    )
    lines += ["## Ranking fidelity (Spearman over all pairs)", ""]
    return lines + table(
        "fidelity",
        ["set", *(s.words for s in shown)],
        [[c.name, *(f"{c.fidelities[s]:.3f}" for s in shown)] for c in done],
    )


# Choices: the strategy that makes one, the one that does not, all else plain.
GAINS = {
    "centering, 1 bit": (Strategy(1), Strategy(1, threshold="zero")),
    "rotation, 1 bit": (Strategy(1, rotated=True), Strategy(1)),
    "rotation, 2 bits": (Strategy(2, rotated=True), Strategy(2)),
    "second bit": (Strategy(2), Strategy(1)),
    "levels lloyd_max": (Strategy(2, levels="lloyd_max"), Strategy(2)),
    "levels (1, 3) for (1, 2)": (Strategy(2, threshold="zero"), LITERATURE),
    "asymmetric search, 1 bit": (Strategy(1, "vectors"), Strategy(1)),
    "asymmetric search, 2 bits": (Strategy(2, "vectors"), Strategy(2)),
}
CORRECTION = "correction in asymmetric search"


def gains(case: Case) -> dict[str, Estimate]:
    """Return what each choice adds to recall, with limits."""
    assert case.uncorrected is not None
    recall = {s: r[:, 0] for s, r in case.recalls.items()}
    added = {name: recall[a] - recall[b] for name, (a, b) in GAINS.items()}
    added[CORRECTION] = recall[Strategy(1, "vectors")] - case.uncorrected
    return {name: mean_estimate(values, 0.95) for name, values in added.items()}


def write_gains(done: list[Case]) -> list[str]:
    lines = ["## What each choice adds to recall@10 without reranking", ""]
    lines += ["All else plain: axes, thresholds at the mean, symmetric search;", ""]
    lines[-2] += " levels (1, 3) are held against (1, 2) with thresholds at zero."
    names = [*GAINS, CORRECTION]
    for part, some in (("code", names[:4]), ("query", names[4:])):
        rows = [[c.name, *(signed(gains(c)[n]) for n in some)] for c in done]
        lines += table(f"gains of {part}", ["set", *some], rows)
    return lines


def recall_at(case: Case, strategy: Strategy, oversampling: tuple) -> np.ndarray:
    """Return mean recall at oversamplings, or just below them."""
    here = np.searchsorted(case.figures["grid"], np.array(oversampling) + 1e-9) - 1
    return case.recalls[strategy].mean(axis=0)[here]


def write_oversampling(done: list[Case]) -> list[str]:
    shown = [
        Strategy(1),
        Strategy(1, rotated=True),
        Strategy(1, "vectors"),
        Strategy(2),
        Strategy(2, "vectors"),
    ]
    needed: list[list[str]] = []
    by_code: dict[Strategy, list[list[str]]] = {s: [] for s in shown}
    for c in done:
        needed.append([c.name])
        for s in shown:
            recall = c.recalls[s].mean(axis=0)
            enough = c.figures["grid"][np.flatnonzero(recall >= TARGET)]
            needed[-1].append(f"{enough[0]:g}" if len(enough) else "> 50")
            at = recall_at(c, s, SHOWN_OVERSAMPLING)
            by_code[s].append([c.name, *(f"{x:.3f}" for x in at)])
    header = ["set", *(f"at {x}" for x in SHOWN_OVERSAMPLING)]
    parts = [
        line
        for s, rows in by_code.items()
        for line in folded(s.words, plain_table(header, rows))
    ]
    return [
        "## Recall@10 by oversampling",
        "",
        f"The oversampling that reaches {TARGET}:",
        "",
        *table("oversampling", ["set", *(s.words for s in shown)], needed),
        *marked("recall by oversampling", parts),
    ]


def write_rules(done: list[Case]) -> list[str]:
    """Hold rules of thumb against what was measured."""
    rows = []
    for c in done:
        f = c.figures
        single = {s: r[:, 0].mean() for s, r in c.recalls.items()}
        rotation = single[Strategy(1, rotated=True)] - single[Strategy(1)]
        centering = single[Strategy(1)] - single[Strategy(1, threshold="zero")]
        by_three, by_five = recall_at(c, Strategy(1), (3, 5))
        spiky = 1 / max(f["L1/L2"] * f["d"] ** 0.5, 1e-12)
        rows.append(
            [
                c.name,
                f"{'yes' if f['d'] >= 1024 else 'no'}: {single[Strategy(1)]:.3f}",
                f"{spiky:.3f}, {f['L1/L2']:.2f}: {rotation:+.3f}",
                f"{f['|mean|/mean|x|']:.2f}: {centering:+.3f}",
                f"{by_three:.3f}",
                f"{by_five:.3f}",
            ]
        )
    header = [
        "set",
        "d >= 1024: recall of 1 bit",
        "|x|_2/|x|_1, |x|_1/(sqrt(d)|x|_2): gain of rotation",
        "|mean|/mean|x|: gain of centering",
        "1 bit, oversampling 3",
        "1 bit, oversampling 5",
    ]
    return ["## Rules of thumb", "", *table("rules", header, rows)]


def report_advice(done: list[Case]) -> str:
    """Write what the advisor recommends, and what its bytes buy."""
    rows = []
    for c in done:
        a = c.advice
        low, high = a["interval"]
        rows.append(
            [
                c.name,
                f"{c.figures['n']:,} x {c.figures['d']}",
                a["chosen"].words if a["suitable"] else f"({a['chosen'].words})",
                f"{a['bytes']}",
                f"{a['oversampling']:g}",
                f"{a['expected']:.3f} [{low:.3f}, {high:.3f}]",
                plain_interval(a["recall"]),
                f"{a['seconds']:.0f}",
            ]
        )
    header = [
        "set",
        "rows",
        "recommended",
        "bytes",
        "oversampling",
        "recall expected",
        "recall measured",
        "seconds",
    ]
    lines = ["# What the advisor recommends", "", str(__doc__).strip(), ""]
    lines += [*describe_run([]), *(f"- {c.name}: {c.origin}" for c in done), ""]
    lines += table("advice", header, rows)
    lines += [*write_bytes(done), *write_held_out(done)]
    return "\n".join(lines) + "\n"


def write_held_out(done: list[Case]) -> list[str]:
    """Write whether more bytes find more, on queries that the advisor has not seen."""
    rows, falls, reached, halves = [], 0, [], 0
    for c in done:
        a = c.advice
        steps = a["held out"]
        ends = steps[0], steps[-1]
        changes = [
            (mean_estimate(after - before, 0.95), f"{few} to {more}")
            for (few, before), (more, after) in itertools.pairwise(steps)
        ]
        least, where = min(changes, key=lambda change: change[0].value)
        falls += bool(np.any(np.diff(a["curve"].recall) < 0))
        half = a["half"]
        halves += half[1] <= max(c.figures["d"] // 16, 1)
        if a["suitable"]:
            reached.append(a["recall"])
        rows.append(
            [
                c.name,
                f"{len(steps[0][1])}",
                f"{len(steps)}",
                *(f"{found.mean():.3f} ({n_bytes})" for n_bytes, found in ends),
                f"{signed(least)} ({where})",
            ]
        )
    header = [
        "set",
        "queries",
        "codes",
        "recall of the fewest bytes",
        "of the most",
        "least gain of one step",
    ]
    return [
        *table("bytes held out", header, rows),
        "<!-- advice verdict -->",
        "",
        f"The curve over bytes falls on {falls} of {len(done)} sets. {len(reached)} "
        f"recommendations promise the target of {TARGET}: measured recall is at "
        f"least that for {sum(r.value >= TARGET for r in reached)}, and its interval "
        f"ends below it for {sum(r.high < TARGET for r in reached)}. Within half a "
        f"bit for each coordinate a code that was measured is recommended on {halves} "
        f"of {len(done)} sets.",
        "",
        "<!-- end -->",
        "",
    ]


def write_bytes(done: list[Case]) -> list[str]:
    """Write what each number of bytes buys at best, and half a bit."""
    header = ["set", *(f"{n}" for n in BUDGETS)]

    def row(case: Case, cell: Callable[[BytesCurve, int], str]) -> list[str]:
        curve = case.advice["curve"]
        cells = [
            cell(curve, int(np.searchsorted(curve.bytes_per_row, n + 0.5)) - 1)
            for n in BUDGETS
        ]
        return [case.name, *cells]

    def recall(curve: BytesCurve, place: int) -> str:
        return f"{curve.recall[place]:.3f}" if place >= 0 else ""

    def oversampling(curve: BytesCurve, place: int) -> str:
        if place < 0:
            return ""
        least = curve.oversampling[place]
        return f"{least:g}" if np.isfinite(least) else "> 50"

    half = [
        [c.name, words, f"{n_bytes}", plain_interval(promised), plain_interval(found)]
        for c in done
        for words, n_bytes, promised, found in [c.advice["half"]]
    ]
    names = ["set", "recommended", "bytes", "recall expected", "recall measured"]
    return [
        *table("bytes recall", header, [row(c, recall) for c in done]),
        *table("bytes oversampling", header, [row(c, oversampling) for c in done]),
        *table("half a bit", names, half),
    ]


def count_within(done: list[Case], gap: str) -> int:
    """Count the sets whose recommendation is at most 0.01 behind."""
    return sum(c.advice[gap].value >= -0.01 for c in done)


def write_advice(done: list[Case]) -> list[str]:
    rows, alone = [], []
    covered = []
    for c in done:
        a = c.advice
        covered += [predicted >= needed for predicted, needed in a["covers"].values()]
        verdict = f"{a['chosen'].words}, {a['bytes']} bytes"
        low, high = a["interval"]
        rows.append(
            [
                c.name,
                f"{a['given']} queries" if a["given"] else "rows held out",
                verdict if a["suitable"] else f"not reached; nearest: {verdict}",
                f"{a['oversampling']:g}",
                f"{a['needed']:g}" if np.isfinite(a["needed"]) else "> 50",
                f"{a['expected']:.3f} [{low:.3f}, {high:.3f}]",
                plain_interval(a["recall"]),
                f"{a['seconds']:.0f}",
            ]
        )
        alone.append(
            [
                c.name,
                f"{a['single']:.3f}",
                f"{signed(a['gap to best'])}, {a['best'].words}",
                f"{signed(a['gap of left out'])}, {a['best of left out'].words}",
                signed(a["gap to plain"]),
            ]
        )
    header = [
        "set",
        "advised by",
        "recommended",
        "oversampling",
        "needed",
        "recall expected",
        "recall measured",
        "seconds",
    ]
    header_alone = [
        "set",
        "alone",
        "less the best of equal bytes",
        "the same on leave-one-out queries",
        "less the baseline code of its bytes or fewer",
    ]
    share = np.mean(covered)
    reached = [
        c.advice["oversampling"] >= c.advice["needed"]
        for c in done
        if c.advice["suitable"]
    ]
    lines = [
        "## The advisor's choice",
        "",
        f"Target: recall@10 of {TARGET} on all rows. The advisor saw the rows, and "
        "half of the queries where they are not of the same kind; measured is on the "
        "others. Alone: recall of the codes without reranking; the best of equal bytes "
        "is that of the queries it is held against, which flatters it. Leave-one-out "
        f"queries: {LEFT_OUT:,} rows, each left out of its own neighbors.",
        "",
        *table("advice", header, rows),
        *table("advice alone", header_alone, alone),
        *write_bytes(done),
        "<!-- verdict -->",
        "",
        f"Oversampling predicted for each of {len(covered)} pairs of set and strategy "
        f"covers what its recall on all rows needs in {share:.0%} of them; that of the "
        f"{len(reached)} recommendations that promise the target does in "
        f"{np.mean(reached):.0%}. Recall without reranking is within 0.01 of the best "
        f"code of equal bytes for {count_within(done, 'gap to best')} of {len(done)} "
        f"recommendations by the queries, which flatter the best, and for "
        f"{count_within(done, 'gap of left out')} by leave-one-out queries; it is "
        "within 0.01 of the baseline code or above it for "
        f"{count_within(done, 'gap to plain')}.",
        "",
        "<!-- end -->",
        "",
        "What the advisor warns of:",
        "",
    ]
    for c in done:
        lines += [f"- {c.name}: {text}" for text in c.advice["warnings"]]
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help=".npy or .npz files")
    parser.add_argument("--out", help="write the tables there, not to the terminal")
    parser.add_argument("--only-files", action="store_true")
    parser.add_argument(
        "--without-queries", action="store_true", help="let the advisor hold rows out"
    )
    parser.add_argument("--advice", metavar="FILE", help="measure the advisor alone")
    parser.add_argument("--rows", type=int, help="with --advice: first rows of a set")
    args = parser.parse_args()
    if args.advice:
        write_advice_alone(args)
        return
    done = []
    for case in cases(args.files, not args.only_files):
        start = time.perf_counter()
        measure(case)
        advise(case, not args.without_queries)
        print(f"{case.name}: {time.perf_counter() - start:.0f} s", flush=True)
        a = case.advice
        print(
            f"  {a['chosen'].words} x{a['oversampling']:g} (needs {a['needed']:g}), "
            f"{a['recall'].value:.3f}, best {signed(a['gap to best'])}, "
            f"plain {signed(a['gap to plain'])}, {a['seconds']:.0f} s",
            flush=True,
        )
        case.rows = case.queries = np.empty((0, 0))
        done.append(case)
        text = report(done)
        if args.out:  # after each set, so that nothing is lost
            out = Path(args.out)
            out.write_text(text)
            out.with_suffix(".json").write_text(as_json(done))
    if not args.out:
        print(text)


def write_advice_alone(args: argparse.Namespace) -> None:
    """Write the file anew after each set, so that nothing is lost."""
    done: list[Case] = []
    for case in cases(args.files, not args.only_files, made=False):
        case.rows = case.rows[: args.rows]
        advise_only(case)
        a = case.advice
        print(f"{case.name}: {a['chosen'].words} x{a['oversampling']:g}", flush=True)
        print(f"  {a['recall']}, {a['seconds']:.0f} s; half: {a['half']}", flush=True)
        case.rows = case.queries = np.empty((0, 0))
        done.append(case)
        Path(args.advice).write_text(report_advice(done))


def as_json(done: list[Case]) -> str:
    """Write what pictures need; a set a line."""
    entries = {
        c.name: {
            "figures": {k: float(v) for k, v in c.figures.items() if k != "grid"},
            "gains": {
                k: [round(x, 4) for x in (v.value, *v.interval)]
                for k, v in gains(c).items()
            },
            "recall at 1, 3, 5, 10": {
                s.words: [round(x, 4) for x in recall_at(c, s, SHOWN_OVERSAMPLING)]
                for s in all_strategies()
            },
        }
        for c in done
    }
    lines = [f"{json.dumps(name)}: {json.dumps(e)}" for name, e in entries.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def report(done: list[Case]) -> str:
    lines = ["# Design guide: the evidence", "", str(__doc__).strip(), ""]
    lines += [*describe_run([]), *(f"- {c.name}: {c.origin}" for c in done), ""]
    for write in (
        write_sets,
        write_recalls,
        write_gains,
        write_oversampling,
        write_rules,
        write_advice,
    ):
        lines += write(done)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
