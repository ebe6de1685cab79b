"""Slow and obvious twin of the look-up scan, with its order of additions.

Rows and queries are unpacked bits: (signs, strong), bool arrays (n, d).
"""

import numpy as np


def unpack(codes, d):
    if codes.dtype == np.uint8:
        signs = np.unpackbits(codes, axis=1, count=d).astype(bool)
        return signs, np.zeros_like(signs)
    planes = codes.view(np.uint8).reshape(*codes.shape, 2)
    return tuple(
        np.unpackbits(np.ascontiguousarray(planes[:, :, i]), axis=1, count=d) > 0
        for i in (0, 1)
    )


def code_distances(rows, queries, costs):
    """Costs times counts of coordinates, added in their order, in float64."""
    (s, m), (t, n) = rows, queries
    if len(costs) == 2:
        costs = [costs[0], 0, 0, costs[1], 0, 0]
    distances = np.zeros((len(t), len(s)))
    for q in range(len(t)):
        which = 3 * (s != t[q]) + m.astype(int) + n[q]
        for c in range(6):
            distances[q] += costs[c] * (which == c).sum(axis=1)
    return distances


def estimates(rows, queries, levels, offset, scale):
    """``offset + scale * product`` in float64, the product in 32 running sums."""
    signs, strong = rows
    low, high = levels
    values = np.where(strong, high, low) * np.where(signs, 1.0, -1.0)
    distances = np.empty((len(queries), len(signs)))
    for q, query in enumerate(queries.astype(np.float64)):
        s = np.zeros((32, len(signs)))
        for i in range(len(query)):
            s[i % 32] += query[i] * values[:, i]
        t = (s[:8] + s[8:16]) + (s[16:24] + s[24:])
        product = ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]))
        distances[q] = offset.astype(np.float64) + scale.astype(np.float64) * product
    return distances


def counting(distances, left_out=None, mask=None):
    """Rows that count for each query, by (distance, row)."""
    for q, row in enumerate(distances):
        rows = [
            r
            for r in range(len(row))
            if (left_out is None or r != left_out[q]) and (mask is None or mask[r])
        ]
        yield sorted(rows, key=lambda r: (row[r], r))


def nearest(distances, k, left_out=None, mask=None):
    found = np.full((len(distances), k), np.inf)
    rows = np.full((len(distances), k), -1)
    for q, order in enumerate(counting(distances, left_out, mask)):
        best = order[:k]
        found[q, : len(best)], rows[q, : len(best)] = distances[q, best], best
    return found, rows


def within(distances, radii, left_out=None, mask=None):
    """Rows within the query's radius, in the order of rows."""
    found, rows, starts = [], [], [0]
    for q, order in enumerate(counting(distances, left_out, mask)):
        near = sorted(r for r in order if distances[q, r] <= radii[q])
        found += [distances[q, r] for r in near]
        rows += near
        starts.append(len(rows))
    return np.array(found), np.array(rows, np.int64), np.array(starts)


def sums_of_entries(codes, tables):
    """For each table, the sum over nibbles of what it holds for them."""
    nibbles = np.stack([codes >> 4, codes & 15], axis=2).reshape(len(codes), -1)
    lines = range(nibbles.shape[1])
    return [
        [sum(int(table[line, row[line]]) for line in lines) for row in nibbles]
        for table in tables
    ]


def estimates_by_nibble(codes, queries, coordinates, values, offset, scale):
    """The same for codes of mixed depth, whose nibbles add float32 numbers.

    Nibble i is added to the (i modulo 4)th of four running sums.
    """
    nibbles = np.stack([codes >> 4, codes & 15], axis=2).reshape(len(codes), -1)
    distances = np.empty((len(queries), len(codes)))
    for q, query in enumerate(queries.astype(np.float64)):
        s = np.zeros((4, len(codes)))
        for line in range(len(coordinates)):
            total = np.zeros(16)
            for slot, i in enumerate(coordinates[line]):
                if i >= 0:
                    total += query[i] * values[line, slot].astype(np.float64)
            s[line % 4] += total.astype(np.float32)[nibbles[:, line]]
        product = (s[0] + s[1]) + (s[2] + s[3])
        distances[q] = offset.astype(np.float64) + scale.astype(np.float64) * product
    return distances
