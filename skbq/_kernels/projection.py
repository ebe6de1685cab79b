"""Products of rows with a matrix, whose bits depend on the row and the matrix alone.

BLAS adds the products of a row in an order that depends on where the row stands in its
block and on the number of rows and threads, so that the last bits of a row change with
the rows beside it, and a code with them. Here each product is added to the sum before
it, coordinate after coordinate, in float32. Six rows at a time share the loaded columns
of the matrix, sixteen in a *panel*: that is about as fast as BLAS.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import inlined, kernel
from .simd import INSTRUCTIONS, Vector, pointer, splat, store, zeros_of

# Columns of a panel.
PANEL = 16
_FLOAT = ir.FloatType()
_FLOATS = Vector("16 float32", ir.VectorType(_FLOAT, PANEL))
_zeros = zeros_of(_FLOATS)


def as_panels(matrix: np.ndarray) -> np.ndarray:
    """Cut the columns of a matrix into panels, the last one filled up with zeros.

    Parameters
    ----------
    matrix : ndarray of shape (d, n_columns)

    Returns
    -------
    panels : ndarray of shape (n_panels, d, 16), dtype float32
    """
    d, n_columns = matrix.shape
    n_panels = -(-n_columns // PANEL)
    filled = np.zeros((d, n_panels * PANEL), np.float32)
    filled[:, :n_columns] = matrix
    return np.ascontiguousarray(filled.reshape(d, n_panels, PANEL).transpose(1, 0, 2))


@intrinsic
def _load_floats(typing, array, offset):
    """Load the 16 floats that start ``offset`` bytes into an array."""

    def emit(context, builder, signature, args):
        target = _FLOATS.llvm_type
        place = pointer(context, builder, signature.args[0], *args, target)
        return builder.load(place, align=4, typ=target)

    return _FLOATS(array, types.int64), emit


@intrinsic
def _add_product(typing, sums, rows, offset, column):
    """Add the float at ``offset`` bytes, times 16 floats, to 16 sums."""

    def emit(context, builder, signature, args):
        sums, rows, offset, column = args
        place = pointer(context, builder, signature.args[1], rows, offset, _FLOAT)
        factor = splat(builder, builder.load(place, align=4, typ=_FLOAT), PANEL)
        return builder.fadd(sums, builder.fmul(factor, column))

    return _FLOATS(_FLOATS, rows, types.int64, _FLOATS), emit


@kernel
def _project_plain(rows, panels, out):
    for r in range(rows.shape[0]):
        for p in range(panels.shape[0]):
            for j in range(PANEL):
                total = np.float32(0)
                for k in range(rows.shape[1]):
                    total += rows[r, k] * panels[p, k, j]
                out[r, PANEL * p + j] = total


@inlined
def _project_six(rows, panels, p, r, out):
    """Compute the products of rows r to r + 5 with a panel."""
    d = rows.shape[1]
    size = 4 * d
    s0 = s1 = s2 = s3 = s4 = s5 = _zeros()
    for k in range(d):
        column = _load_floats(panels, (p * d + k) * 4 * PANEL)
        place = r * size + 4 * k
        s0 = _add_product(s0, rows, place, column)
        s1 = _add_product(s1, rows, place + size, column)
        s2 = _add_product(s2, rows, place + 2 * size, column)
        s3 = _add_product(s3, rows, place + 3 * size, column)
        s4 = _add_product(s4, rows, place + 4 * size, column)
        s5 = _add_product(s5, rows, place + 5 * size, column)
    line = 4 * out.shape[1]
    place = r * line + 4 * PANEL * p
    store(out, place, s0)
    store(out, place + line, s1)
    store(out, place + 2 * line, s2)
    store(out, place + 3 * line, s3)
    store(out, place + 4 * line, s4)
    store(out, place + 5 * line, s5)


@inlined
def _project_one(rows, panels, p, r, out):
    d, sums = rows.shape[1], _zeros()
    for k in range(d):
        column = _load_floats(panels, (p * d + k) * 4 * PANEL)
        sums = _add_product(sums, rows, 4 * (r * d + k), column)
    store(out, 4 * (r * out.shape[1] + PANEL * p), sums)


@kernel
def _project_vector(rows, panels, out):
    n_rows = rows.shape[0]
    whole = n_rows // 6 * 6
    for p in range(panels.shape[0]):
        for r in range(0, whole, 6):
            _project_six(rows, panels, p, r, out)
        for r in range(whole, n_rows):
            _project_one(rows, panels, p, r, out)


# project(rows, panels, out): float32 (n_rows, d), (n_panels, d, 16) as ``as_panels``
# gives them, read-only, and (n_rows, 16 * n_panels), which is filled.
project = _project_plain if INSTRUCTIONS == "portable" else _project_vector
