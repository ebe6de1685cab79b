"""Compare fast rotations with a Haar rotation: how random, and how fast.

Run it as ``python benchmarks/rotation.py``. The cosine transform is tried with one to
four rounds, "hadamard" as it is. For Q of each kind: the fourth moment of
its entries, d^2 E q^4 (Haar: 3 d / (d + 2)); the largest entry, in 1 / sqrt(d); how
much the variances of rotated coordinates spread (std / mean) for a spectrum 1 / i,
where an even spread is what a rotation is used for; and its distance from being
orthogonal. Then the time of a row of float32, in microseconds, best of five, one
thread.
"""

import time

import numpy as np
from scipy.fft import dct
from scipy.stats import ortho_group
from threadpoolctl import threadpool_limits

from skbq import RandomRotation

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


def row_time(method, d):
    X = np.random.default_rng(SEED).standard_normal((4096, d), np.float32)
    rotation = RandomRotation(method, random_state=SEED).fit(X[:1])
    rotation.transform(X[:1])  # compile
    times = []
    for _ in range(5):
        start = time.perf_counter()
        rotation.transform(X)
        times.append(time.perf_counter() - start)
    return min(times) / len(X) * 1e6


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
        kinds["hadamard"] = lambda d=d, rng=rng: (
            RandomRotation("hadamard", random_state=int(rng.integers(2**31)))
            .fit(np.zeros((1, d)))
            .matrix()
        )
        for name, draw in kinds.items():
            mean = np.mean([figures(draw()) for _ in range(DRAWS)], axis=0)
            fourth, largest, spread, error = mean
            print(
                f"{d:5d} {name:>9} {fourth:10.3f} {largest:8.2f} {spread:7.3f} "
                f"{error:8.0e}"
            )
    print(f"\n{'d':>5} {'haar':>9} {'dct':>9} {'hadamard':>9}")
    with threadpool_limits(1):
        for d in (128, 384, 768, 1024, 1536):
            spent = [row_time(method, d) for method in ("haar", "dct", "hadamard")]
            print(f"{d:5d} " + " ".join(f"{t:9.1f}" for t in spent))


if __name__ == "__main__":
    main()
