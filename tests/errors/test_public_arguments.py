"""Every argument of everything public against what its kind refuses."""

import dataclasses
import importlib
import inspect
import re
import warnings

import pytest
from bad_inputs import Bad
from public_arguments import DOORS, KINDS, KINDS_SAY, VALUES_SAY

ROOMS = ["", "codes", "metrics", "theory", "datasets", "exports", "distributed"]
ARGUMENTS = [
    (name, argument) for name, door in DOORS.items() for argument in door.kinds
]


def faults(name, argument):
    """What is taken, crashes or is refused without a word on what it is."""
    door = DOORS[name]
    kind = door.kinds[argument]
    named = [rf"\b{argument}\b", door.says.get(argument), KINDS_SAY.get(kind)]
    for what, value in KINDS[kind].items():
        if what in door.takes.get(argument, ()):
            continue
        expected = [*named, VALUES_SAY.get(what)]
        if isinstance(value, Bad):
            expected = [value.message or "^", door.says.get(argument)]
            value = value.make()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                door.call(**{**door.given, argument: value})
        except (TypeError, ValueError, FileNotFoundError) as error:
            if not re.search("|".join(filter(None, expected)), str(error), re.S):
                yield f"{what}: says {type(error).__name__}: {error}"
        except Exception as error:
            yield f"{what}: {type(error).__name__}: {error}"
        else:
            yield f"{what}: is taken"


@pytest.mark.parametrize(
    ("name", "argument"), ARGUMENTS, ids=[f"{n}({a})" for n, a in ARGUMENTS]
)
def test_refuses_what_its_kind_refuses(name, argument):
    assert "\n".join(faults(name, argument)) == ""


def public():
    """Yield the names of functions and methods with their arguments."""
    seen = set()
    for room in ROOMS:
        module = importlib.import_module(f"skbq.{room}".rstrip("."))
        for name in module.__all__:
            thing = getattr(module, name)
            full = f"{room}.{name}".lstrip(".")
            # An array of numpy, with its methods; and what stands in two rooms.
            if name == "CodeArray" or not callable(thing) or thing in seen:
                continue
            seen.add(thing)
            # Records are what functions return, and displays what their methods make.
            is_record = dataclasses.is_dataclass(thing) or issubclass_of(thing, tuple)
            if not (is_record or name.endswith("Display")) or full in DOORS:
                yield full, arguments(thing)
            if inspect.isclass(thing):
                for method, function in methods(thing):
                    yield f"{full}.{method}", arguments(function)


def issubclass_of(thing, kind):
    return inspect.isclass(thing) and issubclass(thing, kind)


def methods(kind):
    """Yield what a class of ours, or its base, defines that takes arguments."""
    for name in dir(kind):
        if name.startswith("_") and name != "__call__":
            continue
        found = inspect.getattr_static(kind, name)
        # Class methods, and those that are there for some parameters only.
        found = getattr(found, "__func__", getattr(found, "fn", found))
        ours = getattr(found, "__module__", "") or ""
        if inspect.isfunction(found) and ours.startswith("skbq") and arguments(found):
            yield name, arguments(found) and found


def arguments(function):
    names = set(inspect.signature(function).parameters)
    return names - {"self", "cls"}


INSIDE = {
    # What layouts of codes give to scans, which takes plain arrays unseen.
    "codes.MixedDepths.values",
    "codes.MixedDepths.squared_norms",
    # It is not there, which a row of bad_inputs.py says.
    "PCAQuantizer.partial_fit",
}


def test_everything_public_has_a_door():
    found = {name: given for name, given in public() if name not in INSIDE}
    missing = {
        name: given - set(DOORS[name].kinds) if name in DOORS else given
        for name, given in found.items()
    }
    assert {name: given for name, given in missing.items() if given} == {}
    # A record has a door of its own where it looks at what it is given.
    assert set(DOORS) <= set(found)
