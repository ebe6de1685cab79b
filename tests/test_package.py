"""The house: who imports whom, what an import costs, what is public."""

import ast
import inspect
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import skbq

ROOT = Path(skbq.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# What a room may import of skbq. Imports go down only.
_PLAIN = {"_checks", "_parallel", "codes", "_kernels", "theory"}
_ESTIMATORS = {"_rotation", "_quantizers", "_profiler", "_neighbors", "_graph"}
_BELOW = _PLAIN | {
    "_base",
    "_encoding",
    "_search",
    "_statistics",
    "_files",
    "_growing",
    "_comparing",
    "_persistence",
    "_queries",
}
ALLOWED = {
    "_checks": set(),
    "_parallel": set(),
    "codes": set(),
    "_kernels": set(),
    "theory": set(),
    "datasets": {"_checks"},
    "_statistics": {"_base", "_parallel"},
    "exports": set(),
    "displays": set(),
    "_search": {"codes", "_kernels", "_parallel"},
    "_files": set(),
    "_persistence": {"_quantizers", "_rotation"},
    "_growing": set(),
    "_comparing": {"_encoding", "_parallel", "_search", "codes"},
    "_queries": {"_base", "_checks", "_comparing", "_encoding", "codes"},
    "_base": _PLAIN | {"_search"},
    "_encoding": {"_base", "_kernels", "_parallel", "codes"},
    **dict.fromkeys(_ESTIMATORS, _BELOW | _ESTIMATORS),
    "_profiler": _BELOW | {"_fidelity_table"},
    "_fidelity_table": _PLAIN | {"_rotation", "_strategies"},
    "_fidelity_report": {"theory"},
    "metrics": {"_fidelity_report"},
    "_strategies": _BELOW | _ESTIMATORS,
    "_measuring": _BELOW | _ESTIMATORS | {"_strategies"},
    "_comparison": _BELOW | _ESTIMATORS | {"metrics", "_strategies", "_measuring"},
    "_advisor": _BELOW | _ESTIMATORS | {"exports", "_strategies", "_measuring"},
    "_terminal": {"_parallel"},
}
TOP = {"__init__", "cli", "_commands"}

# A library that only some rooms import.
ONLY = {
    "numba": {"_kernels"},
    "llvmlite": {"_kernels"},
    "joblib": {"_parallel"},
    "matplotlib": {"displays"},
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
    if here in TOP:
        return
    assert here in ALLOWED, f"say what {here} may import"
    used = {name.split(".")[1] for name in imports(path) if name.startswith("skbq.")}
    assert used <= ALLOWED[here] | {here}


def test_the_table_has_no_rooms_that_are_gone():
    planned = {"_advisor", "displays"}
    assert set(ALLOWED) - planned <= {room(path) for path in MODULES}


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
    heavy = ["matplotlib", "pandas", "polars", "sphinx", "pytest", "IPython"]
    loaded = run(
        "import sys, sklearn, numba\n"
        "before = set(sys.modules)\n"
        "import skbq, skbq.metrics, skbq.theory, skbq.datasets, skbq.cli\n"
        f"print([m for m in {heavy} if m in set(sys.modules) - before])"
    )
    assert loaded == "[]"


def test_cache_can_be_switched_off():
    code = "from skbq._kernels import jit as c; print(c.kernel.__name__)"
    assert run(code, SKBQ_NUMBA_CACHE="0")


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
