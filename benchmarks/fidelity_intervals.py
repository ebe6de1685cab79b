"""Three standard errors of a fidelity, each beside what other draws really show.

    python benchmarks/fidelity_intervals.py

Rows and queries are drawn anew from a normal model, coded with one and two bits, and
the error of Spearman's correlation over all pairs is computed by influence (what skbq
does), by a jackknife over ten blocks of each side and by a bootstrap of both. Printed
are the mean half-width at 95 % of each, how much it varies from draw to draw, and the
half-width that holds: 1.96 standard deviations of the fidelities of all draws.
"""

import numpy as np
from scipy.stats import rankdata

from skbq import BinaryQuantizer, TwoBitQuantizer
from skbq._utils.statistics import rank_correlation_of_pairs
from skbq._utils.timing import timed
from skbq.datasets import make_gaussian

N_DRAWS, N_ROWS, N_FEATURES = 60, 250, 96
N_BLOCKS, N_BOOTSTRAP = 10, 200


def ranks_of(values):
    """Ranks less their mean, in the shape of the values."""
    ranks = rankdata(values).reshape(values.shape)
    return ranks - ranks.mean()


def jackknife(similarity, score, rng):
    """Leave out one of ten blocks of queries, then of rows."""
    a, b = ranks_of(similarity), ranks_of(score)
    sums = [x * y for x, y in ((a, a), (b, b), (a, b))]
    variance = 0.0
    for axis in (0, 1):
        n = a.shape[axis]
        starts = np.arange(N_BLOCKS) * n // N_BLOCKS
        aa, bb, ab = (
            x.sum() - np.add.reduceat(x.sum(axis=1 - axis), starts) for x in sums
        )
        variance += (N_BLOCKS - 1) * np.var(ab / np.sqrt(aa * bb))
    return variance**0.5


def bootstrap(similarity, score, rng):
    """Draw queries and rows anew, with replacement."""
    a, b = ranks_of(similarity), ranks_of(score)
    rows, queries = (
        rng.multinomial(n, np.full(n, 1 / n), size=N_BOOTSTRAP) / n for n in a.shape
    )

    def mean(cells):
        return np.einsum("kq,kq->k", rows @ cells, queries)

    mean_a, mean_b = mean(a), mean(b)
    product = (mean(a * a) - mean_a**2) * (mean(b * b) - mean_b**2)
    return np.std((mean(a * b) - mean_a * mean_b) / np.sqrt(product))


def influence(similarity, score, rng):
    """Add up the variances of the influences, as skbq does."""
    return rank_correlation_of_pairs(similarity, score).standard_error


def pairs_of(X, quantizer):
    """Similarities and scores of half of the rows with the other half."""
    values = quantizer.transform(X).unpack()
    return tuple(v[:N_ROWS] @ v[N_ROWS:].T for v in (X, values))


def main():
    """Print a line for each quantizer and error."""
    rng = np.random.default_rng(0)
    print("quantizer        error      half-width  varies by  milliseconds")
    X = make_gaussian(
        N_DRAWS * 2 * N_ROWS, N_FEATURES, spectrum=0.8, mean=0.3, random_state=0
    )
    for quantizer in (BinaryQuantizer(), TwoBitQuantizer()):
        quantizer.fit(X)
        draws = [pairs_of(part, quantizer) for part in np.split(X, N_DRAWS)]
        found = [rank_correlation_of_pairs(*pairs).value for pairs in draws]
        name = type(quantizer).__name__
        print(f"{name:16} {'true':10} {1.96 * np.std(found):10.4f}")
        for error in (influence, jackknife, bootstrap):
            widths = 1.96 * np.array([error(*pairs, rng) for pairs in draws])
            seconds, _ = timed(lambda e=error, p=draws[0]: e(*p, rng))
            print(
                f"{name:16} {error.__name__:10} {widths.mean():10.4f} "
                f"{widths.std() / widths.mean():10.0%} {1000 * seconds:10.1f}"
            )


if __name__ == "__main__":
    main()
