"""Checks of parameters, with the sentence that scikit-learn's users know.

Estimators call these at the top of ``fit`` and of the query methods, since
``__init__`` stores its arguments unseen.
"""

from collections.abc import Sequence
from math import isfinite
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.sparse import issparse

_BOOLS = (bool, np.bool_)
_SEEDS = 2**32 - 1
_NO_NUMBERS = {
    "c": "complex numbers",
    "M": "dates",
    "m": "durations",
    "U": "text",
    "S": "bytes",
    "V": "records",
}


def _refuse(value: object, name: str, owner: object, expected: str) -> str:
    who = owner if isinstance(owner, str) else type(owner).__name__
    return f"The {name!r} parameter of {who} must be {expected}. Got {value!r} instead."


def _interval(
    low: float, high: float, kind: str, closed_low: bool, closed_high: bool = True
) -> str:
    left = "[" if closed_low and low > -float("inf") else "("
    right = "]" if closed_high and high < float("inf") else ")"
    high_text = "inf" if high == float("inf") else f"{high}"
    return f"{kind} in the range {left}{low}, {high_text}{right}"


def check_int(
    value: object,
    name: str,
    owner: object,
    *,
    low: int,
    high: float = float("inf"),
) -> int:
    """Return ``value`` as int if it is one within ``[low, high]``.

    Raises
    ------
    TypeError
        If ``value`` is not an integer (bool is none).
    ValueError
        If it lies outside.
    """
    is_int = isinstance(value, Integral) and not isinstance(value, _BOOLS)
    if is_int and low <= int(value) <= high:  # type: ignore[call-overload]
        return int(value)  # type: ignore[call-overload]
    text = _refuse(value, name, owner, _interval(low, high, "an int", True))
    raise ValueError(text) if is_int else TypeError(text)


def check_real(
    value: object,
    name: str,
    owner: object,
    *,
    low: float,
    high: float = float("inf"),
    closed_low: bool = True,
    closed_high: bool = True,
) -> float:
    """Return ``value`` as float if it is a real number within the interval.

    Raises
    ------
    TypeError
        If ``value`` is not a real number (bool is none).
    ValueError
        If it is NaN, infinite or outside the interval.
    """
    is_real = isinstance(value, Real) and not isinstance(value, _BOOLS)
    number = float(value) if is_real else 0.0  # type: ignore[arg-type]
    above = number >= low if closed_low else number > low
    below = number <= high if closed_high else number < high
    if is_real and isfinite(number) and above and below:
        return number
    expected = _interval(low, high, "a float", closed_low, closed_high)
    text = _refuse(value, name, owner, expected)
    raise ValueError(text) if is_real else TypeError(text)


def check_bool(value: object, name: str, owner: object) -> bool:
    """Return ``value`` if it is True or False.

    Raises
    ------
    TypeError
    """
    if isinstance(value, _BOOLS):
        return bool(value)
    raise TypeError(_refuse(value, name, owner, "True or False"))


def check_n_jobs(value: object, owner: object) -> None:
    """Refuse a number of threads that is neither None nor an int other than 0.

    Raises
    ------
    TypeError, ValueError
    """
    expected = "None or an int other than 0, where -1 means all processors"
    if value is None:
        return
    if not isinstance(value, Integral) or isinstance(value, _BOOLS):
        raise TypeError(_refuse(value, "n_jobs", owner, expected))
    if value == 0:
        raise ValueError(_refuse(value, "n_jobs", owner, expected))


def check_option(
    value: object, name: str, owner: object, options: Sequence[str], also: str = ""
) -> str:
    """Return ``value`` if it is one of the strings ``options``.

    ``also`` names what else the parameter takes, for the message only.

    Raises
    ------
    TypeError
        If ``value`` is not a string.
    ValueError
        If it is another string.
    """
    is_text = isinstance(value, str)
    if is_text and value in options:
        return value  # type: ignore[return-value]
    expected = " or ".join(filter(None, [f"one of {sorted(options)}", also]))
    text = _refuse(value, name, owner, expected)
    raise ValueError(text) if is_text else TypeError(text)


def check_seed(value: object, owner: object) -> None:
    """Refuse what seeds no random numbers, whether they are drawn or not.

    Raises
    ------
    TypeError, ValueError
    """
    if value is None or value is np.random or isinstance(value, np.random.RandomState):
        return
    expected = f"None, a RandomState or a seed, an int in the range [0, {_SEEDS}]"
    if not isinstance(value, Integral) or isinstance(value, _BOOLS):
        raise TypeError(_refuse(value, "random_state", owner, expected))
    if not 0 <= int(value) <= _SEEDS:
        raise ValueError(_refuse(value, "random_state", owner, expected))


def as_real_array(
    values: ArrayLike | None, name: str, dtype: DTypeLike | None = np.float64
) -> np.ndarray:
    """Return an array of floats, NaN among them as they are.

    Raises
    ------
    TypeError
        If ``values`` is what numpy takes for floats, or not at all, but nobody means:
        None (NaN to numpy), complex numbers (of which it drops a half), dates, text,
        sparse matrices, objects that are no numbers.
    ValueError
        If values are masked, which numpy would take as they are under the mask, or
        rows have different lengths.
    """
    expected = f"{name} must be an array of real numbers. Got"
    if values is None or issparse(values):
        what = "None" if values is None else "a sparse matrix: write .toarray()"
        raise TypeError(f"{expected} {what} instead.")
    if np.ma.is_masked(values):
        raise ValueError(f"{expected} masked values: fill them in, or drop them.")
    try:
        array = np.asarray(values)
        if array.dtype.kind in _NO_NUMBERS:
            raise TypeError(_NO_NUMBERS[array.dtype.kind])
        return np.asarray(array, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{expected} {error} instead.") from None
