"""Sums of values by the cell of a code that they fell into."""

from ._compiling import kernel


@kernel
def add_to_cells(cells, values, counts, sums):
    """Add a block of rows to the counts and sums of their cells.

    Parameters
    ----------
    cells : uint8 array (n_rows, n_features)
        Number of the cell of each coordinate.
    values : float32 or float64 array (n_rows, n_features)
    counts : int64 array (n_cells, n_features)
        Changed.
    sums : float64 array (n_cells, n_features)
        Changed.
    """
    for r in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            counts[cells[r, j], j] += 1
            sums[cells[r, j], j] += values[r, j]
