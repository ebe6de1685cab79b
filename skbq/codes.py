"""Codes of vectors: one or two bits per coordinate, packed eight to the byte.

This is the only module outside ``skbq._kernels`` that knows how bits are laid out.

One bit per coordinate
    uint8, shape (n_samples, ceil(n_features / 8)), in the bit order of
    :func:`numpy.packbits`: the first coordinate is the highest bit of the first
    byte. faiss ``IndexBinary*``, usearch ``b1``, sentence-transformers ``ubinary``,
    Qdrant and pgvector ``bit`` read these bytes as they are.
Two bits per coordinate
    uint16, the same shape: the low byte holds eight sign bits, the high byte the
    magnitude bits of the same eight coordinates, both in that order.

Bits beyond ``n_features`` in the last column (padding) are 0.
"""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np

__all__ = ["CodeArray", "as_codes"]

_BITS_OF_DTYPE = {np.dtype(np.uint8): 1, np.dtype(np.uint16): 2}
_DEFAULT_LEVELS = (1.0, 3.0)


def code_width(n_features: int) -> int:
    """Return the number of columns that codes of ``n_features`` coordinates have."""
    return -(-n_features // 8)


def check_levels(levels: Any, where: str) -> tuple[float, float]:
    """Return a pair of magnitudes as floats, 0 <= low < high.

    Raises
    ------
    ValueError
        If ``levels`` is anything else.
    """
    is_pair = isinstance(levels, tuple | list | np.ndarray) and len(levels) == 2
    if is_pair and all(
        isinstance(x, Real) and not isinstance(x, bool | np.bool_) for x in levels
    ):
        low, high = float(levels[0]), float(levels[1])
        if 0 <= low < high < np.inf:
            return low, high
    raise ValueError(
        f"The 'levels' of {where} must be two numbers 0 <= low < high, the values of a "
        f"weak and of a strong coordinate, such as (1, 3). Got {levels!r} instead."
    )


class CodeArray(np.ndarray):
    """Codes of vectors as a numpy array that knows what its bits mean.

    Quantizers make these; wrap an array of your own with :func:`as_codes`. Row
    slices, copies, pickles and joblib memory maps stay codes. Whatever changes the
    columns or the values (``astype``, arithmetic, bitwise operations, column slices,
    ``numpy`` functions such as :func:`numpy.concatenate`) gives a plain array.

    Attributes
    ----------
    n_features : int
        Number of coordinates of the vectors, d.
    bits : {1, 2}
        Bits per coordinate.
    levels : tuple of float or None
        Value of a weak and of a strong coordinate; None for one bit, where a
        coordinate counts as +1 or -1.
    signs : ndarray of shape (n_samples, ceil(d / 8)), dtype uint8
        The packed sign bits.
    magnitudes : ndarray of shape (n_samples, ceil(d / 8)), dtype uint8, or None
        The packed magnitude bits; None for one bit.

    See Also
    --------
    as_codes : Wrap an array of packed bits.
    BinaryQuantizer, TwoBitQuantizer : Make codes from vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import BinaryQuantizer
    >>> codes = BinaryQuantizer(threshold="zero").fit_transform(
    ...     [[0.5, -1.0, 2.0], [-0.1, 0.3, 0.2]])
    >>> codes.n_features, codes.bits, codes.shape
    (3, 1, (2, 1))
    >>> codes.unpack()
    array([[ 1., -1.,  1.],
           [-1.,  1.,  1.]], dtype=float32)
    """

    n_features: int
    levels: tuple[float, float] | None

    def __array_finalize__(self, obj: Any) -> None:
        self.n_features = getattr(obj, "n_features", 0)
        self.levels = getattr(obj, "levels", None)

    @property
    def bits(self) -> int:
        """Bits per coordinate: 1 or 2."""
        return _BITS_OF_DTYPE[self.dtype]

    @property
    def signs(self) -> np.ndarray:
        """The packed sign bits, uint8 of shape (n_samples, ceil(d / 8))."""
        plain = self.view(np.ndarray)
        return plain if self.bits == 1 else (plain & 0xFF).astype(np.uint8)

    @property
    def magnitudes(self) -> np.ndarray | None:
        """The packed magnitude bits, as ``signs``; None for one bit."""
        if self.bits == 1:
            return None
        return (self.view(np.ndarray) >> 8).astype(np.uint8)

    def unpack(self) -> np.ndarray:
        """Give every coordinate its signed level.

        Returns
        -------
        values : ndarray of shape (n_samples, n_features), dtype float32
            +1 and -1 for one bit; plus or minus one of the two levels for two bits.
        """
        positive, strong = self.unpack_bits()
        if strong is None:
            values = np.ones(positive.shape, np.float32)
        else:
            assert self.levels is not None
            values = np.array(self.levels, np.float32)[strong.view(np.uint8)]
        np.negative(values, where=~positive, out=values)
        return values

    def unpack_bits(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Give the sign bits and the magnitude bits of every coordinate.

        Returns
        -------
        positive : ndarray of shape (n_samples, n_features), dtype bool
        strong : ndarray of shape (n_samples, n_features), dtype bool, or None
            None for one bit.
        """

        def unpack(plane: np.ndarray) -> np.ndarray:
            return np.unpackbits(plane, axis=1, count=self.n_features).view(bool)

        magnitudes = self.magnitudes
        strong = None if magnitudes is None else unpack(magnitudes)
        return unpack(self.signs), strong

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
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        if "out" in kwargs:
            kwargs["out"] = _plain(kwargs["out"])
        return getattr(ufunc, method)(*_plain(inputs), **_plain(kwargs))

    def __array_function__(
        self, func: Callable, types: Any, args: Any, kwargs: Any
    ) -> Any:
        return func(*_plain(args), **_plain(kwargs))

    def __reduce__(self) -> tuple:
        # joblib memory-maps plain arrays only, so the bits travel as one.
        return wrap_codes, (np.asarray(self), self.n_features, self.levels)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return self.__reduce__()

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: dict | None) -> Self:
        return self.copy()


def _as_plain_method(name: str) -> Callable:
    def method(self: CodeArray, *args: Any, **kwargs: Any) -> Any:
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


def wrap_codes(
    array: np.ndarray, n_features: int, levels: tuple[float, float] | None
) -> CodeArray:
    """Wrap an array that is known to hold codes; :func:`as_codes` checks any other."""
    codes = array.view(CodeArray)
    codes.n_features, codes.levels = n_features, levels
    return codes


def is_codes(X: Any) -> bool:
    """Tell whether ``X`` is an array of codes and still has their shape."""
    return (
        isinstance(X, CodeArray)
        and X.ndim == 2
        and X.dtype in _BITS_OF_DTYPE
        and X.n_features >= 1
        and X.shape[1] == code_width(X.n_features)
        and (X.bits == 2) == (X.levels is not None)
    )


def as_codes(
    array: Any, n_features: int, levels: tuple[float, float] | None = None
) -> CodeArray:
    """Wrap packed bits as codes, without copying them.

    Parameters
    ----------
    array : array-like of shape (n_samples, ceil(n_features / 8))
        uint8 for one bit per coordinate, uint16 for two; bit order of
        :func:`numpy.packbits`, padding bits 0.
    n_features : int
        Number of coordinates of the vectors.
    levels : tuple of float, default=None
        Two bits only: value of a weak and of a strong coordinate; None means (1, 3).

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
    array = np.asarray(array)
    if (
        not isinstance(n_features, Integral)
        or isinstance(n_features, bool | np.bool_)
        or n_features < 1
    ):
        raise ValueError(
            "n_features, the number of coordinates, must be an int of at least 1. "
            f"Got {n_features!r} instead."
        )
    n_features = int(n_features)
    bits = _BITS_OF_DTYPE.get(array.dtype)
    if bits is None:
        hint = ""
        if array.dtype == np.int8:
            hint = (
                " int8 bytes as sentence-transformers' 'binary' makes them are "
                "shifted by 128: pass (array.view(np.uint8) ^ 128), or use 'ubinary'."
            )
        raise ValueError(
            "Codes must be uint8 (one bit per coordinate) or uint16 (two bits). "
            f"Got dtype {array.dtype} instead.{hint}"
        )
    width = code_width(n_features)
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(
            f"Codes of {n_features} coordinates must have shape (n_samples, {width}). "
            f"Got shape {array.shape} instead."
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
    """Return an uninitialised array of codes, of the kind of ``like``."""
    array = np.empty((n_samples, like.shape[1]), like.dtype)
    return wrap_codes(array, like.n_features, like.levels)


def squared_lengths(codes: CodeArray) -> np.ndarray:
    """Return the squared length of the codes' values, float64 of (n_samples,)."""
    magnitudes = codes.magnitudes
    if magnitudes is None or codes.levels is None:
        return np.full(len(codes), float(codes.n_features))
    low, high = codes.levels
    strong = np.bitwise_count(magnitudes).sum(axis=1)
    return low * low * codes.n_features + (high * high - low * low) * strong


def describe_codes(codes: CodeArray) -> str:
    """Say in words what kind of codes these are, for messages."""
    levels = "" if codes.levels is None else f" with levels {codes.levels}"
    return f"{codes.bits}-bit codes of {codes.n_features} coordinates{levels}"


def code_bytes(codes: CodeArray) -> np.ndarray:
    """View codes as bytes; of two bits, bytes of signs and of magnitudes in turn.

    Returns
    -------
    plain : ndarray of shape (n_samples, bits * ceil(d / 8)), dtype uint8
    """
    return np.ascontiguousarray(codes.view(np.ndarray)).view(np.uint8)
