"""Fitted estimators as JSON and arrays, and back: no pickle."""

from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer

from .._quantization.quantizers import BinaryQuantizer, TwoBitQuantizer
from .._quantization.rotation import RandomRotation

_CLASSES = {
    kind.__name__: kind
    for kind in (
        BinaryQuantizer,
        FrozenEstimator,
        Normalizer,
        Pipeline,
        RandomRotation,
        TwoBitQuantizer,
    )
}


def to_state(value: Any, arrays: list[np.ndarray]) -> Any:
    """Turn a value into JSON; its arrays are appended to ``arrays``.

    Raises
    ------
    TypeError
        If the value is or holds something that files do not take.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return to_state(value.item(), arrays)
    if isinstance(value, tuple | list):
        items = [to_state(item, arrays) for item in value]
        return {"tuple": items} if isinstance(value, tuple) else {"list": items}
    if isinstance(value, np.ndarray):
        if value.dtype == object and all(isinstance(item, str) for item in value):
            return {"names": value.tolist()}
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1}
    if _CLASSES.get(type(value).__name__) is type(value):
        return _estimator_state(value, arrays)
    if isinstance(value, np.random.RandomState):
        return None  # what it drew is part of the fitted estimator
    raise TypeError(
        f"{type(value).__name__} cannot be saved in a file without pickle, only "
        f"{sorted(_CLASSES)} of numbers, strings and arrays. Use joblib.dump."
    )


def _estimator_state(estimator: Any, arrays: list[np.ndarray]) -> dict:
    attributes = {
        name: to_state(value, arrays)
        for name, value in vars(estimator).items()
        if not name.startswith("_sklearn")
    }
    return {"class": type(estimator).__name__, "attributes": attributes}


def from_state(state: Any, arrays: list[np.ndarray]) -> Any:
    """Undo :func:`to_state`."""
    if not isinstance(state, dict):
        return state
    if "array" in state:
        return arrays[state["array"]]
    if "names" in state:
        return np.array(state["names"], dtype=object)
    if "tuple" in state:
        return tuple(from_state(item, arrays) for item in state["tuple"])
    if "list" in state:
        return [from_state(item, arrays) for item in state["list"]]
    kind = _CLASSES[state["class"]]
    estimator = kind.__new__(kind)
    vars(estimator).update(
        (name, from_state(value, arrays)) for name, value in state["attributes"].items()
    )
    return estimator
