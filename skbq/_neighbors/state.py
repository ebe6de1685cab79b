"""Fitted estimators as JSON and arrays, and back: no pickle."""

import os
from dataclasses import astuple
from inspect import signature
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator

from .._utils.typing import JSON
from ..codes import CodeArray, MixedDepths, is_codes, with_layout, wrap_codes
from .file_checks import CLASSES, DamagedError, check_estimator, check_index
from .file_format import (
    FIRST_VERSION,
    LISTS_VERSION,
    SECOND_VERSION,
    FileError,
    read_file,
    write_file,
)
from .vector_files import VectorFile

# What an estimator learned and how it was made, by name: whatever files take.
Attributes: TypeAlias = dict[str, Any]


def to_state(value: object, arrays: list[np.ndarray]) -> JSON:
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
    if isinstance(value, MixedDepths):
        state = value.__getstate__()
        levels = list(map(list, value.levels.items()))
        return {"layout": to_state([*{**state, "levels": levels}.values()], arrays)}
    if isinstance(value, VectorFile):
        return {"vectors in": to_state(astuple(value), arrays)}
    stored = CLASSES.get(type(value).__name__)
    if stored is not None and stored.kind is type(value):
        return _estimator_state(value, arrays)
    if isinstance(value, np.random.RandomState):
        return None  # what it drew is part of the fitted estimator
    raise TypeError(
        f"{type(value).__name__} cannot be saved in a file without pickle, only "
        f"{sorted(CLASSES)} of numbers, strings and arrays. Use joblib.dump."
    )


def _estimator_state(
    estimator: BaseEstimator, arrays: list[np.ndarray]
) -> dict[str, JSON]:
    # Ranges of corrections are with the index that has some.
    attributes = {
        name: to_state(value, arrays)
        for name, value in vars(estimator).items()
        if not name.startswith("_sklearn") and name != "_correction_range"
    }
    return {"class": type(estimator).__name__, "attributes": attributes}


def from_state(state: object, arrays: list[np.ndarray]) -> Any:
    """Undo :func:`to_state`.

    Raises
    ------
    DamagedError
        If an estimator is not as its class makes it.
    """
    if not isinstance(state, dict):
        return state
    if "array" in state:
        return arrays[state["array"]]
    if "names" in state:
        return np.array([str(name) for name in state["names"]], dtype=object)
    if "tuple" in state:
        return tuple(from_state(item, arrays) for item in state["tuple"])
    if "list" in state:
        return [from_state(item, arrays) for item in state["list"]]
    if "vectors in" in state:
        return VectorFile(*from_state(state["vectors in"], arrays))
    if "layout" in state:
        # Former files do not say whether deep nibbles are below: they are not.
        n_features, depths, levels, scales, *below = from_state(state["layout"], arrays)
        deep_below = below == [True]
        return MixedDepths(
            n_features, depths, dict(levels), scales, deep_below=deep_below
        )
    stored = CLASSES[state["class"]]
    estimator = stored.kind.__new__(stored.kind)  # type: ignore[call-overload]
    vars(estimator).update(_defaults(stored.kind))
    if any(name in state["attributes"] for name in stored.needed):  # it is fitted
        vars(estimator).update(stored.before)
    vars(estimator).update(
        (name, from_state(value, arrays)) for name, value in state["attributes"].items()
    )
    check_estimator(estimator, stored)
    return estimator


def _defaults(kind: type[BaseEstimator]) -> dict[str, object]:
    """Return default parameters, for files older than a parameter."""
    parameters = signature(kind).parameters
    return {n: p.default for n, p in parameters.items() if p.default is not p.empty}


def layout_state(codes: CodeArray, arrays: list[np.ndarray]) -> dict[str, JSON]:
    """Turn what the bits of an index mean into JSON, beside ``n_features``."""
    if isinstance(codes.layout, MixedDepths):
        return {"layout": to_state(codes.layout, arrays)}
    return {"levels": to_state(codes.levels, arrays)}


class IndexState(NamedTuple):
    """What a file holds of an index: its codes, and all else by name."""

    codes: CodeArray
    attributes: Attributes


def read_index(
    path: str | os.PathLike[str],
    kind: type[BaseEstimator],
    *,
    mapped: bool,
    verify: bool,
) -> IndexState:
    """Read an index of a class, and check all that a search will rely on.

    Parameters
    ----------
    path : path-like
    kind : type
        The class that was saved.
    mapped : bool
        Whether codes and vectors stay in the file.
    verify : bool
        Whether checksums are compared; all else is checked in any case.

    Raises
    ------
    FileError
        If the file is damaged, or holds another class.
    """
    state, arrays = read_file(path, mapped=mapped, verify=verify)
    try:
        name = state["class"]
        if name == kind.__name__:
            return _index_of(state, arrays, kind, verify=verify)
    except FileError:
        raise
    except (
        *(KeyError, IndexError, TypeError, ValueError, AttributeError),
        *(OverflowError, RecursionError),
    ) as error:
        what = str(error) if isinstance(error, DamagedError) else "its header is wrong"
        raise FileError(f"{path} was altered: {what}. Save the index again.") from None
    raise FileError(f"{path} holds a {name}: load it with {name}.load.")


def _index_of(
    state: dict[str, Any],
    arrays: list[np.ndarray],
    kind: type[BaseEstimator],
    *,
    verify: bool,
) -> IndexState:
    n_features = state["n_features"]
    plain = from_state(state["codes"], arrays)
    if "layout" in state:
        codes = with_layout(plain, from_state(state["layout"], arrays))
    else:
        codes = wrap_codes(plain, n_features, from_state(state["levels"], arrays))
    if not (is_codes(codes) and type(n_features) is int and len(codes)) or (
        codes.n_features != n_features
    ):
        raise DamagedError("its codes have another type, shape or levels than codes")
    attributes = {
        name: from_state(value, arrays) for name, value in state["attributes"].items()
    }
    attributes.setdefault("_corrections", None)
    if isinstance(attributes.get("_vectors"), VectorFile):
        attributes["_vectors"] = attributes["_vectors"].open(verify=verify)
    check_index(kind, codes, attributes, n_features)
    parameters = attributes.keys() & kind._get_param_names()
    kind(**{name: attributes[name] for name in parameters})._check_parameters()
    return IndexState(codes, attributes)


def write_index(path: str | os.PathLike[str], kind: type, index: IndexState) -> None:
    """Write what :func:`read_index` reads."""
    arrays: list[np.ndarray] = []
    codes = index.codes
    state = {
        "class": kind.__name__,
        "n_features": codes.n_features,
        **layout_state(codes, arrays),
        "codes": to_state(np.asarray(codes), arrays),
        "attributes": {
            name: to_state(value, arrays) for name, value in index.attributes.items()
        },
    }
    refers = isinstance(index.attributes.get("_vectors"), VectorFile)
    newer = "layout" in state or "_correction_range" in index.attributes or refers
    version = SECOND_VERSION if newer else FIRST_VERSION
    if index.attributes.get("_lists") is not None:
        version = LISTS_VERSION
    write_file(path, state, arrays, version=version)
