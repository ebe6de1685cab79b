"""Products of rows and a matrix that do not depend on the rows beside them.

Codes hang on the last bit of a product, and a query must get the code that it would
get in a batch. BLAS does not promise that: it cuts a product into tiles by its whole
shape and its number of threads, and computes the tiles at the edges by other loops,
which add in another order. On a processor with AVX-512, most rows of 185 or 300 float64
coordinates differed in their last bits from the same rows alone.

Here no tile is at an edge: rows are filled up to a multiple of 16 and columns to one of
32, which covers the tiles of all kernels known, and BLAS uses one thread.
"""

import numpy as np

from .parallel import even_slices, fixed_blocks, one_blas_thread, run_threads

# Multiples of the tiles of OpenBLAS's kernels, up to 16 by 32 of float32 (AVX-512).
_TILE_ROWS = 16
_TILE_COLUMNS = 32
# Rows at a time: 768 coordinates of them stay in a second-level cache.
_BLOCK_ROWS = 256
# Multiplications that pay for a thread, which takes a tenth of a millisecond to start.
_WORK_OF_A_THREAD = 2**26


def row_products(
    X: np.ndarray, matrix: np.ndarray, dtype: np.dtype | None = None
) -> np.ndarray:
    """Return ``X @ matrix``, each row as if it were alone.

    Parameters
    ----------
    X : ndarray of shape (n_rows, d)
    matrix : ndarray of shape (d, k), dtype float64
    dtype : dtype, default=None
        Of the result; None: float64, in which all is computed.

    Returns
    -------
    products : ndarray of shape (n_rows, k)
    """
    n_rows, k = len(X), matrix.shape[1]
    out = np.empty((n_rows, k), dtype)
    matrix = _fill_columns(matrix)

    def multiply(blocks: list[slice]) -> None:
        # Memory that is asked for anew is cleared anew: one room serves all blocks.
        most = _filled_length(min(n_rows, _BLOCK_ROWS))
        filled, products = (np.empty((most, n)) for n in matrix.shape)
        for rows in blocks:
            n = rows.stop - rows.start
            length = _filled_length(n)
            filled[:n], filled[n:length] = X[rows], 0
            np.matmul(filled[:length], matrix, out=products[:length])
            out[rows] = products[:n, :k]

    blocks = list(fixed_blocks(n_rows, _BLOCK_ROWS))
    n_threads = min(
        one_blas_thread.n_threads(), 1 + n_rows * matrix.size // _WORK_OF_A_THREAD
    )
    parts = even_slices(len(blocks), n_threads)
    with one_blas_thread:
        run_threads(multiply, [blocks[part] for part in parts])
    return out


def _filled_length(n_rows: int) -> int:
    return -(-n_rows // _TILE_ROWS) * _TILE_ROWS


def _fill_columns(matrix: np.ndarray) -> np.ndarray:
    """Append zeros; a matrix that is wide enough stays, in either order."""
    missing = -matrix.shape[1] % _TILE_COLUMNS
    if not missing:
        return matrix
    return np.hstack([matrix, np.zeros((len(matrix), missing))])
