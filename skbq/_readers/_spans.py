"""Rows of files by name, for whoever opens them: another process, another machine."""

import os
from dataclasses import dataclass

from .._utils.stored_rows import StoredRows
from ._open import open_vectors


@dataclass(frozen=True)
class FileSpan:
    """Rows that follow each other in files, not yet opened.

    Attributes
    ----------
    paths : tuple of str
        The files that hold them.
    start, stop : int
        The rows, counted through from the first of these files.
    column, ids : str or None
        As in :func:`open_vectors`.
    """

    paths: tuple[str, ...]
    start: int
    stop: int
    column: str | None = None
    ids: str | None = None

    def open(self) -> StoredRows:
        """Open the files."""
        rows = open_vectors(self.paths, column=self.column, ids=self.ids)
        return rows.span(self.start, self.stop)


def span_files(
    rows: StoredRows, span: slice, *, column: str | None, ids: str | None
) -> FileSpan:
    """Return some rows of files by name."""
    lengths = rows.lengths
    names = rows.files
    begins = [sum(lengths[:number]) for number in range(len(lengths))]
    held = [
        number
        for number, (begin, length) in enumerate(zip(begins, lengths, strict=True))
        if begin < span.stop and span.start < begin + length
    ]
    before = begins[held[0]]
    # Another process may work in another folder.
    paths = tuple(os.path.abspath(names[number]) for number in held)
    return FileSpan(paths, span.start - before, span.stop - before, column, ids)
