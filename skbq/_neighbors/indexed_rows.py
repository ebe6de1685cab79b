"""The rows of an index: what search reads and what adding and removing change."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from ..codes import CodeArray, with_layout
from .encoding import EncodedRows
from .float_queries import Corrections
from .growable import extend


@dataclass(frozen=True)
class IndexedRows:
    """Rows in the order of their numbers. Changes give a new object.

    Attributes
    ----------
    codes : CodeArray of shape (n_rows, ceil(d / 8))
    corrections : Corrections or None
        None where float queries were not asked for.
    vectors : ndarray of shape (n_rows, n_features) or None
        As given, kept for reranking.
    removed : ndarray of shape (n_rows,), dtype bool, or None
        Rows that are never found; None: there are none.
    """

    codes: CodeArray
    corrections: Corrections | None = None
    vectors: np.ndarray | None = None
    removed: np.ndarray | None = None
    # The larger arrays that those above are views of, by name: see ``extend``.
    _capacity: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def n_removed(self) -> int:
        """Number of rows that were removed."""
        return 0 if self.removed is None else int(self.removed.sum())

    @property
    def bytes_per_row(self) -> int:
        """Memory for each row but for its vector."""
        columns = [] if self.corrections is None else self.corrections.columns
        code = self.codes.itemsize * self.codes.shape[1]
        return code + sum(column.itemsize for column in columns)

    @property
    def vector_bytes_per_row(self) -> int:
        """Memory for each row's vector; 0 if it is not kept."""
        return 0 if self.vectors is None else self.vectors[:1].nbytes

    def mask(self, given: np.ndarray | None) -> np.ndarray | None:
        """Return which rows may be found, of those given; None for all."""
        if self.removed is None:
            return given
        return ~self.removed if given is None else given & ~self.removed

    def with_added(self, encoded: EncodedRows, vectors: np.ndarray | None) -> Self:
        """Add rows behind the others.

        Capacity is made for more rows than come, so that adding few at a time stays
        cheap. Only the object that is returned may be added to.
        """
        capacity, codes = self._capacity, self.codes
        plain = extend(capacity, "codes", np.asarray(codes), np.asarray(encoded.codes))
        removed, kept = self.removed, self.vectors
        assert codes.layout is not None
        if kept is not None:
            assert vectors is not None
            kept = extend(capacity, "vectors", kept, vectors)
        if removed is not None:
            none = np.zeros(len(encoded.codes), bool)
            removed = extend(capacity, "removed", removed, none)
        assert codes.layout is not None
        return replace(
            self,
            codes=with_layout(plain, codes.layout),
            corrections=self._with_added_corrections(encoded.corrections),
            vectors=kept,
            removed=removed,
        )

    def _with_added_corrections(self, added: Corrections | None) -> Corrections | None:
        kept = self.corrections
        if kept is None or added is None:
            return kept
        names = ("scale", "offset", "norms")
        pairs = zip(names, kept.columns, added.columns, strict=False)
        columns = [extend(self._capacity, *pair) for pair in pairs]
        return kept.with_columns(columns, added.distortion)

    def with_removed(self, rows: np.ndarray) -> Self:
        """Take out rows; all others keep their numbers.

        Raises
        ------
        ValueError
            If a row is not there.
        """
        n = len(self)
        there = (rows >= 0) & (rows < n)
        if self.removed is not None:
            there[there] = ~self.removed[rows[there]]
        if not there.all():
            raise ValueError(
                f"Rows {rows[~there][:5].tolist()} cannot be removed: the index has "
                f"rows 0 to {n - 1}, and each can be removed once."
            )
        # A new array: copies of the index may hold the former one.
        removed = np.zeros(n, bool) if self.removed is None else self.removed.copy()
        removed[rows] = True
        return replace(self, removed=removed)

    def without_capacity(self) -> Self:
        """Return the same rows to be added to on their own."""
        return replace(self, _capacity={})

    def __getstate__(self) -> dict:
        # Capacity is not worth saving. Some ways of saving, such as skops, keep of an
        # array no more than its numbers.
        state = {**vars(self), "_capacity": {}}
        return {**state, "codes": np.asarray(self.codes), "layout": self.codes.layout}

    def __setstate__(self, state: dict) -> None:
        codes, layout = state["codes"], state.get("layout")
        if layout is not None:
            codes = with_layout(codes, layout)
        vars(self).update({k: v for k, v in state.items() if k != "layout"})
        vars(self)["codes"] = codes
