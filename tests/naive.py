"""Slow and obvious: what every codec and kernel must agree with, bit for bit.

Everything here goes coordinate by coordinate over what a code means and knows nothing
of packed bits.
"""

import numpy as np


def signs(X, thresholds):
    return np.array(
        [[x > t for x, t in zip(row, thresholds, strict=True)] for row in X]
    )


def strong_by_row(X, thresholds, factor=1):
    size = np.abs(np.ascontiguousarray(X) - thresholds)
    return np.array([row > row.mean() * factor for row in size])


def strong_by_coordinate(X, thresholds, limits):
    return np.abs(X - thresholds) > limits


def levels(positive, strong, low, high):
    size = np.where(strong, high, low)
    return np.where(positive, size, -size)


def code_distance(x, y, metric):
    """Distance of two codes given as (positive, strong, (low, high)) triples."""
    (s, m, (low, high)), (t, n, _) = x, y
    total = 0
    for i in range(len(s)):
        weak_strong = int(m[i]) != int(n[i])
        if metric == "hamming":
            total += int(s[i] != t[i]) + int(weak_strong)
        elif metric == "penalty":
            total += (1 + int(m[i])) * (1 + int(n[i])) if s[i] != t[i] else 0
        else:
            product = (high if m[i] else low) * (high if n[i] else low)
            total += high * high - (product if s[i] == t[i] else -product)
    return float(total)


def code_distances(rows, queries, metric, pair=(1, 1)):
    """All distances, (n_queries, n_rows), of codes given as (positive, strong)."""
    (s, m), (t, n) = rows, queries
    return np.array(
        [
            [
                code_distance((s[r], m[r], pair), (t[q], n[q], pair), metric)
                for r in range(len(s))
            ]
            for q in range(len(t))
        ]
    )


def nearest(distances, k, left_out=None):
    """The k nearest of a full matrix, equal distances in order of rows."""
    found, rows = [], []
    for q, row in enumerate(distances):
        order = sorted(range(len(row)), key=lambda r: (row[r], r))
        if left_out is not None:
            order.remove(left_out[q])
        rows.append(order[:k])
        found.append([row[r] for r in order[:k]])
    return np.array(found), np.array(rows)


def exact_distance(x, y, metric):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if metric == "euclidean":
        return np.sqrt(np.sum((x - y) ** 2))
    if metric == "inner_product":
        return -np.dot(x, y)
    return 1 - np.dot(x, y) / np.sqrt(np.dot(x, x) * np.dot(y, y))


def exact_distances(X, Y, metric):
    return np.array([[exact_distance(x, y, metric) for x in X] for y in Y])


def largest_change(before, after, metric):
    """By how much steps change what a metric compares, relatively, at most."""
    pairs = []
    for r, (x, z) in enumerate(zip(before, after, strict=True)):
        x, z = np.asarray(x, np.float64), np.asarray(z, np.float64)
        if metric != "euclidean":
            pairs.append((np.dot(x, x), np.dot(z, z), np.dot(x, x)))
        if r > 0:
            was, became = before[r - 1].astype(float), after[r - 1].astype(float)
            if metric == "euclidean":
                old, new = np.sum((x - was) ** 2), np.sum((z - became) ** 2)
                pairs.append((old, new, max(old, new)))
            else:
                size = np.sqrt(np.dot(x, x) * np.dot(was, was))
                pairs.append((np.dot(x, was), np.dot(z, became), size))
    changes = [abs(new - old) / size for old, new, size in pairs if size > 0]
    return max(changes, default=0.0)


def estimated_distance(x, y, values, c, metric):
    """The corrected estimate, straight from its formula, for one row and one query.

    ``values`` are the code's levels of x, ``c`` the thresholds.
    """
    x, y, c = (np.asarray(v, np.float64) for v in (x, y, c))
    a = x - c
    along = np.dot(values, a)
    f = np.dot(a, a) / along if along > 0 else 0.0
    if metric == "euclidean":
        squared = np.dot(a, a) + np.dot(y - c, y - c) - 2 * f * np.dot(values, y - c)
        return np.sqrt(max(squared, 0))
    inner = f * np.dot(values, y - c) + np.dot(a, c) + np.dot(c, y)
    return 1 - inner if metric == "cosine" else -inner


def nearest_level(u, levels):
    """Number of the level nearest to u; of two, the lower one."""
    return min(range(len(levels)), key=lambda i: (abs(u - levels[i]), i))


def mixed_numbers(z, depths, levels, scales, rounds):
    """Level numbers of one row: those nearest to a multiple that codes improve."""

    def nearest(factor):
        return [
            nearest_level(factor * x / scale, levels[depth])
            for x, depth, scale in zip(z, depths, scales.astype(float), strict=True)
        ]

    numbers = nearest(1.0)
    for _ in range(rounds):
        code = np.array(
            [
                levels[depth][number] * scale
                for number, depth, scale in zip(numbers, depths, scales, strict=True)
            ]
        )
        if code @ z > 0:
            numbers = nearest(code @ code / (code @ z))
    return numbers
