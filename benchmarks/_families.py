"""Families of generated rows, which nothing in skbq was tuned on.

Each takes numbers of rows and of queries and a generator, and draws both alike. They
differ in what codes depend on: how variances fall, whether rows have their energy in
the same coordinates, clusters, signs, and the number of coordinates, from 16 to 1,536.
"""

from collections.abc import Callable, Iterator

import numpy as np

Rng = np.random.Generator
Family = Callable[[int, Rng], np.ndarray]


def haar(d: int, rng: Rng) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def power_law(d: int, power: float) -> Family:
    """Draw normal rows whose variances fall as rank^-power, in a random basis."""

    def draw(n: int, rng: Rng) -> np.ndarray:
        scales = np.arange(1, d + 1) ** (-power / 2)
        basis = haar(d, rng)
        return (rng.standard_normal((n, d)) * scales) @ basis

    return draw


def clusters(d: int, n_clusters: int, spread: float) -> Family:
    """Draw a mixture of unequal clusters, each of its own shape."""

    def draw(n: int, rng: Rng) -> np.ndarray:
        centers = rng.standard_normal((n_clusters, d))
        scales = spread * rng.gamma(1, 1, (n_clusters, d)) ** 0.5
        shares = rng.dirichlet(np.ones(n_clusters))
        of = rng.choice(n_clusters, n, p=shares)
        return centers[of] + scales[of] * rng.standard_normal((n, d))

    return draw


def sources(d: int, freedom: float) -> Family:
    """Mix independent sources of heavy tails: each row has its energy elsewhere."""

    def draw(n: int, rng: Rng) -> np.ndarray:
        scales = np.arange(1, d + 1) ** -0.25
        basis = haar(d, rng)
        return (rng.standard_t(freedom, (n, d)) * scales) @ basis

    return draw


def scaled_normal(d: int, freedom: float) -> Family:
    """Draw rows of one shape whose lengths have heavy tails, around a strong mean."""

    def draw(n: int, rng: Rng) -> np.ndarray:
        rows = power_law(d, 0.7)(n, rng)
        lengths = np.sqrt(freedom / rng.chisquare(freedom, (n, 1)))
        return rng.standard_normal(d) * 0.3 + rows * lengths

    return draw


def blocks(d: int, size: int) -> Family:
    """Draw blocks of correlated coordinates, each block as strong as it likes."""

    def draw(n: int, rng: Rng) -> np.ndarray:
        n_blocks = d // size
        strengths = rng.gamma(1, 1, n_blocks) + 0.1
        common = rng.standard_normal((n, n_blocks, 1))
        own = rng.standard_normal((n, n_blocks, size))
        rows = (0.8 * common + 0.6 * own) * strengths[:, np.newaxis]
        return rows.reshape(n, d)

    return draw


def words(d: int, n_topics: int) -> Family:
    """Draw counts of words, weighted as in TF-IDF: sparse, nonnegative."""

    def draw(n: int, rng: Rng) -> np.ndarray:
        common = np.arange(1, d + 1) ** -0.8
        topics = rng.dirichlet(common / common.sum() * 40, n_topics)
        mixed = rng.dirichlet(np.full(n_topics, 0.1), n) @ topics
        counts = rng.poisson(mixed * rng.integers(30, 120, (n, 1)))
        frequent = (counts > 0).mean(axis=0) + 1 / n
        return np.log1p(counts) * np.log(1 / frequent)

    return draw


def patches(side: int, n_waves: int) -> Family:
    """Draw patches of images of edges and slopes, bright or dark, of any contrast."""

    def draw(n: int, rng: Rng) -> np.ndarray:
        y, x = np.mgrid[:side, :side].reshape(2, -1) / side - 0.5
        rows = np.zeros((n, side * side))
        for _ in range(n_waves):
            angle, phase = rng.uniform(0, 2 * np.pi, (2, n, 1))
            along = np.cos(angle) * x + np.sin(angle) * y
            width = rng.lognormal(-1, 1, (n, 1))
            edge = np.tanh((along - 0.5 * np.sin(phase)) / width)
            rows += edge * rng.standard_normal((n, 1))
        rows += rng.uniform(1, 3, (n, 1)) + 0.05 * rng.standard_normal(rows.shape)
        return np.maximum(rows, 0)

    return draw


def network(d: int, latent: int) -> Family:
    """Draw activations of a random network of two layers, of few hidden causes."""

    def draw(n: int, rng: Rng) -> np.ndarray:
        first = rng.standard_normal((latent, 2 * d)) / latent**0.5
        second = rng.standard_normal((2 * d, d)) / d**0.5
        hidden = np.maximum(rng.standard_normal((n, latent)) @ first, 0)
        return np.maximum(hidden @ second, 0)

    return draw


def signs(d: int, n_kinds: int) -> Family:
    """Draw coordinates of two values each, as from attributes that go together."""

    def draw(n: int, rng: Rng) -> np.ndarray:
        kinds = rng.beta(0.5, 0.5, (n_kinds, d))
        return (rng.random((n, d)) < kinds[rng.integers(n_kinds, size=n)]) * 1.0

    return draw


FAMILIES: dict[str, Family] = {
    "isotropic 32": power_law(32, 0),
    "isotropic 384": power_law(384, 0),
    "power law 1, 16": power_law(16, 1),
    "power law 1, 256": power_law(256, 1),
    "power law 2, 64": power_law(64, 2),
    "clusters 24": clusters(24, 40, 0.5),
    "clusters 192": clusters(192, 200, 0.7),
    "sources 64": sources(64, 3),
    "sources 512": sources(512, 2.5),
    "heavy lengths 300": scaled_normal(300, 3),
    "blocks 768": blocks(768, 16),
    "words 512": words(512, 50),
    "patches 64": patches(8, 4),
    "patches 256": patches(16, 8),
    "network 48": network(48, 8),
    "attributes 128": signs(128, 300),
    "power law .5, 1536": power_law(1536, 0.5),
    "network 1536": network(1536, 64),
}


def draw_families(
    n_rows: int, n_queries: int, seed: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, rows and queries, float32, without rows of zeros."""
    for place, (name, draw) in enumerate(FAMILIES.items()):
        rng = np.random.default_rng([seed, place])
        both = draw(n_rows + n_queries, rng).astype(np.float32)
        rows, queries = both[:n_rows], both[n_rows:]
        yield name, rows[rows.any(axis=1)], queries[queries.any(axis=1)]
