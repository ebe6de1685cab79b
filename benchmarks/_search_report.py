"""The tables that ``search.py`` writes, and whether its targets are met."""

from statistics import mean, median, stdev

from _peers import (
    BINARY_FLAT,
    DOT,
    FLOAT_ONE,
    FLOAT_TWO,
    HAMMING,
    ONE_BIT,
    PENALTY,
    SLOW,
    TWO_BITS,
)

# The size that the targets are about.
TARGET_SIZE = "1000000x768"


def report(sets):
    """Return all of it as Markdown; parts stand between comments, for the docs."""
    lines = [
        "# Search over codes",
        "",
        "Made by `python benchmarks/search.py`; its first lines say how.",
        "",
        "<!-- machine -->",
        *machine_lines(sets),
        "<!-- end -->",
        "",
        "<!-- targets -->",
        *target_lines(sets.get(TARGET_SIZE)),
        "<!-- end -->",
        "",
        "<!-- tables -->",
    ]
    for one in sets.values():
        lines += size_lines(one)
    return "\n".join(lines) + "\n"


def machine_lines(sets):
    described = {}
    for size, one in sets.items():
        machine = one["machine"]
        versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
        text = (
            f"{machine['processor']} ({', '.join(machine['features'])}), "
            f"{machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"{machine['system']}; kernels for {machine['kernel']}. "
            f"Python {machine['python']}, {versions}."
        )
        described.setdefault(text, []).append(size)
    return [
        "",
        *(f"- {', '.join(sizes)}: {text}" for text, sizes in described.items()),
        "",
    ]


def size_lines(one):
    yield ""
    yield "<details>"
    yield f"<summary>{one['rows']:,} rows of {one['d']} coordinates</summary>"
    yield ""
    yield "| method | bytes/row | built in | search adds at peak |"
    yield "|---|---:|---:|---:|"
    for names, spent in one["built_s"].items():
        for name in names.split("; "):
            peak = one["peak_mib"].get(name)
            added = "" if peak is None else f"{max(peak, 0):,.0f} MiB"
            size = f"{one['bytes_per_row'][name]:,}"
            yield f"| {name} | {size} | {spent:.1f} s | {added} |"
    for cell in one["cells"]:
        yield ""
        yield from cell_lines(one, cell)
    yield ""
    yield "</details>"
    yield ""


def cell_lines(one, cell):
    queries = "Single queries" if cell["queries"] == 1 else f"{cell['queries']} queries"
    threads = "one thread" if cell["threads"] == 1 else f"{cell['threads']} threads"
    yield f"**{queries}, k = {cell['k']}, {threads}**"
    yield ""
    yield "| method | recall | queries/s | ratio |"
    yield "|---|---:|---:|---|"
    for name, result in cell["results"].items():
        ratios = ratios_to(cell, name, one["references"][name])
        few = f" ({result['asked']} asked)" if name in SLOW else ""
        yield (
            f"| {name}{few} | {result['recall']:.3f} "
            f"| {median(result['queries_per_s']):,.0f} "
            f"| {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )


def ratios_to(cell, name, reference):
    """Return queries per second against another method's, round by round."""
    pair = (cell["results"][one]["queries_per_s"] for one in (name, reference))
    return [mine / other for mine, other in zip(*pair, strict=True)]


def target_lines(one):
    """Say of every target whether it is met, with the figure."""
    if one is None:
        return ["", f"Not measured: run with `--sizes {TARGET_SIZE}`.", ""]
    cells = {(c["queries"], c["k"], c["threads"]): c for c in one["cells"]}
    batch, single = cells.get((256, 10, 1)), cells.get((1, 10, 1))
    checks = []

    def at_least(cell, name, reference, factor):
        ratio = median(ratios_to(cell, name, reference))
        words = f"{name}: {ratio:.2f} times {reference}, wanted {factor}"
        checks.append((ratio >= factor, words))

    def no_worse(name, reference):
        """Not lower by more than chance: 1.96 standard errors over the queries."""
        pair = (batch["results"][n]["hits"].split() for n in (name, reference))
        gaps = [(int(a) - int(b)) / batch["k"] for a, b in zip(*pair, strict=True)]
        error = 1.96 * stdev(gaps) / len(gaps) ** 0.5
        mine, other = (batch["results"][n]["recall"] for n in (name, reference))
        words = (
            f"{name}: recall@10 {mine:.3f}, {reference} {other:.3f}, "
            f"difference {mean(gaps):+.4f} +- {error:.4f}"
        )
        checks.append((mean(gaps) + error >= 0, words))

    if batch:
        at_least(batch, HAMMING, BINARY_FLAT, 4.5)
        at_least(batch, PENALTY, BINARY_FLAT, 1.5)
        at_least(batch, DOT, BINARY_FLAT, 1.5)
        at_least(batch, FLOAT_ONE, ONE_BIT, 4.5)
        no_worse(FLOAT_ONE, ONE_BIT)
        at_least(batch, FLOAT_TWO, TWO_BITS, 2.5)
        no_worse(FLOAT_TWO, TWO_BITS)
    if single:
        at_least(single, HAMMING, BINARY_FLAT, 1)
    two_threads = cells.get((256, 10, 2))
    if batch and two_threads:
        mine, theirs = (
            median(two_threads["results"][name]["queries_per_s"])
            / median(batch["results"][name]["queries_per_s"])
            for name in (HAMMING, BINARY_FLAT)
        )
        words = f"two threads: {mine:.2f} times one, {BINARY_FLAT} {theirs:.2f}"
        checks.append((mine >= theirs, words))
    (ours, fits), (peer, adds) = one["fit_s"].items()
    words = f"{ours}: {median(fits):.2f} s, {peer} {median(adds):.2f} s"
    checks.append((median(fits) <= median(adds), words))
    mapped = one["mapped"]
    if mapped["added_mib"] is not None:
        words = (
            f"search over a mapped file of {mapped['file_mib']:.0f} MiB adds "
            f"{mapped['added_mib']:.0f} MiB, working memory {mapped['working_memory']}"
        )
        checks.append((mapped["added_mib"] <= mapped["working_memory"], words))
    lines = [f"- {'PASS' if met else 'FAIL'} {words}" for met, words in checks]
    return ["", f"At {TARGET_SIZE}, k = 10:", "", *lines, ""]
