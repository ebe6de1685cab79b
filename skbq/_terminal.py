"""What commands share: files of vectors, progress on stderr, one-line errors."""

import sys
from collections.abc import Iterator, Sequence

import numpy as np

from ._parallel import row_blocks


class InputError(Exception):
    """Something that the user gave cannot be used; the text is one line."""


def load_vectors(path: str) -> np.ndarray:
    """Map a file of vectors into memory, after a look at every row.

    Parameters
    ----------
    path : str
        A .npy file.

    Returns
    -------
    vectors : memmap of shape (n_samples, n_features)
        Floats or signed integers, as stored; finite, no row all zeros.

    Raises
    ------
    InputError
        If the file is anything else.
    """
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError):
        raise InputError(
            f"{path} is not a whole .npy file of numbers, as numpy.save writes them"
        ) from None
    if not isinstance(vectors, np.ndarray):
        raise InputError(
            f"{path} holds several arrays ({', '.join(vectors.files)}); save the one "
            "that holds the embeddings with numpy.save"
        )
    if vectors.dtype.kind not in "fi":
        raise InputError(
            f"{path} holds {vectors.dtype}, but embeddings are floats or signed "
            "integers; save X.astype(numpy.float32) if these are vectors"
        )
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise InputError(
            f"{path} has shape {vectors.shape}, but expected is (rows, coordinates)"
        )
    _refuse_bad_rows(vectors, path)
    return vectors


def _refuse_bad_rows(vectors: np.ndarray, path: str) -> None:
    for some in row_blocks(len(vectors), vectors.shape[1] * 8):
        block = vectors[some]
        for bad, what in (
            (~np.isfinite(block).all(axis=1), "holds NaN or infinity"),
            (~block.any(axis=1), "is all zeros, which have no direction"),
        ):
            if bad.any():
                first = some.start + int(np.flatnonzero(bad)[0])
                raise InputError(f"{path}: row {first} {what}; leave such rows out")


def progress(text: str) -> None:
    """Say on stderr what is being done; on a terminal over the line before."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text} ...", end="", file=sys.stderr, flush=True)
    else:
        print(f"{text} ...", file=sys.stderr, flush=True)


def clear_progress() -> None:
    """Take the line of progress off a terminal."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def print_lines(lines: Sequence[str] | Iterator[str]) -> None:
    """Print lines where progress was shown."""
    text = "\n".join(lines)
    clear_progress()
    print(text, flush=True)
