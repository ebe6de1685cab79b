"""Old names, accepted for one release with a FutureWarning."""

import sys
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

_Value = TypeVar("_Value")

# The default of a parameter under its old name: nobody passes this.
UNUSED = "deprecated"
_GONE = "The old name will be gone after release 0.2."


def renamed_parameter(
    value: _Value, old_value: _Value | str, name: str, old_name: str, owner: str
) -> _Value:
    """Return what was passed for a parameter under its new or its old name.

    Warns
    -----
    FutureWarning
        If the old name was used.
    """
    if isinstance(old_value, str) and old_value == UNUSED:
        return value
    warnings.warn(
        f"The parameter {old_name!r} of {owner} is now {name!r}. {_GONE}",
        FutureWarning,
        stacklevel=3,
    )
    return old_value  # type: ignore[return-value]


def renamed_attribute(instance: object, name: str, old_name: str) -> Any:
    """Return an attribute that was asked for by its old name (in a property).

    Warns
    -----
    FutureWarning
        Always.
    """
    owner = type(instance).__name__
    warnings.warn(
        f"{owner}.{old_name} is now {owner}.{name}. {_GONE}",
        FutureWarning,
        stacklevel=3,
    )
    return getattr(instance, name)


def renamed_object(module: str, old_name: str, names: dict[str, str]) -> Any:
    """Return the object of a module that an old name stands for (``__getattr__``).

    Parameters
    ----------
    module : str
        ``__name__`` of the module.
    old_name : str
        The name that was asked for.
    names : dict of str
        The new name of each old one.

    Raises
    ------
    AttributeError
        If the name is neither old nor new.

    Warns
    -----
    FutureWarning
        If it is an old one.
    """
    if old_name not in names:
        raise AttributeError(f"module {module!r} has no attribute {old_name!r}")
    name = names[old_name]
    warnings.warn(
        f"{module}.{old_name} is now {module}.{name}. {_GONE}",
        FutureWarning,
        stacklevel=3,
    )
    return getattr(sys.modules[module], name)


def renamed_key(
    mapping: Mapping[str, _Value], name: str, old_name: str, owner: str
) -> dict[str, _Value]:
    """Return a copy of a mapping in which a key has its new name.

    Warns
    -----
    FutureWarning
        If the old name was used.
    """
    given = dict(mapping)
    if old_name in given and name not in given:
        warnings.warn(
            f"The key {old_name!r} of {owner} is now {name!r}. {_GONE}",
            FutureWarning,
            stacklevel=4,
        )
        given[name] = given.pop(old_name)
    return given
