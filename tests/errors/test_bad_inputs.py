"""One test for each row of the contract of bad input."""

import copy
import inspect
import re
from pathlib import Path

import bad_inputs
import numpy as np
import pytest
from bad_inputs import (
    ASKS,
    CODES,
    COMMANDS,
    FITS,
    GOOD_VECTORS,
    NO_VECTORS,
    NOTHING,
    ROWS,
    WRONG_WIDTH,
)

import skbq
import skbq.exports
import skbq.metrics
import skbq.theory
from skbq.cli import _parser, main

DOCS = Path(__file__).parents[2] / "docs" / "errors_table.md"
# Codes are what an index may be fitted on.
TAKES_CODES = {
    "BinaryNeighbors.fit",
    "BinaryNeighbors.partial_fit, first",
    "BinaryNeighborsTransformer.fit",
}
REFUSED = [
    *((door, bad) for door in FITS for bad in [*NO_VECTORS, NOTHING]),
    *((door, CODES) for door in FITS if door not in TAKES_CODES),
    *((door, bad) for door in ASKS for bad in [*NO_VECTORS, WRONG_WIDTH, CODES]),
]
DOORS = {**FITS, **ASKS}


def ids(pairs):
    return [
        f"{door}-{what if isinstance(what, str) else what.name}" for door, what in pairs
    ]


@pytest.mark.parametrize(("door", "bad"), REFUSED, ids=ids(REFUSED))
def test_no_vectors(door, bad):
    with pytest.raises(bad.error) as caught:
        DOORS[door](bad.make())
    assert re.search(bad.message, str(caught.value), re.S)


# The advisor, which takes seconds, lets its vectors in as the others do.
TAKEN = [
    (door, good)
    for door in DOORS
    for good in GOOD_VECTORS
    if not door.startswith("QuantizationAdvisor.fit") or good in ("read-only", "bool")
    # Beside one number of 1e38 the rows vary in one direction only, as it says.
    if (door, good) != ("PCAQuantizer.fit", "numbers near 1e38")
]


@pytest.mark.parametrize(("door", "good"), TAKEN, ids=ids(TAKEN))
@pytest.mark.filterwarnings("ignore::UserWarning:skbq")
@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
def test_vectors(door, good):
    X = GOOD_VECTORS[good]()
    before = copy.deepcopy(X)
    DOORS[door](X)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.function}-{row.given}")
def test_bad_argument(row):
    with pytest.raises(row.error) as caught:
        row.call()
    assert re.search(row.message, str(caught.value), re.S)


def test_every_public_function_has_a_row():
    named = {row.function for row in ROWS}
    for room in (skbq, skbq.datasets, skbq.exports, skbq.metrics, skbq.theory):
        prefix = room.__name__.removeprefix("skbq").removeprefix(".")
        for name in room.__all__:
            if inspect.isfunction(getattr(room, name)):
                full = f"{prefix}.{name}".removeprefix(".")
                # One function takes nothing.
                assert full in named or full == "datasets.load_wordnet_minilm", full


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    bad_inputs.write_files(folder)
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.argv)
def test_bad_command(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    try:
        status = main(command.argv.split())
    except SystemExit as exit:
        status = exit.code
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    # Progress may come before; what is wrong is one line, the last.
    last = err.splitlines()[-1]
    assert re.match(r"skbq( \w+)?: error: ", last)
    assert re.search(command.message, last)
    assert sorted(path.name for path in folder.iterdir()) == before


def options_with_values():
    """Yield every command, and every option of it that takes a value."""
    [commands] = [a for a in _parser()._actions if a.dest == "command"]
    for name, command in commands.choices.items():
        for action in command._actions:
            if action.option_strings and action.nargs != 0:
                yield name, action.option_strings


def test_every_option_has_a_row():
    words = [command.argv.split() for command in COMMANDS]
    missing = [
        (command, *options)
        for command, options in options_with_values()
        if not any(argv[0] == command and {*options} & {*argv} for argv in words)
    ]
    assert missing == []


def test_docs_hold_the_same_table():
    written = DOCS.read_text(encoding="utf-8")
    assert written == bad_inputs.docs(), (
        "python tests/errors/bad_inputs.py --write docs/errors_table.md"
    )
