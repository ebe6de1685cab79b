"""The rows of an index: what search reads and what adding and removing change."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from .._kernels.dispatch import most_common_sign
from .._kernels.inverted_lists import ListedRows
from .._kernels.memory import mapping_of, read_only
from ..codes import CodeArray, with_layout
from .brute_force import scale_directions
from .encoding import EncodedRows
from .float_queries import Corrections
from .growable import extend
from .inverted_lists import Lists

# Added rows that are compared behind the lists, as a share of all, before all rows are
# listed again.
_MOST_ADDED = 1 / 8


@dataclass(frozen=True)
class IndexedRows:
    """Rows in the order of their numbers, or list after list.

    Changes give a new object.

    Attributes
    ----------
    codes : CodeArray of shape (n_rows, ceil(d / 8))
        As they are stored: of rows in lists, in the order that ``lists`` tells.
    corrections : Corrections or None
        Stored as codes are; None where float queries were not asked for.
    vectors : ndarray of shape (n_rows, n_features) or None
        As given, kept for reranking.
    removed : ndarray of shape (n_rows,), dtype bool, or None
        Rows that are never found; None: there are none.
    lists : Lists or None
        None where codes are stored in the order of row numbers.
    """

    codes: CodeArray
    corrections: Corrections | None = None
    vectors: np.ndarray | None = None
    removed: np.ndarray | None = None
    lists: Lists | None = None
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
        listed = 0
        if self.lists is not None:
            total = self.lists.nbytes
            if mapping_of(self.codes) is None:
                total += self.lists.count_line_bytes(self.codes)
            listed = -(-total // len(self))
            if self.corrections is not None and self.corrections.kind != "exact":
                listed += 8  # what search decodes once, and not at each query
        return code + sum(column.itemsize for column in columns) + listed

    @property
    def vector_bytes_per_row(self) -> int:
        """Memory for each row's vector; 0 if it is not kept."""
        return 0 if self.vectors is None else self.vectors[:1].nbytes

    # Rows in lists.

    def codes_of(self, rows: slice) -> CodeArray:
        """Return the codes of rows in the order of their numbers."""
        if self.lists is None:
            return self.codes[rows]
        return self.codes[self.lists.places_of(np.arange(len(self))[rows])]

    def places_of(self, rows: np.ndarray) -> np.ndarray:
        """Return where the codes of rows are stored."""
        return rows if self.lists is None else self.lists.places_of(rows)

    def rows_at(self, places: np.ndarray) -> np.ndarray:
        """Return the numbers of rows, given where their codes are stored."""
        return places if self.lists is None else self.lists.rows_at(places)

    def in_lists(self, lists: Lists) -> Self:
        """Store rows that are in order of their numbers list after list."""
        return self._stored_from(lists.order, lists)

    def without_lists(self) -> Self:
        """Store rows in the order of their numbers again."""
        if self.lists is None:
            return self
        return self._stored_from(self.lists.places_of(np.arange(len(self))), None)

    def _stored_from(self, places: np.ndarray, lists: Lists | None) -> Self:
        """Store what is at some places in their order."""
        layout, kept = self.codes.layout, self.corrections
        assert layout is not None
        return replace(
            self.without_capacity(),
            codes=with_layout(np.asarray(self.codes)[places], layout),
            corrections=None if kept is None else kept.of(places),
            lists=lists,
        )

    def _merged(self) -> Self:
        """List added rows with the others, where they have become many."""
        lists = self.lists
        if lists is None or len(lists.added) <= _MOST_ADDED * len(self):
            return self
        merged = lists.merged()
        return self._stored_from(lists.places_of(merged.order), merged)

    def mask(self, given: np.ndarray | None) -> np.ndarray | None:
        """Return which rows may be found, of those given; None for all."""
        if self.removed is None:
            return given
        return ~self.removed if given is None else given & ~self.removed

    def with_added(
        self,
        encoded: EncodedRows,
        vectors: np.ndarray | None,
        *,
        n_jobs: int | None = None,
    ) -> Self:
        """Add rows behind the others.

        Capacity is made for more rows than come, so that adding few at a time stays
        cheap. Only the object that is returned may be added to.
        """
        capacity, codes = self._capacity, self.codes
        plain = extend(capacity, "codes", np.asarray(codes), np.asarray(encoded.codes))
        removed, kept, lists = self.removed, self.vectors, self.lists
        if kept is not None:
            assert vectors is not None
            kept = extend(capacity, "vectors", kept, vectors)
        if removed is not None:
            none = np.zeros(len(encoded.codes), bool)
            removed = extend(capacity, "removed", removed, none)
        if lists is not None:
            lists = lists.with_added(encoded.codes, n_jobs)
        assert codes.layout is not None
        return replace(
            self,
            codes=with_layout(plain, codes.layout),
            corrections=self._with_added_corrections(encoded.corrections),
            vectors=kept,
            removed=removed,
            lists=lists,
        )._merged()

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
        refuse_removal(rows[~there], n)
        # A new array: copies of the index may hold the former one.
        removed = np.zeros(n, bool) if self.removed is None else self.removed.copy()
        removed[rows] = True
        return replace(self, removed=removed)

    def without_capacity(self) -> Self:
        """Return the same rows to be added to on their own."""
        return replace(self, _capacity={})

    # What search computes once of all rows, where it reads a part of them only.

    @cached_property
    def decoded_corrections(self) -> tuple[np.ndarray, np.ndarray]:
        """Scales and offsets of the estimate, as float32."""
        assert self.corrections is not None
        scale, offset = self.corrections.decoded(self.codes)
        return read_only(scale), read_only(offset)

    @cached_property
    def scale_sign(self) -> int:
        """The sign of most of these scales."""
        return most_common_sign(self.decoded_corrections[0])

    @cached_property
    def listed(self) -> list[ListedRows]:
        """The rows in lists as scans take them.

        Of codes in memory also their lines, which a scan would make again for each
        list that it reads. A memory map is read where lists are probed, and no further.
        """
        assert self.lists is not None
        if mapping_of(self.codes) is not None:
            return self.lists.segments
        return self.lists.segments_with_lines(self.codes)

    @cached_property
    def direction_scales(self) -> np.ndarray:
        """Scales that make codes of mixed depth unit vectors."""
        return scale_directions(self.codes)

    def __getstate__(self) -> dict[str, object]:
        # Capacity is not worth saving. Some ways of saving, such as skops, keep of an
        # array no more than its numbers.
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        state["_capacity"] = {}
        return {**state, "codes": np.asarray(self.codes), "layout": self.codes.layout}

    def __setstate__(self, state: dict[str, Any]) -> None:
        codes, layout = state["codes"], state.get("layout")
        if layout is not None:
            codes = with_layout(codes, layout)
        vars(self)["lists"] = None  # of rows pickled before there were any
        vars(self).update({k: v for k, v in state.items() if k != "layout"})
        vars(self)["codes"] = codes


def check_row_numbers(rows: ArrayLike) -> np.ndarray:
    """Return row numbers as int64 of shape (n,).

    Raises
    ------
    TypeError
        If they are no whole numbers, or in more than one dimension.
    """
    rows = np.atleast_1d(np.asarray(rows))
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise TypeError(
            "rows must be row numbers, an int or a list of int. "
            f"Got an array of dtype {rows.dtype} and shape {rows.shape} instead."
        )
    return rows.astype(np.int64)


def refuse_removal(rows: np.ndarray, n_rows: int) -> None:
    """Refuse to remove rows that are not there, if any are given.

    Raises
    ------
    ValueError
    """
    if rows.size:
        raise ValueError(
            f"Rows {rows[:5].tolist()} cannot be removed: the index has rows 0 to "
            f"{n_rows - 1}, and each can be removed once."
        )
