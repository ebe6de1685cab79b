"""The examples of README and guide run as they stand; the reference is complete."""

import doctest
from pathlib import Path

import pytest

import skbq
from skbq import theory

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        pytest.param("docs/user_guide.rst", marks=pytest.mark.exhaustive),
        "docs/coming_from.rst",
        "docs/out_of_core.rst",
    ],
)
def test_examples(name):
    failed, attempted = doctest.testfile(
        str(ROOT / name),
        module_relative=False,
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert failed == 0
    assert attempted > 10


def test_reference_lists_every_public_name():
    listed = (ROOT / "docs" / "api.rst").read_text().split()
    modules = {
        path.stem if path.suffix else path.name
        for path in Path(skbq.__file__).parent.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    public = {name for name in modules if not name.startswith("_")} - {"cli", "codes"}
    assert {*skbq.__all__, *public} <= set(listed)


def test_reference_groups_every_name_of_theory():
    listed = (ROOT / "docs" / "api.rst").read_text().split()
    assert sorted(name for name in listed if name in theory.__all__) == sorted(
        theory.__all__
    )
