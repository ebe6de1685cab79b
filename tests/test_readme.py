"""The README's examples run as they stand there."""

import doctest
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_examples():
    failed, attempted = doctest.testfile(
        str(README), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert failed == 0
    assert attempted > 10
