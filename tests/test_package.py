"""The house: who imports whom, what an import costs, what is public."""

import ast
import inspect
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import skbq

ROOT = Path(skbq.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# The floors of the house, lowest first: a room may import those of the floors below.
FLOORS = [
    {"codes", "_kernels"},
    {"_utils"},
    {"theory", "datasets", "_readers", "_html"},
    {"_quantization"},
    {"metrics", "_profiling", "_neighbors", "exports"},
    {"_advisor", "_sharding"},
    {"_displays", "distributed"},
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# A library that only some rooms import.
ONLY = {
    "numba": {"_kernels"},
    "llvmlite": {"_kernels"},
    "joblib": {"_utils"},
    "threadpoolctl": {"_utils"},
    "matplotlib": {"_displays"},
    "jinja2": {"_html"},
    "dask": {"distributed", "_utils"},
    "distributed": {"distributed"},
}


def room(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports(path):
    """All modules that a file imports, those of skbq as ``skbq.<room>``."""
    package = ("skbq", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield node.module
                continue
            base = package[: len(package) - node.level + 1]
            if node.module:
                yield ".".join([*base, node.module])
            else:
                yield from (".".join([*base, alias.name]) for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    here = room(path)
    for name in imports(path):
        if not name.startswith("skbq."):
            continue
        there = name.split(".")[1]
        if there == "__version__" or there == here:
            continue
        assert FLOOR[there] < FLOOR[here], f"{here} imports {there}, which is no lower"


def test_every_room_has_a_floor():
    assert set(FLOOR) == {room(path) for path in MODULES}


def test_contributing_lists_the_floors():
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    table = text.split("| rooms | what is there |")[1].split("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    floors = [set(re.findall(r"`(\w+)`", cell)) for cell in cells]
    assert floors == [*FLOORS[:-1]]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_libraries_stay_in_their_rooms(path):
    for name in imports(path):
        library = name.split(".")[0]
        assert room(path) in ONLY.get(library, {room(path)}), library


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout.strip()


def test_import_compiles_nothing():
    compiled = run(
        "import sys, skbq\n"
        "modules = [m for n, m in sys.modules.items() if n[:13] == 'skbq._kernels']\n"
        "kernels = [k for m in modules for k in vars(m).values()"
        " if hasattr(k, 'signatures')]\n"
        "assert kernels\n"
        "print(sum(len(k.signatures) for k in kernels))"
    )
    assert compiled == "0"


def test_import_is_light():
    heavy = ["matplotlib", "jinja2", "pandas", "polars", "sphinx", "pytest", "IPython"]
    loaded = run(
        "import sys, sklearn, numba\n"
        "before = set(sys.modules)\n"
        "import skbq, skbq.metrics, skbq.theory, skbq.datasets, skbq.cli\n"
        f"print([m for m in {heavy} if m in set(sys.modules) - before])"
    )
    assert loaded == "[]"


@pytest.mark.parametrize(
    "name", ["datasets", "distributed", "exports", "metrics", "theory"]
)
def test_modules_are_attributes(name):
    print_it = f"import skbq; print(skbq.{name}.__name__, {name!r} in dir(skbq))"
    assert run(print_it) == f"skbq.{name} True"


def test_unknown_attribute():
    with pytest.raises(AttributeError, match=r"'skbq' has no attribute 'metric'"):
        skbq.metric  # noqa: B018


def test_cache_can_be_switched_off():
    code = "from skbq._kernels import jit as c; print(c.kernel.__name__)"
    assert run(code, SKBQ_NUMBA_CACHE="0")


@pytest.mark.parametrize("where", ["program", "notebook", "log"])
def test_first_compilation_is_said_once(where):
    """To those who type, and in the log; a program's stderr stays its own."""
    code = {
        "program": "",
        "notebook": "import sys; sys.ps1 = '>>> '\n",
        "log": "import logging; logging.basicConfig(level=logging.INFO)\n",
    }[where]
    done = subprocess.run(
        [sys.executable, "-c", code + "import numpy as np, skbq\n" + _ENCODE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SKBQ_NUMBA_CACHE": "0"},
    )
    assert done.stderr.count("compiling kernels") == (where != "program")


_ENCODE = "for Q in (skbq.BinaryQuantizer, skbq.TwoBitQuantizer): Q().fit(np.eye(9))"


def test_works_where_no_folder_can_be_written(tmp_path):
    """Modules in an archive and a home that is no folder leave numba no place."""
    archive = tmp_path / "skbq.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in MODULES:
            file.write(path, path.relative_to(ROOT.parent))
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        "import skbq\n"
        f"assert skbq.__file__.startswith({str(archive)!r})\n"
        "skbq.BinaryQuantizer().fit([[0.0, 1.0], [1.0, 0.0]])\n"
        "print(skbq._kernels.jit._can_cache())"
    )
    nowhere = {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull, "NUMBA_CACHE_DIR": ""}
    assert run(code, **nowhere) == "False"


def test_public_names_are_sorted_and_documented():
    assert skbq.__all__ == sorted(skbq.__all__)
    for name in skbq.__all__:
        public = getattr(skbq, name)
        assert inspect.getdoc(public), name
        if inspect.isclass(public):
            for method, member in inspect.getmembers(public, inspect.isfunction):
                if not method.startswith("_") and member.__module__.startswith("skbq"):
                    assert inspect.getdoc(member), f"{name}.{method}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_codes_and_kernels_know_the_bits(path):
    if room(path) in {"codes", "_kernels"}:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"packbits", "unpackbits", "bitwise_count"}
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
            assert getattr(node.right, "value", None) != 8


def test_version_and_requirements_are_the_same_everywhere():
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    citation = (root / "CITATION.cff").read_text()
    recipe = (root / "packaging" / "conda-forge" / "recipe.yaml").read_text()
    assert f"\nversion: {skbq.__version__}\n" in citation
    assert f'version: "{skbq.__version__}"' in recipe
    assert f'python_min: "{project["requires-python"].removeprefix(">=")}"' in recipe
    required = re.search(r"  run:\n((?:    - .*\n)+)", recipe)[1]
    names = [line.strip("- ").replace(" ", "") for line in required.splitlines()]
    assert names[1:] == project["dependencies"]
    oldest = (root / ".ci" / "oldest.txt").read_text().splitlines()
    assert {name.replace(">=", "==") + ".0" for name in names[1:]} <= set(oldest)
