"""Exponents of PCAQuantizer: "auto" against fixed ones, predicted against measured.

    python benchmarks/exponents.py [SET.npz ...] [--bits 1 2] [--rows 10000]
        [--out TABLE.md] [--keep RESULTS.json] [--families QUERIES]

A set holds the arrays ``base`` and ``queries``; the shipped embeddings come first.
Cosine, asymmetric search, recall@10 of the code alone, in as many bytes in all as the
bits take. Both schools are measured beside: as many bits for each coordinate, as the
axes are and after a random rotation, with corrections of 3 bytes on top. The prediction
minimizes equation (7.13), with the spectrum of differences of the rows' neighbors.
``docs/figures/exponents.py`` draws what ``--keep`` keeps. With ``--families`` sets are
those that ``_families.py`` generates, which nothing was tuned on, with so many queries.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from _sets import describe_run, few_rows
from codes import SEED, Skbq, rotated, unit
from sklearn.frozen import FrozenEstimator

from skbq import BinaryQuantizer, PCAQuantizer, TwoBitQuantizer
from skbq._quantization.allocation import allocate, normal_distortion
from skbq._quantization.pca import CORRECTION_BYTES, SharedAxes
from skbq._utils.estimate import mean_estimate
from skbq._utils.similarity import similarities
from skbq.theory import corrected_error

K = 10
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
DEPTH = 4
# Rows whose neighbors show along which axes they differ.
PAIRED_ROWS = 500
NAMES = {1: BinaryQuantizer(), 2: TwoBitQuantizer(levels="lloyd_max")}


def measure(quantizer, rows, queries, true) -> tuple[np.ndarray, Skbq]:
    """Return recall@10 of each query."""
    code = Skbq(rows, quantizer, "vectors")
    found = code.search(queries, K)
    limits = np.sort(true, axis=1)[:, [-K]] - 1e-6
    return (np.take_along_axis(true, found, axis=1) >= limits).mean(axis=1), code


def spectrum_of_differences(rows: np.ndarray, quantizer: PCAQuantizer):
    """Return mean squares along principal axes: of rows, of neighbors' differences."""
    centered = rows - quantizer.mean_
    # The axes that fit learns, before any rotation.
    _, directions = np.linalg.eigh(centered.T @ centered)
    turned = centered @ directions[:, ::-1]
    scores = rows[:PAIRED_ROWS] @ rows.T
    scores[np.arange(PAIRED_ROWS), np.arange(PAIRED_ROWS)] = -np.inf
    near = np.argpartition(-scores, K, axis=1)[:, :K]
    apart = turned[near] - turned[:PAIRED_ROWS, np.newaxis]
    return np.square(turned).mean(axis=0), np.square(apart).mean(axis=(0, 1))


def predicted(rows: np.ndarray, auto: PCAQuantizer, bits: float) -> float:
    """Return the exponent of least error among neighbors."""
    variances, spectrum = spectrum_of_differences(rows, auto)
    n_bits = 8 * auto.layout_.width

    def error(exponent: float) -> float:
        depths = allocate(variances, n_bits, exponent, auto.max_depth)
        lost = np.array([normal_distortion(int(depth)) for depth in depths])
        strength = auto.correction_strength_
        return corrected_error(variances, lost, spectrum, strength=strength)

    return min(EXPONENTS, key=error)


def compare(rows, queries, bits: float) -> dict:
    rows, queries = unit(rows), unit(queries)
    true = similarities(queries, rows, "cosine")
    n_bytes = int(np.ceil(bits * rows.shape[1] / 8))
    n_bytes = max(n_bytes, CORRECTION_BYTES + 1)
    settings = {"n_bytes": n_bytes, "max_depth": DEPTH, "random_state": SEED}
    axes = SharedAxes(rows, SEED)

    def of_bytes(**changed) -> tuple[np.ndarray, PCAQuantizer]:
        quantizer = axes.fit(PCAQuantizer(**{**settings, **changed}))
        return measure(FrozenEstimator(quantizer), rows, queries, true)[0], quantizer

    auto, fitted = of_bytes()
    fixed = {exponent: of_bytes(exponent=exponent)[0] for exponent in EXPONENTS}
    schools = {}
    if bits in NAMES:
        for name, quantizer in (
            ("axes", NAMES[bits]),
            ("rotated", rotated(NAMES[bits])),
        ):
            recall, code = measure(quantizer, rows, queries, true)
            schools[name] = [float(recall.mean()), code.bytes_per_row]
    deeper, _ = of_bytes(max_depth=8)
    best = max(fixed, key=lambda exponent: fixed[exponent].mean())
    gap, depth = (mean_estimate(x, 0.95) for x in (auto - fixed[best], deeper - auto))
    return {
        "bytes": n_bytes,
        "recalls": {str(e): float(fixed[e].mean()) for e in EXPONENTS},
        "auto": float(auto.mean()),
        "chosen": fitted.exponent_,
        "strength": fitted.correction_strength_,
        "corrections": fitted.correction_bytes_,
        "best": best,
        "gap": [gap.value, gap.low, gap.high],
        "deeper": [depth.value, depth.low, depth.high],
        "predicted": predicted(rows, fitted, bits),
        "schools": schools,
    }


def words(estimate: list[float]) -> str:
    value, low, high = estimate
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def table(done: dict[str, dict]) -> list[str]:
    exponents = " | ".join(f"{e:g}" for e in EXPONENTS)
    lines = [
        f'| set | bits | bytes | {exponents} | "auto" | chosen | strength '
        '| corrections | "auto" less the best fixed one | predicted best '
        "| `max_depth=8` less 4 |",
        "|" + "---|" * (10 + len(EXPONENTS)),
    ]
    for key, of in done.items():
        name, bits = key.rsplit(" ", 1)
        recalls = [
            f"**{of['recalls'][str(e)]:.3f}**"
            if e == of["best"]
            else f"{of['recalls'][str(e)]:.3f}"
            for e in EXPONENTS
        ]
        lines.append(
            f"| {name} | {bits} | {of['bytes']} | {' | '.join(recalls)} "
            f"| {of['auto']:.3f} | {of['chosen']:g} | {of['strength']:g} "
            f"| {of['corrections']} | {words(of['gap'])} | {of['predicted']:g} "
            f"| {words(of['deeper'])} |"
        )
    return lines


def report(names: list[str], done: dict[str, dict]) -> str:
    lines = ["# Exponents of PCAQuantizer", "", str(__doc__).strip(), ""]
    lines += [*describe_run(names, SEED), ""]
    lines += [
        f"Recall by exponent at `max_depth={DEPTH}`, the best fixed one in bold. With "
        "a fixed exponent too, the strength of corrections and their bytes are chosen "
        "on the rows. Differences are paired, query by query, with intervals at 95 %; "
        "the best fixed exponent was chosen on the same queries, which favors it.",
        "",
    ]
    lines += ["<!-- table -->", "", *table(done), "", "<!-- end -->", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", type=Path, metavar="SET.npz")
    parser.add_argument("--bits", nargs="+", type=float, default=[1, 2])
    parser.add_argument("--rows", type=int, default=10_000, help="rows at most")
    parser.add_argument("--out", type=Path, help="write the table there")
    parser.add_argument("--keep", type=Path, help="results, taken where they are there")
    parser.add_argument("--families", type=int, default=0, metavar="QUERIES")
    arguments = parser.parse_args()
    kept = arguments.keep
    done = json.loads(kept.read_text()) if kept and kept.exists() else {}
    names = []
    given = arguments.sets, arguments.rows, SEED, arguments.families
    for name, rows, queries in few_rows(*given):
        names.append(name)
        for bits in arguments.bits:
            key = f"{name} {bits:g}"
            if key not in done:
                done[key] = compare(rows, queries, bits)
                print(key, done[key], flush=True)
            if kept:
                kept.write_text(json.dumps(done, indent=1) + "\n")
            if arguments.out:
                arguments.out.write_text(report(names, done))
    if not arguments.out:
        print(report(names, done))


if __name__ == "__main__":
    main()
