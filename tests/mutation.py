"""Change the code in small ways and see whether a test notices.

    python tests/mutation.py codes --minutes 5
    NUMBA_DISABLE_JIT=1 python tests/mutation.py kernels --minutes 20 --seed 1

Mutants are drawn at random: a comparison becomes another, a sign is turned, a number
grows by one, a condition is negated, a statement is left out. Each runs the tests of
its target in a forked process, where the changed source stands in for the file; nothing
is written. A mutant that no test notices *survives*: it is listed with its line, to be
looked at. Those that mean the same as the original, or differ in speed alone, stand
with their reasons in ``equivalent_mutants.toml`` and are not tried.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import io
import os
import random
import signal
import sys
import time
import tomllib
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
# Seconds that the tests of one mutant may take: some mutants never end.
LIMIT = 300
# What is imported before the fork cannot be rewritten, which is no fault here.
OPTIONS = [
    *("-x", "-q", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    # Plain Python integers of numpy overflow aloud where compiled ones wrap.
    *("-W", "ignore:overflow encountered:RuntimeWarning"),
]


@dataclass(frozen=True)
class Target:
    """Files, and the tests that should notice a change of them."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


LAWS = ("laws/test_laws.py", "laws/test_index_states.py")
TARGETS = {
    "codes": Target(("codes.py",), ("test_codes.py", "laws/test_laws.py")),
    "format": Target(
        (
            "_neighbors/file_format.py",
            "_neighbors/file_checks.py",
            "_neighbors/state.py",
            "_neighbors/row_ids.py",
            "_neighbors/vector_files.py",
            "_sharding/manifest.py",
        ),
        (
            "neighbors/test_files.py",
            "sharding/test_sharded.py",
            "faults/test_saving.py",
            "golden/test_golden.py",
            "neighbors/test_inverted_lists.py",
            "neighbors/test_pca_search.py",
            "cli/test_cli_files.py",
            "laws/test_index_states.py",
        ),
    ),
    "search": Target(
        (
            "_neighbors/brute_force.py",
            "_neighbors/growable.py",
            "_neighbors/index.py",
            "_neighbors/index_search.py",
            "_neighbors/indexed_rows.py",
            "_neighbors/inverted_lists.py",
            "_neighbors/list_search.py",
        ),
        (
            "laws/test_index_states.py",
            "neighbors/test_neighbors.py",
            "neighbors/test_inverted_lists.py",
            "laws/test_laws.py",
            "neighbors/test_search_limits.py",
            "neighbors/test_index_fit.py",
            "neighbors/test_graph.py",
            "neighbors/test_corrections.py",
            "neighbors/test_pca_search.py",
            "kernels/test_kernels.py",
        ),
    ),
    # Plain Python: set NUMBA_DISABLE_JIT=1. What numba compiles to vector instructions
    # cannot run so, and is left out.
    "kernels": Target(
        (
            "_kernels/exact_distances.py",
            "_kernels/hadamard.py",
            "_kernels/mixed_depths.py",
            "_kernels/query_tables.py",
            "_kernels/result_heap.py",
            "_kernels/rounded_tables.py",
            "_kernels/vector_ops.py",
        ),
        (
            "kernels/test_kernels.py",
            "kernels/test_kernels_lookup.py",
            "kernels/test_kernels_mixed.py",
            "quantization/test_rotation.py",
            *LAWS,
            "quantization/test_quantizers.py",
            "neighbors/test_corrections.py",
        ),
    ),
}
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")

_COMPARE = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_BINARY = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    function: str
    line: int
    before: str
    after: str
    source: str

    @property
    def key(self):
        """What it is called in the list of equivalent ones."""
        return self.file, self.function, self.before, self.after

    def __str__(self):
        change = f"{self.before!r} -> {self.after!r}"
        return f"{self.file}:{self.line}: {self.function}: {change}"


def mutants(file: str) -> list[Mutant]:
    """Return all changes of a file, of which each is one small thing."""
    text = (ROOT / "skbq" / file).read_text(encoding="utf-8")
    found = []
    whole = ast.parse(text)
    for path, node in _nodes(whole):
        for changed in _changes(node):
            tree = ast.parse(text)
            _put(tree, path, changed)
            ast.fix_missing_locations(tree)
            pair = ast.unparse(node), ast.unparse(changed)
            place = _function(whole, path), node.lineno
            found.append(Mutant(file, *place, *pair, ast.unparse(tree)))
    return found


def _function(node, path):
    """Name the function, or the class, that a path leads into."""
    found = "module"
    for name, place in path:
        node = getattr(node, name) if place is None else getattr(node, name)[place]
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found = node.name
    return found


def equivalent() -> set[tuple[str, ...]]:
    """Return the keys of mutants that mean the same as the original."""
    listed = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["mutants"]
    assert all(one["reason"] for one in listed)
    return {(o["file"], o["function"], o["before"], o["after"]) for o in listed}


def _nodes(tree):
    """Yield (path, node) of what may be changed: no messages, types or docstrings."""
    stack = [((), tree)]
    while stack:
        path, node = stack.pop()
        if hasattr(node, "lineno"):
            yield path, node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "exc", "msg"):
                continue
            if isinstance(value, ast.JoinedStr):
                continue
            if isinstance(value, ast.AST):
                stack.append(((*path, (name, None)), value))
            elif isinstance(value, list):
                for place, item in enumerate(value):
                    if isinstance(item, ast.AST) and not isinstance(
                        item, ast.JoinedStr
                    ):
                        stack.append(((*path, (name, place)), item))


def _changes(node):
    """Yield what a node may become."""

    def like(**fields):
        changed = copy.deepcopy(node)
        for name, value in fields.items():
            setattr(changed, name, value)
        return changed

    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            ops = list(node.ops)
            ops[place] = _COMPARE[type(op)]()
            yield like(ops=ops)
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _BINARY:
        yield like(op=_BINARY[type(node.op)]())
        if isinstance(node, ast.AugAssign):
            yield ast.copy_location(ast.Pass(), node)
    elif isinstance(node, ast.BoolOp):
        yield like(op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
    elif isinstance(node, ast.UnaryOp) and isinstance(
        node.op, ast.Not | ast.Invert | ast.USub
    ):
        yield node.operand
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield like(value=not node.value)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield like(value=node.value + 1)
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield like(test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.copy_location(ast.Pass(), node)


def _put(tree, path, changed):
    node = tree
    for name, place in path[:-1]:
        value = getattr(node, name)
        node = value if place is None else value[place]
    name, place = path[-1]
    if place is None:
        setattr(node, name, changed)
    else:
        getattr(node, name)[place] = changed


class _StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the changed source where the module is imported."""

    def __init__(self, mutant):
        module = mutant.file.removesuffix(".py").replace("/", ".")
        self.name, self.mutant = f"skbq.{module}", mutant

    def find_spec(self, name, path, target=None):
        if name != self.name:
            return None
        origin = str(ROOT / "skbq" / self.mutant.file)
        spec = importlib.util.spec_from_file_location(name, origin, loader=self)
        return spec

    def exec_module(self, module):
        code = compile(self.mutant.source, module.__spec__.origin, "exec")
        exec(code, module.__dict__)


def survives(mutant: Mutant | None, tests: list[str]) -> bool:
    """Run tests on a mutant in a forked process; None is the code as it is."""
    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT)
        status = 1
        try:
            if mutant is not None:
                sys.meta_path.insert(0, _StandIn(mutant))
            import pytest

            quiet = io.StringIO()
            with redirect_stdout(quiet), redirect_stderr(quiet):
                status = int(pytest.main([*OPTIONS, *tests]))
            if mutant is None and status:
                print(quiet.getvalue(), file=sys.__stderr__, flush=True)
        except BaseException:
            if mutant is None:
                traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    target = TARGETS[args.target]
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    # Forked processes share what takes long to import; skbq is imported in each.
    for name in ("hypothesis", "numba", "polars", "pytest", "scipy.stats"):
        importlib.import_module(name)
    for name in ("pandas", "sklearn.pipeline", "sklearn.utils.estimator_checks"):
        importlib.import_module(name)
    assert "skbq" not in sys.modules
    tests = [str(TESTS / test) for test in target.tests]
    if not survives(None, tests):
        raise SystemExit("the tests fail on the code as it is")
    same = equivalent()
    found = [m for file in target.files for m in mutants(file) if m.key not in same]
    random.Random(args.seed).shuffle(found)
    start, tried, alive = time.monotonic(), 0, []
    for mutant in found:
        if time.monotonic() - start > 60 * args.minutes:
            break
        tried += 1
        if survives(mutant, tests):
            alive.append(mutant)
            print(mutant, flush=True)
    share = 1 - len(alive) / max(tried, 1)
    print(f"{args.target}: {tried} of {len(found)} mutants, {share:.1%} noticed")


if __name__ == "__main__":
    main()
