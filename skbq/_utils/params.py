"""Checks of parameters, with the sentence that scikit-learn's users know.

Estimators call these at the top of ``fit`` and of the query methods, since
``__init__`` stores its arguments unseen.
"""

from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np


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
    expected = _interval(low, high, "an int", True)
    if not isinstance(value, Integral) or isinstance(value, bool | np.bool_):
        raise TypeError(_refuse(value, name, owner, expected))
    if not low <= int(value) <= high:
        raise ValueError(_refuse(value, name, owner, expected))
    return int(value)


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
    expected = _interval(low, high, "a float", closed_low, closed_high)
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        raise TypeError(_refuse(value, name, owner, expected))
    number = float(value)
    above = number >= low if closed_low else number > low
    below = number <= high if closed_high else number < high
    if not (np.isfinite(number) and above and below):
        raise ValueError(_refuse(value, name, owner, expected))
    return number


def check_n_jobs(value: object, owner: object) -> None:
    """Refuse a number of threads that is neither None nor an int other than 0.

    Raises
    ------
    TypeError, ValueError
    """
    expected = "None or an int other than 0, where -1 means all processors"
    if value is None:
        return
    if not isinstance(value, Integral) or isinstance(value, bool | np.bool_):
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
    expected = " or ".join(filter(None, [f"one of {sorted(options)}", also]))
    if not isinstance(value, str):
        raise TypeError(_refuse(value, name, owner, expected))
    if value not in options:
        raise ValueError(_refuse(value, name, owner, expected))
    return value
