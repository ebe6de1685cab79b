"""Compare the rounds of the cosine-transform rotation with a Haar rotation.

Run it as ``python benchmarks/rotation.py``. For Q of each kind: the fourth moment of
its entries, d^2 E q^4 (Haar: 3 d / (d + 2)); the largest entry, in 1 / sqrt(d); how
much the variances of rotated coordinates spread (std / mean) for a spectrum 1 / i,
where an even spread is what a rotation is used for; and its distance from being
orthogonal.
"""

import numpy as np
from scipy.fft import dct
from scipy.stats import ortho_group

DRAWS = 10
SEED = 0


def dct_rotation(d, rounds, rng):
    Q = np.eye(d)
    for _ in range(rounds):
        Q = dct(Q * rng.choice([-1, 1], d), norm="ortho", axis=1)
    return Q


def figures(Q):
    d = len(Q)
    spectrum = 1.0 / np.arange(1, d + 1)
    variances = spectrum @ Q**2
    return (
        d**2 * np.mean(Q**4),
        np.sqrt(d) * np.abs(Q).max(),
        variances.std() / variances.mean(),
        np.abs(Q @ Q.T - np.eye(d)).max(),
    )


def main():
    print(f"means of {DRAWS} draws, seed {SEED}")
    print(
        f"{'d':>5} {'rotation':>9} {'d^2 E q^4':>10} {'largest':>8} {'spread':>7} "
        f"{'error':>8}"
    )
    for d in (32, 100, 384, 768):
        rng = np.random.default_rng(SEED)
        kinds = {"haar": lambda d=d, rng=rng: ortho_group.rvs(d, random_state=rng)}
        for rounds in (1, 2, 3, 4):
            kinds[f"dct {rounds}"] = lambda d=d, r=rounds, rng=rng: dct_rotation(
                d, r, rng
            )
        for name, draw in kinds.items():
            mean = np.mean([figures(draw()) for _ in range(DRAWS)], axis=0)
            fourth, largest, spread, error = mean
            print(
                f"{d:5d} {name:>9} {fourth:10.3f} {largest:8.2f} {spread:7.3f} "
                f"{error:8.0e}"
            )


if __name__ == "__main__":
    main()
