"""The asv suite runs, on small data."""

import importlib
import itertools
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def benchmarks():
    """Yield every class of the suite with each combination of its parameters."""
    sys.path.insert(0, str(FOLDER))
    try:
        for file in sorted((FOLDER / "suite").glob("[!_]*.py")):
            module = importlib.import_module(f"suite.{file.stem}")
            for kind in vars(module).values():
                if isinstance(kind, type) and kind.__module__ == module.__name__:
                    params = getattr(kind, "params", ())
                    lists = params
                    for values in itertools.product(*lists):
                        yield pytest.param(kind, values, id=f"{kind.__name__}{values}")
    finally:
        sys.path.remove(str(FOLDER))


@pytest.mark.parametrize(("kind", "values"), list(benchmarks()))
def test_suite(kind, values, monkeypatch):
    data = sys.modules["suite._data"]
    for name, small in (("ROWS", 600), ("D", 72), ("QUERIES", 8)):
        monkeypatch.setattr(data, name, small)
    one = kind()
    one.setup(*values)
    names = [n for n in dir(kind) if n.startswith(("time_", "peakmem_"))]
    assert names
    for name in names:
        getattr(one, name)(*values)
    getattr(one, "teardown", lambda *_: None)(*values)
