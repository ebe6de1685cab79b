"""Codes of vectors: a few bits per coordinate, packed.

This is the only module outside ``skbq._kernels`` that knows how bits are laid out. A
*layout* says which coordinates and levels the bytes of a row hold:

One bit per coordinate
    uint8, shape (n_samples, ceil(n_features / 8)), in the bit order of
    :func:`numpy.packbits`: the first coordinate is the highest bit of the first
    byte. faiss ``IndexBinary*``, usearch ``b1``, sentence-transformers ``ubinary``,
    Qdrant and pgvector ``bit`` read these bytes as they are.
Two bits per coordinate
    uint16, the same shape: the low byte holds eight sign bits, the high byte the
    magnitude bits of the same eight coordinates, both in that order.
Mixed depths
    uint8, shape (n_samples, bytes): some coordinates have more bits than others, see
    :class:`MixedDepths`.

Bits that belong to no coordinate (padding) are 0.
"""

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["CodeArray", "MixedDepths", "as_codes"]

_BITS_OF_DTYPE = {np.dtype(np.uint8): 1, np.dtype(np.uint16): 2}
# What two bits mean where nothing else is said: those of the quantizer's default.
_DEFAULT_LEVELS = (1.0, 3.0)
# Depths that fill whole nibbles; a coordinate of 8 bits takes two.
DEPTHS = (8, 4, 2, 1)
_MOST_IN_NIBBLE = 4
# Consecutive nibbles over which coordinates of different depths are spread.
_SPREAD = 8
# Bytes that unpacking takes at a time.
_BLOCK_BYTES = 2**22


def code_width(n_features: int) -> int:
    """Return the number of columns that codes of ``n_features`` coordinates have."""
    return -(-n_features // 8)


def check_levels(levels: object, where: str) -> tuple[float, float]:
    """Return a pair of magnitudes as floats, 0 <= low < high.

    Raises
    ------
    ValueError
        If ``levels`` is anything else.
    """
    if (
        isinstance(levels, tuple | list | np.ndarray)
        and len(levels) == 2
        and all(
            isinstance(x, Real) and not isinstance(x, bool | np.bool_) for x in levels
        )
    ):
        low, high = float(levels[0]), float(levels[1])
        if 0 <= low < high < np.inf:
            return low, high
    raise ValueError(
        f"The 'levels' of {where} must be two numbers 0 <= low < high, the values of a "
        f"low and of a high magnitude, such as (1, 3). Got {levels!r} instead."
    )


@dataclass(frozen=True)
class _Planes:
    """What layouts in planes of bits have in common."""

    n_features: int

    dtype: ClassVar[np.dtype]
    bits: ClassVar[int]

    @property
    def n_values(self) -> int:
        """Number of coordinates that a code keeps."""
        return self.n_features

    @property
    def width(self) -> int:
        """Number of columns of an array of codes."""
        return code_width(self.n_features)

    @property
    def padding(self) -> np.ndarray:
        """Bits of a row that must be 0, of shape (width,)."""
        mask = np.zeros(self.width, self.dtype)
        mask[-1] = _padding_mask(self.n_features, self.bits)
        return mask


@dataclass(frozen=True)
class OneBit(_Planes):
    """The layout of one bit per coordinate."""

    dtype: ClassVar[np.dtype] = np.dtype(np.uint8)
    bits: ClassVar[int] = 1
    levels: ClassVar[None] = None

    def values(self, plain: np.ndarray) -> np.ndarray:
        """Give every coordinate +1 or -1, float32 of (n, n_values)."""
        values = _unpack_plane(plain, self.n_features).astype(np.float32)
        values *= 2
        values -= 1
        return values

    def squared_norms(self, plain: np.ndarray) -> np.ndarray:
        """Return the squared norms of the values, float64 of (n,)."""
        return np.full(len(plain), float(self.n_features))

    def describe(self) -> str:
        """Say in words what kind of codes these are."""
        return f"1-bit codes of {self.n_features} coordinates"


@dataclass(frozen=True)
class TwoBits(_Planes):
    """The layout of two bits per coordinate: a sign and a magnitude."""

    levels: tuple[float, float]

    dtype: ClassVar[np.dtype] = np.dtype(np.uint16)
    bits: ClassVar[int] = 2

    def values(self, plain: np.ndarray) -> np.ndarray:
        """Give every coordinate its signed level, float32 of (n, n_values)."""
        strong = _unpack_plane(plain >> 8, self.n_features)
        values = np.array(self.levels, np.float32)[strong]
        positive = _unpack_plane(plain & 0xFF, self.n_features).view(bool)
        np.negative(values, where=~positive, out=values)
        return values

    def squared_norms(self, plain: np.ndarray) -> np.ndarray:
        """Return the squared norms of the values, float64 of (n,)."""
        low, high = self.levels
        strong = np.bitwise_count(plain >> 8).sum(axis=1)
        return low * low * self.n_features + (high * high - low * low) * strong

    def describe(self) -> str:
        """Say in words what kind of codes these are."""
        return f"2-bit codes of {self.n_features} coordinates with levels {self.levels}"


def _unpack_plane(plane: np.ndarray, count: int) -> np.ndarray:
    return np.unpackbits(plane.astype(np.uint8), axis=1, count=count)


class MixedDepths:
    """The layout of codes whose coordinates have 1, 2, 4 or 8 bits each.

    The coordinates stand in *nibbles* of four bits, the upper half of a byte first: a
    nibble holds four coordinates of one bit, two of two bits or one of four bits, the
    first one in the highest bits; a coordinate of eight bits takes two nibbles. The
    bits of a coordinate are the number of its level, counted from the lowest.

    Coordinates come in order of depth, the deepest first, each depth from a nibble of
    its own on. Of the nibbles in this order, every ``ceil(n / 8)``-th stands side by
    side, so that each run of eight has its share of the deep ones; with a single depth
    they stand in order, and codes of one bit are those of :func:`numpy.packbits`.

    Parameters
    ----------
    n_features : int
        Number of coordinates of the vectors that were encoded.
    depths : array-like of int of shape (n_values,)
        Bits of each coordinate kept: 8, 4, 2 or 1, never rising.
    levels : mapping of int to array-like of float
        For each depth b among ``depths``, its 2^b levels, rising; evenly spaced for 8.
    scales : array-like of float of shape (n_values,), default=None
        What the levels of each coordinate are multiplied by, positive; None: 1.
    deep_below : bool, default=False
        Whether the first half of the nibbles, the deeper ones, are lower halves of
        bytes, as those of :class:`~skbq.PCAQuantizer` are: such codes are searched
        faster. Of n bytes every ``ceil(n / 4)``-th then stands side by side.

    Attributes
    ----------
    n_values : int
        Number of coordinates that a code keeps.
    width : int
        Bytes of a row.
    bits : float
        Bits of all coordinates together, for each of the ``n_features``.

    Raises
    ------
    TypeError
        If ``deep_below`` is no bool.
    ValueError
        If depths, levels and scales do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.codes import MixedDepths, as_codes
    >>> layout = MixedDepths(4, depths=[2, 1, 1], levels={2: [-3, -1, 1, 3],
    ...                                                   1: [-1, 1]})
    >>> layout.width, layout.bits
    (1, 1.0)
    >>> packed = np.array([[0b1100_0100]], np.uint8)
    >>> as_codes(packed, layout=layout).unpack()
    array([[ 3., -1.,  1.]], dtype=float32)
    """

    dtype: ClassVar[np.dtype] = np.dtype(np.uint8)
    # Also of what was pickled before there was a choice.
    deep_below = False

    def __init__(
        self,
        n_features: int,
        depths: ArrayLike,
        levels: Mapping[int, ArrayLike],
        scales: ArrayLike | None = None,
        *,
        deep_below: bool = False,
    ) -> None:
        self.n_features = _check_n_features(n_features)
        self.depths = _check_depths(depths)
        self.levels = {
            depth: _check_depth_levels(levels, depth)
            for depth in DEPTHS
            if depth in self.depths
        }
        self.scales = _check_scales(scales, len(self.depths))
        if not isinstance(deep_below, bool | np.bool_):
            raise TypeError(
                f"deep_below must be True or False. Got {deep_below!r} instead."
            )
        self.deep_below = bool(deep_below)

    @property
    def n_values(self) -> int:
        """Number of coordinates that a code keeps."""
        return len(self.depths)

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return -(-len(self.line_coordinates) // 2)

    @property
    def bits(self) -> float:
        """Bits of all coordinates together, for each of the ``n_features``."""
        return float(self.depths.sum(dtype=np.int64)) / self.n_features

    @cached_property
    def level_arrays(self) -> tuple[np.ndarray, ...]:
        """Where each depth begins, depths, levels, what lies between, their starts.

        As ``skbq._kernels.mixed_depths.Depths`` has them, for the encoder.
        """
        depths = list(self.levels)  # the deepest first
        counts = [int((self.depths == depth).sum()) for depth in depths]
        levels = [np.asarray(of, np.float64) for of in self.levels.values()]
        # After the last level of a depth there is no edge.
        edges = [np.append((of[1:] + of[:-1]) / 2, np.inf) for of in levels]
        return (
            np.cumsum([0, *counts]),
            np.array(depths),
            np.concatenate(levels).astype(np.float32),
            np.concatenate(edges).astype(np.float32),
            np.cumsum([0, *map(len, levels[:-1])]),
        )

    @cached_property
    def line_coordinates(self) -> np.ndarray:
        """Which coordinates each nibble holds, int64 of (2 * width, 4); -1: none.

        Of a coordinate of eight bits, the upper half is the first of its nibble and
        the lower half the second.
        """
        lines: list[list[int]] = []
        start = 0
        for depth in DEPTHS:
            stop = start + int((self.depths == depth).sum())
            if depth == 8:
                for i in range(start, stop):
                    lines += [[i], [-1, i]]
            else:
                step = 4 // depth
                lines += [
                    list(range(i, min(i + step, stop)))
                    for i in range(start, stop, step)
                ]
            start = stop
        lines += [[]] * (len(lines) % 2)
        if len(self.levels) > 1:
            # What is spread: nibbles, or pairs of a nibble and one of the deeper half.
            size = 1 + self.deep_below
            n, stride = len(lines) // size, -(-len(lines) // _SPREAD)
            order = [j for i in range(stride) for j in range(i, n, stride)]
            lines = [lines[i] for j in order for i in range(j, size * n, n)[::-1]]
        table = np.full((len(lines), _MOST_IN_NIBBLE), -1)
        for line, row in zip(lines, table, strict=True):
            row[: len(line)] = line
        return table

    @cached_property
    def line_shifts(self) -> np.ndarray:
        """How far left the bits of each coordinate stand in its nibble, as int64."""
        table = self.line_coordinates
        depths = np.minimum(np.where(table < 0, 0, self.depths[table]), 4)
        return np.where(depths == 4, 0, 4 - depths * np.arange(1, _MOST_IN_NIBBLE + 1))

    @cached_property
    def line_values(self) -> np.ndarray:
        """What each coordinate of a nibble adds to a row's values, by the nibble.

        float32 of (2 * width, 4, 16).
        """
        numbers = np.arange(16)
        values = np.zeros((*self.line_coordinates.shape, 16), np.float32)
        for line, slot in zip(*np.nonzero(self.line_coordinates >= 0), strict=True):
            i = self.line_coordinates[line, slot]
            depth = int(self.depths[i])
            levels = self.levels[depth]
            if depth == 8:  # evenly spaced: the sum of a part of either nibble
                step = (levels[-1] - levels[0]) / 255
                own = step * numbers if slot else levels[0] + 16 * step * numbers
            else:
                own = levels[numbers >> self.line_shifts[line, slot] & 2**depth - 1]
            values[line, slot] = own * np.float64(self.scales[i])
        return values

    @cached_property
    def largest_value(self) -> float:
        """The largest absolute value of any coordinate."""
        levels = np.array([self.levels[depth][-1] for depth in self.depths])
        return float(np.abs(levels * self.scales).max())

    @cached_property
    def has_sums_above(self) -> bool:
        """Whether what upper halves of bytes add is a sum over two pairs of bits."""
        upper = self.line_coordinates[::2]
        depths = np.where(upper < 0, 0, self.depths[upper])
        return not (depths == 4).any()

    @cached_property
    def split_lines(self) -> np.ndarray:
        """Both nibbles of each coordinate of eight bits, int64 of (n, 2)."""
        whole = np.flatnonzero(self.depths == 8)[:, np.newaxis]
        halves = [self.line_coordinates[:, slot] == whole for slot in (0, 1)]
        return np.stack([np.nonzero(half)[1] for half in halves], axis=1)

    @property
    def padding(self) -> np.ndarray:
        """Bits of a row that must be 0, of shape (width,)."""
        used = np.zeros(2 * self.width, np.int64)
        for line, slot in zip(*np.nonzero(self.line_coordinates >= 0), strict=True):
            depth = min(4, self.depths[self.line_coordinates[line, slot]])
            used[line] |= (2**depth - 1) << self.line_shifts[line, slot]
        return ~(used[::2] << 4 | used[1::2]).astype(np.uint8)

    def values(self, plain: np.ndarray) -> np.ndarray:
        """Give every coordinate its level, float32 of (n, n_values)."""
        out = np.zeros((len(plain), self.n_values), np.float32)
        step = max(1, _BLOCK_BYTES // (16 * max(1, self.width)))
        for start in range(0, len(plain), step):
            block = plain[start : start + step]
            nibbles = np.stack([block >> 4, block & 15], axis=2)
            nibbles = nibbles.reshape(len(block), -1)
            for slot in range(_MOST_IN_NIBBLE):
                (lines,) = np.nonzero(self.line_coordinates[:, slot] >= 0)
                found = self.line_values[lines, slot, nibbles[:, lines]]
                out[start : start + step, self.line_coordinates[lines, slot]] += found
        return out

    def squared_norms(self, plain: np.ndarray) -> np.ndarray:
        """Return the squared norms of the values, float64 of (n,)."""
        norms = np.empty(len(plain))
        step = max(1, _BLOCK_BYTES // (4 * max(1, self.n_values)))
        for start in range(0, len(plain), step):
            values = self.values(plain[start : start + step])
            norms[start : start + step] = np.square(values, dtype=np.float64).sum(1)
        return norms

    def pack(self, numbers: np.ndarray) -> "CodeArray":
        """Pack numbers of levels to codes.

        Parameters
        ----------
        numbers : ndarray of shape (n_samples, n_values), dtype uint8
            Number of each coordinate's level, counted from the lowest.

        Returns
        -------
        codes : CodeArray of shape (n_samples, width)

        Raises
        ------
        ValueError
            If they are of another type or shape, or a level is not there.
        """
        if np.ma.is_masked(numbers):
            raise ValueError("numbers of levels have masked values: fill them in.")
        numbers = np.asarray(numbers)
        if numbers.dtype != np.uint8 or numbers.shape[1:] != (self.n_values,):
            raise ValueError(
                f"numbers of levels must be uint8 of shape (n, {self.n_values})."
                f" Got {numbers.dtype} of shape {numbers.shape} instead."
            )
        if (numbers >> (self.depths - 1) > 1).any():
            raise ValueError("a number of a level is beyond the levels of its depth")
        nibbles = np.zeros((len(numbers), 2 * self.width), np.uint8)
        for slot in range(_MOST_IN_NIBBLE):
            (lines,) = np.nonzero(self.line_coordinates[:, slot] >= 0)
            coordinates = self.line_coordinates[lines, slot]
            parts = numbers[:, coordinates]
            if slot < 2:  # of eight bits: the upper half, then the lower one
                halves = parts >> 4 if slot == 0 else parts & 15
                parts = np.where(self.depths[coordinates] == 8, halves, parts)
            shifts = self.line_shifts[lines, slot].astype(np.uint8)
            nibbles[:, lines] |= parts << shifts
        return with_layout(nibbles[:, ::2] << 4 | nibbles[:, 1::2], self)

    def describe(self) -> str:
        """Say in words what kind of codes these are."""
        counts = [
            f"{(self.depths == depth).sum()} of {depth} bit{'s' * (depth > 1)}"
            for depth in self.levels
        ]
        return (
            f"codes of mixed depth, {', '.join(counts)}, of {self.n_features} "
            "coordinates"
        )

    def _key(self) -> tuple[object, ...]:
        levels = tuple((depth, of.tobytes()) for depth, of in self.levels.items())
        arrays = self.depths.tobytes(), levels, self.scales.tobytes()
        return self.n_features, *arrays, self.deep_below

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MixedDepths):
            return NotImplemented
        return self is other or self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __getstate__(self) -> dict[str, object]:
        names = ("n_features", "depths", "levels", "scales", "deep_below")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return f"<MixedDepths: {self.describe()}>"


CodeLayout = OneBit | TwoBits | MixedDepths


def _check_n_features(n_features: object) -> int:
    if (
        not isinstance(n_features, Integral)
        or isinstance(n_features, bool | np.bool_)
        or n_features < 1
    ):
        raise ValueError(
            "n_features, the number of coordinates, must be an int of at least 1. "
            f"Got {n_features!r} instead."
        )
    return int(n_features)


def _check_depths(depths: ArrayLike) -> np.ndarray:
    array = np.asarray(depths)
    if (
        array.dtype.kind not in "iu"
        or np.ma.is_masked(depths)
        or array.ndim != 1
        or array.size == 0
        or not np.isin(array, DEPTHS).all()
        or (np.diff(array.astype(np.int64)) > 0).any()
    ):
        raise ValueError(
            "The 'depths' of MixedDepths must be bits of coordinates, each 8, 4, 2 or "
            f"1, the deepest first. Got {depths!r} instead."
        )
    return array.astype(np.uint8)


def _check_depth_levels(levels: Mapping[int, ArrayLike], depth: int) -> np.ndarray:
    if not isinstance(levels, Mapping):
        raise TypeError(
            "The 'levels' of MixedDepths must be a mapping of depth to levels. Got "
            f"{levels!r} instead."
        )
    of = np.asarray(levels.get(depth, ()), np.float64)
    if of.shape != (2**depth,) or not (
        np.isfinite(of).all() and (np.diff(of) > 0).all()
    ):
        raise ValueError(
            f"MixedDepths needs {2**depth} rising levels for coordinates of {depth} "
            f"bits. Got {levels.get(depth)!r} instead."
        )
    steps = np.diff(of)
    if depth == 8 and not np.allclose(steps, steps.mean(), rtol=1e-4):
        raise ValueError(
            "The levels of coordinates of 8 bits must be evenly spaced: write "
            "numpy.linspace(low, high, 256)."
        )
    return of


def _check_scales(scales: ArrayLike | None, n_values: int) -> np.ndarray:
    array = np.ones(n_values, np.float32)
    if scales is not None:
        try:
            array = np.array(scales, np.float32)
        except (TypeError, ValueError):
            array = np.zeros(0, np.float32)
    if array.shape != (n_values,) or not (
        np.isfinite(array).all() and (array > 0).all()
    ):
        raise ValueError(
            f"The 'scales' of MixedDepths must be {n_values} positive numbers, one for "
            f"each coordinate kept. Got {scales!r} instead."
        )
    return array


_TAKEN_FOR_NUMBERS = (
    "Packed codes are taken for numbers here, each of which holds several coordinates. "
    "Put a skbq.CodeUnpacker() before the estimator, or pass codes.unpack(). If you "
    "mean the bytes themselves, pass numpy.asarray(codes)."
)


def _called_by(name: str) -> bool:
    """Tell whether the function that looks for an attribute has this name."""
    return sys._getframe(2).f_code.co_name == name


class CodeArray(np.ndarray):
    """Codes of vectors as a numpy array that knows what its bits mean.

    Quantizers make these; wrap an array of your own with :func:`as_codes`. Row
    slices, copies, pickles and joblib memory maps stay codes. Whatever changes the
    columns or the values (``astype``, arithmetic, bitwise operations, column slices,
    ``numpy`` functions such as :func:`numpy.concatenate`) gives a plain array. Of
    concatenated codes of one quantizer :func:`as_codes` with the ``layout`` of one
    part makes codes again.

    Estimators of scikit-learn would take the bytes for numbers, which a warning says:
    put a :class:`CodeUnpacker` before them.

    Attributes
    ----------
    layout : OneBit, TwoBits or MixedDepths
        Which coordinates and levels the bytes of a row hold. Codes are of one kind if
        their layouts are equal.
    n_features : int
        Number of coordinates of the vectors, d.
    bits : int or float
        Bits per coordinate: 1 or 2, of mixed depths their mean over all coordinates.
    levels : tuple of float, dict or None
        Value of a low and of a high magnitude; None for one bit, where a
        coordinate counts as +1 or -1; of mixed depths the levels of each depth.
    signs : ndarray of shape (n_samples, ceil(d / 8)), dtype uint8
        The packed sign bits; not of mixed depths.
    magnitudes : ndarray of shape (n_samples, ceil(d / 8)), dtype uint8, or None
        The packed magnitude bits; None for one bit; not of mixed depths.

    See Also
    --------
    as_codes : Wrap an array of packed bits.
    BinaryQuantizer, TwoBitQuantizer, PCAQuantizer : Make codes from vectors.
    CodeUnpacker : Makes vectors of codes, in a pipeline.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import BinaryQuantizer
    >>> codes = BinaryQuantizer(threshold="zero").fit_transform(
    ...     [[0.5, -1.0, 2.0], [-0.1, 0.3, 0.2]])
    >>> codes
    <CodeArray: 2 rows of 1 bytes, 1-bit codes of 3 coordinates
     [[160]
      [ 96]]>
    >>> codes.n_features, codes.bits, codes.shape
    (3, 1, (2, 1))
    >>> from skbq import as_codes
    >>> as_codes(np.concatenate([codes, codes[:1]]), layout=codes.layout).shape
    (3, 1)
    >>> codes.unpack()
    array([[ 1., -1.,  1.],
           [-1.,  1.,  1.]], dtype=float32)
    """

    layout: CodeLayout | None

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Refuse to be made: a view of an array of codes keeps its layout."""
        raise TypeError(
            "CodeArray cannot be called, since an array alone does not say what its "
            "bits mean. Write skbq.as_codes(array, n_features=...), or "
            "as_codes(array, layout=codes.layout)."
        )

    def __array_finalize__(self, obj: object) -> None:
        self.layout = getattr(obj, "layout", None)

    def __repr__(self) -> str:
        plain = self.view(np.ndarray)
        if not is_codes(self):
            return repr(plain)
        n_bytes = plain.itemsize * self.shape[1]
        return (
            f"<CodeArray: {len(self):,} rows of {n_bytes} bytes, "
            f"{describe_codes(self)}\n {np.array2string(plain, prefix=' ')}>"
        )

    @property
    def n_features(self) -> int:
        """Number of coordinates of the vectors."""
        return 0 if self.layout is None else self.layout.n_features

    @property
    def bits(self) -> float:
        """Bits per coordinate: 1 or 2, of mixed depths their mean."""
        return _known(self.layout).bits

    @property
    def levels(self) -> tuple[float, float] | dict[int, np.ndarray] | None:
        """The levels of two bits or of mixed depths; None for one bit."""
        return None if self.layout is None else self.layout.levels

    @property  # type: ignore[misc]
    def strides(self) -> "_Strides":  # type: ignore[override]
        """As :attr:`numpy.ndarray.strides`.

        joblib.hash sees nothing of an array but its bytes, type, shape and strides:
        those of codes bring the layout along, so that codes of another meaning differ.
        """
        return _Strides(self.view(np.ndarray).strides, self.layout)

    @property
    def signs(self) -> np.ndarray:
        """The packed sign bits, uint8 of shape (n_samples, ceil(d / 8))."""
        plain = self.view(np.ndarray)
        if isinstance(_in_planes(self.layout), OneBit):
            return plain
        return (plain & 0xFF).astype(np.uint8)

    @property
    def magnitudes(self) -> np.ndarray | None:
        """The packed magnitude bits, as ``signs``; None for one bit."""
        if isinstance(_in_planes(self.layout), OneBit):
            return None
        return (self.view(np.ndarray) >> 8).astype(np.uint8)

    def unpack(self) -> np.ndarray:
        """Give every coordinate its signed level.

        Returns
        -------
        values : ndarray of shape (n_samples, n_values), dtype float32
            +1 and -1 for one bit; plus or minus one of the two levels for two bits;
            of mixed depths the levels of the coordinates that were kept.
        """
        return _known(self.layout).values(self.view(np.ndarray))

    def unpack_bits(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Give the sign bits and the magnitude bits of every coordinate.

        Not of mixed depths.

        Returns
        -------
        positive : ndarray of shape (n_samples, n_features), dtype bool
        strong : ndarray of shape (n_samples, n_features), dtype bool, or None
            None for one bit.
        """
        magnitudes = self.magnitudes
        strong = None
        if magnitudes is not None:
            strong = _unpack_plane(magnitudes, self.n_features).view(bool)
        return _unpack_plane(self.signs, self.n_features).view(bool), strong

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            # numpy hands a plain view to whoever asks for an array, and tells nobody.
            # check_array, the door of scikit-learn's estimators, looks whether X has
            # this attribute of pandas; so does indexing by rows, which is fine.
            if name == "iloc" and is_codes(self) and _called_by("check_array"):
                warnings.warn(_TAKEN_FOR_NUMBERS, UserWarning, stacklevel=4)
            raise AttributeError(
                f"codes have no attribute {name!r}", name=name, obj=self
            )

    # What follows makes sure that an array which is no longer codes is a plain one.

    def __getitem__(self, key: Any) -> Any:
        result = super().__getitem__(key)
        if not isinstance(result, CodeArray):
            return result
        rest = key[1:] if isinstance(key, tuple) else ()
        same_columns = all(
            k is Ellipsis or (isinstance(k, slice) and k == slice(None)) for k in rest
        )
        return result if same_columns and is_codes(result) else result.view(np.ndarray)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: object, **kwargs: object
    ) -> object:
        if "out" in kwargs:
            kwargs["out"] = _plain(kwargs["out"])
        return getattr(ufunc, method)(*_plain(inputs), **_plain(kwargs))

    def __array_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: Iterable[object],
        kwargs: Mapping[str, object],
    ) -> object:
        return func(*_plain(args), **_plain(kwargs))

    def __reduce__(self) -> tuple[object, ...]:
        # joblib memory-maps plain arrays only, so the bits travel as one.
        return with_layout, (np.asarray(self), self.layout)

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return self.__reduce__()

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, object] | None) -> Self:
        return self.copy()


class _Strides(tuple[int, ...]):
    """Strides of codes; pickled, as joblib.hash does, together with the layout."""

    layout: CodeLayout | None

    def __new__(cls, strides: tuple[int, ...], layout: CodeLayout | None) -> Self:
        """Keep the layout beside the strides."""
        self = super().__new__(cls, strides)
        self.layout = layout
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return _Strides, (tuple(self), self.layout)


def _known(layout: CodeLayout | None) -> CodeLayout:
    if layout is None:
        raise ValueError("This array holds no codes: wrap it with skbq.as_codes.")
    return layout


def _in_planes(layout: CodeLayout | None) -> OneBit | TwoBits:
    """Return a layout in planes of bits, or refuse that of mixed depths."""
    if isinstance(_known(layout), MixedDepths):
        raise ValueError(
            "Codes of mixed depth have no planes of signs and magnitudes. Use unpack() "
            "for the values of their coordinates."
        )
    return layout  # type: ignore[return-value]


def _as_plain_method(name: str) -> Callable[..., object]:
    def method(self: CodeArray, *args: object, **kwargs: object) -> object:
        return getattr(self.view(np.ndarray), name)(*args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"As :meth:`numpy.ndarray.{name}`; gives a plain array."
    return method


_GIVES_PLAIN = (
    *("astype", "transpose", "reshape", "ravel", "flatten", "swapaxes", "take"),
    *("repeat", "squeeze", "diagonal", "byteswap", "compress", "choose"),
)
for _name in _GIVES_PLAIN:
    setattr(CodeArray, _name, _as_plain_method(_name))
CodeArray.T = property(lambda self: self.view(np.ndarray).T)  # type: ignore[assignment,method-assign]


def _plain(value: Any) -> Any:
    """Replace codes by plain arrays in nested tuples, lists and dicts."""
    if isinstance(value, CodeArray):
        return value.view(np.ndarray)
    if isinstance(value, tuple | list):
        return type(value)(_plain(v) for v in value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


def fill_bytes(counts: Mapping[int, int], n_bytes: int, n_axes: int) -> np.ndarray:
    """Change numbers of coordinates of each depth so that they fill whole bytes.

    Parameters
    ----------
    counts : mapping of int to int
        Number of coordinates by depth, those of one bit among them.
    n_bytes : int
        Bytes of a row.
    n_axes : int
        Number of coordinates that there are to keep.

    Returns
    -------
    depths : ndarray of shape (n_axes,), dtype int64
        Bits of each coordinate, never rising; 0: not kept.
    """
    of = dict(counts)

    def n_nibbles(depth: int) -> int:
        return -(-of.get(depth, 0) * depth // 4)

    if of.get(2, 0) % 2 and sum(map(n_nibbles, of)) > 2 * n_bytes:
        of[2] -= 1
    deeper = [depth for depth in DEPTHS if depth > 1 and depth in of]
    left = 2 * n_bytes - sum(map(n_nibbles, deeper))
    of[1] = min(4 * left, n_axes - sum(of[depth] for depth in deeper))
    filled = np.repeat([*deeper, 1], [of[depth] for depth in (*deeper, 1)])
    return np.concatenate([filled, np.zeros(n_axes - len(filled), np.int64)])


def with_layout(array: np.ndarray, layout: CodeLayout | None) -> CodeArray:
    """Wrap an array that is known to hold codes; :func:`as_codes` checks any other."""
    codes = array.view(CodeArray)
    codes.layout = layout
    return codes


def wrap_codes(
    array: np.ndarray, n_features: int, levels: tuple[float, float] | None
) -> CodeArray:
    """Wrap an array that is known to hold codes of one bit or, with levels, of two."""
    layout = OneBit(n_features) if levels is None else TwoBits(n_features, levels)
    return with_layout(array, layout)


def is_codes(X: object) -> TypeGuard[CodeArray]:
    """Tell whether ``X`` is an array of codes and still has their shape."""
    return (
        isinstance(X, CodeArray)
        and X.layout is not None
        and X.ndim == 2
        and X.dtype == X.layout.dtype
        and X.n_features >= 1
        and X.shape[1] == X.layout.width
    )


def as_codes(
    array: ArrayLike,
    n_features: int | None = None,
    levels: tuple[float, float] | None = None,
    *,
    layout: CodeLayout | None = None,
) -> CodeArray:
    """Wrap packed bits as codes; uint8 and uint16 arrays are not copied.

    Parameters
    ----------
    array : array-like of shape (n_samples, ceil(n_features / 8))
        uint8 for one bit per coordinate, uint16 for two; bit order of
        :func:`numpy.packbits`, padding bits 0. What APIs and databases hand out is
        taken for one bit as well, and copied: integers from 0 to 255 of any type, rows
        of bytes, and bool of shape (n_samples, n_features), which is packed. int8, and
        other integers from -128 to 127 of which some are negative, count as
        offset-binary, bytes less 128, as "binary" of sentence-transformers and Cohere.
        For bytes that were merely viewed as int8 pass ``array.view(numpy.uint8)``.
    n_features : int
        Number of coordinates of the vectors.
    levels : tuple of float, default=None
        Two bits only: value of a low and of a high magnitude; None means (1, 3).
    layout : MixedDepths or the layout of other codes, default=None
        What the bytes hold, instead of ``n_features`` and ``levels``.

    Returns
    -------
    codes : CodeArray of shape (n_samples, ceil(n_features / 8))

    Raises
    ------
    ValueError
        If dtype, width, padding or levels do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.codes import as_codes
    >>> packed = np.packbits([[1, 0, 1, 1, 0, 0, 0, 1, 1, 0]], axis=1)
    >>> as_codes(packed, n_features=10).unpack()
    array([[ 1., -1.,  1.,  1., -1., -1., -1.,  1.,  1., -1.]], dtype=float32)
    """
    if layout is not None:
        return _as_codes_of(array, layout, n_features, levels)
    n_features = _check_n_features(n_features)
    array = _packed_bits(array, n_features, one_bit=levels is None)
    bits = _BITS_OF_DTYPE[array.dtype]
    width = code_width(n_features)
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(
            f"Codes of {n_features} coordinates must have shape (n_samples, {width}). "
            f"Got shape {array.shape} instead."
            + " For one value per coordinate pass array.astype(bool)."
            * (array.shape[1:] == (n_features,))
        )
    if bits == 1 and levels is not None:
        raise ValueError(
            "Codes of one bit have no levels: leave levels=None, or pass uint16 codes "
            f"of two bits. Got levels={levels!r}."
        )
    if bits == 2:
        levels = check_levels(_DEFAULT_LEVELS if levels is None else levels, "codes")
    padding = _padding_mask(n_features, bits)
    faulty = np.flatnonzero(array[:, -1] & padding) if padding else np.empty(0)
    if faulty.size:
        raise ValueError(
            f"The last byte of a code of {n_features} coordinates has "
            f"{width * 8 - n_features} padding bits, which must be 0. They are set in "
            f"{faulty.size} rows, first {faulty[:5].tolist()}: is n_features right, "
            "and are the bits in the order of numpy.packbits?"
        )
    return wrap_codes(array, n_features, levels)


def _as_codes_of(
    array: ArrayLike, layout: CodeLayout, n_features: object, levels: object
) -> CodeArray:
    if not isinstance(layout, CodeLayout):
        raise TypeError(
            "The 'layout' of codes must be a skbq.codes.MixedDepths or the layout of "
            f"other codes, such as codes.layout. Got {layout!r} instead."
        )
    if n_features not in (None, layout.n_features) or levels is not None:
        raise ValueError(
            "A 'layout' says what n_features and levels are: leave these out. Got "
            f"n_features={n_features!r}, levels={levels!r} as well."
        )
    array = _plain_array(array, layout.width)
    small = array.dtype.kind == "i" and array.size and array.min() >= 0
    if small and array.max() <= np.iinfo(layout.dtype).max:
        array = array.astype(layout.dtype)
    if array.dtype != layout.dtype or array.ndim != 2 or array.shape[1] != layout.width:
        raise ValueError(
            f"{layout.describe().capitalize()} must be {layout.dtype} of shape "
            f"(n_samples, {layout.width}). Got {array.dtype} of shape {array.shape} "
            "instead."
        )
    faulty = np.flatnonzero((array & layout.padding).any(axis=1))
    if faulty.size:
        raise ValueError(
            f"Bits that belong to no coordinate must be 0. They are set in "
            f"{faulty.size} rows, first {faulty[:5].tolist()}: is this the layout that "
            "the codes were made with?"
        )
    return with_layout(array, layout)


def _packed_bits(array: ArrayLike, n_features: int, *, one_bit: bool) -> np.ndarray:
    """Return packed bits of any kind as uint8 or, for two bits, as uint16."""
    array = _plain_array(array, code_width(n_features))
    if array.dtype in _BITS_OF_DTYPE:
        return array
    if array.dtype == bool:
        if array.ndim == 2 and array.shape[1] == n_features:
            return np.packbits(array, axis=1)
        raise ValueError(
            "bool holds one bit for each value, so that its shape must be (n_samples, "
            f"{n_features}). Got shape {array.shape} instead."
        )
    if array.dtype.kind in "iu":
        low, high = (array.min(), array.max()) if array.size else (0, 0)
        is_signed = array.dtype == np.int8 or low < 0
        if is_signed and low >= -128 and high <= 127:
            return (array.astype(np.int16) + 128).astype(np.uint8)
        if not is_signed and high <= (255 if one_bit else 65535):
            return array.astype(np.uint8 if one_bit else np.uint16)
    raise ValueError(
        "Codes must be uint8 (one bit per coordinate) or uint16 (two bits), or "
        "integers from 0 to 255, rows of bytes or bool. Got dtype "
        f"{array.dtype} instead{_packed_hint(array, n_features)}"
    )


def _plain_array(array: ArrayLike, width: int) -> np.ndarray:
    """Return an array of numbers; rows of bytes as uint8."""
    if np.ma.is_masked(array):
        raise ValueError("Codes have masked values: fill them in, or drop these rows.")
    if isinstance(array, bytes | bytearray | memoryview):
        plain = np.frombuffer(array, np.uint8)
        return plain.reshape(-1, width) if plain.size % width == 0 else plain
    rows = array if isinstance(array, list | tuple) else []
    if not rows:
        array = np.asarray(array)
        if array.dtype.kind in "SV" and array.ndim == 1:
            return np.ascontiguousarray(array)[:, None].view(np.uint8)
        rows = array.tolist() if array.dtype == object and array.ndim == 1 else []
    if rows and all(isinstance(r, bytes | bytearray | memoryview) for r in rows):
        lengths = {len(row) for row in rows}
        if lengths != {width}:
            raise ValueError(
                f"Rows of bytes must have {width} bytes each. Got {sorted(lengths)} "
                "bytes instead."
            )
        return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, width)
    return np.asarray(rows if rows else array)


def _packed_hint(array: np.ndarray, n_features: int) -> str:
    """Say what to write for an array whose type is not that of codes."""
    kind = array.dtype.kind
    if kind == "f":
        return ": encode vectors with BinaryQuantizer or TwoBitQuantizer."
    if kind in "US":
        return ": decode text first, as base64.b64decode does, row by row."
    if kind not in "iu":
        return "."
    width = code_width(n_features)
    if array.ndim == 2 and array.shape[1] == -(-n_features // (8 * array.itemsize)):
        return (
            f": words of {8 * array.itemsize} bits. If their bytes lie in the order of "
            f"numpy.packbits, pass array.view(np.uint8)[:, :{width}]."
        )
    return f", with values from {array.min()} to {array.max()}."


def _padding_mask(n_features: int, bits: int) -> int:
    plane = 0xFF >> (n_features % 8) if n_features % 8 else 0
    return plane if bits == 1 else plane | plane << 8


def pack_codes(
    positive: np.ndarray,
    strong: np.ndarray | None = None,
    levels: tuple[float, float] | None = None,
) -> CodeArray:
    """Pack sign bits, and for two bits magnitude bits, to codes.

    Parameters
    ----------
    positive, strong : ndarray of shape (n_samples, n_features), dtype bool
    levels : tuple of float, default=None
        Given with ``strong``.

    Returns
    -------
    codes : CodeArray of shape (n_samples, ceil(n_features / 8)), C-contiguous
    """

    def pack(plane: np.ndarray) -> np.ndarray:
        return np.packbits(np.ascontiguousarray(plane), axis=1)

    packed = pack(positive)
    if strong is not None:
        packed = packed | pack(strong).astype(np.uint16) << 8
    return wrap_codes(packed, positive.shape[1], levels)


def empty_codes(n_samples: int, like: CodeArray) -> CodeArray:
    """Return an uninitialized array of codes, of the kind of ``like``."""
    array = np.empty((n_samples, like.shape[1]), like.dtype)
    return with_layout(array, _known(like.layout))


def squared_lengths(codes: CodeArray) -> np.ndarray:
    """Return the squared length of the codes' values, float64 of (n_samples,)."""
    return _known(codes.layout).squared_norms(codes.view(np.ndarray))


def describe_codes(codes: CodeArray) -> str:
    """Say in words what kind of codes these are, for messages."""
    return _known(codes.layout).describe()


def code_bytes(codes: CodeArray) -> np.ndarray:
    """View codes as bytes; of two bits, bytes of signs and of magnitudes in turn.

    Returns
    -------
    plain : ndarray of shape (n_samples, bits * ceil(d / 8)), dtype uint8
    """
    return np.ascontiguousarray(codes.view(np.ndarray)).view(np.uint8)
