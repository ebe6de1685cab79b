"""Change the code in small ways and see whether a test notices.

    python tests/mutation.py codes --count 150 --seed 1
    NUMBA_DISABLE_JIT=1 python tests/mutation.py kernels --minutes 40 --seed 1

Mutants are drawn at random: a comparison becomes another, a sign is turned, a number
grows by one, a condition is negated, a statement is left out. First the tests of the
target run on the code as it is, which says how long each takes and which functions it
calls. Then each mutant gets a forked process, where the changed function stands in for
the old one and the tests that call it run, the quickest first, until one fails; nothing
is written. What runs at import alone (a constant, a default) needs a new process.

A mutant that no test notices *survives*: it is listed with its line, to be looked at;
``--again FILE`` tries those listed in a file once more. Mutants that mean the same as
the original, or differ in speed alone, stand with their reasons in
``equivalent_mutants.toml`` and are not tried: one change, or whatever is changed
``within`` an expression or a statement. The share comes with the 95 % interval that a
random sample of this size has.
"""

import argparse
import ast
import copy
import gc
import importlib.abc
import importlib.util
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter, defaultdict
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import _lru_cache_wrapper
from pathlib import Path
from types import CodeType, FunctionType

import numba
import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
# Seconds of tests for one mutant, the quickest first, as measured without it. It may
# take so many times longer, and these seconds more: some mutants never end. That is
# time of the processor, or a slow machine would count as a mutant that is noticed.
BUDGET = 25
PATIENCE, GRACE = 3, 15
OPTIONS = [
    *("-q", "-p", "no:cacheprovider"),
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
    "codes": Target(
        ("codes.py",),
        ("test_codes.py", "quantization/test_unpacker.py", "laws/test_laws.py"),
    ),
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
            "neighbors/test_neighbors.py",
            "neighbors/test_corrections.py",
            "neighbors/test_index_parts.py",
            "neighbors/test_inverted_lists.py",
            "neighbors/test_list_laws.py",
            "neighbors/test_search_limits.py",
            "neighbors/test_index_fit.py",
            "neighbors/test_graph.py",
            "kernels/test_kernels_small.py",
            "sharding/test_sharded.py",
            "sharding/test_sharded_lists.py",
            "golden/test_golden.py",
            "laws/test_index_states.py",
        ),
    ),
    # Plain Python: set NUMBA_DISABLE_JIT=1. What numba compiles to vector instructions
    # cannot run so; no test calls it, and it is counted apart.
    "kernels": Target(
        (
            "_kernels/bitplanes.py",
            "_kernels/dispatch.py",
            "_kernels/exact_distances.py",
            "_kernels/hadamard.py",
            "_kernels/inverted_lists.py",
            "_kernels/list_ranking.py",
            "_kernels/mixed_depths.py",
            "_kernels/popcount.py",
            "_kernels/projection.py",
            "_kernels/query_tables.py",
            "_kernels/result_heap.py",
            "_kernels/rounded_tables.py",
            "_kernels/table_lookup.py",
            "_kernels/tiles.py",
            "_kernels/vector_ops.py",
        ),
        (
            "kernels/test_kernels.py",
            "kernels/test_kernels_direct.py",
            "kernels/test_kernels_lists.py",
            "kernels/test_kernels_lookup.py",
            "kernels/test_kernels_mixed.py",
            "kernels/test_kernels_planes.py",
            "kernels/test_kernels_small.py",
            "kernels/test_kernels_steps.py",
            "quantization/test_rotation.py",
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


# What a place may be that mutants are within.
_WHOLE = ast.expr | ast.stmt


@dataclass(frozen=True, eq=False)
class Mutant:
    """One change of one file.

    ``start`` is the first line of the function that holds it, None at import.
    """

    file: str
    function: str
    line: int
    before: str
    after: str
    start: int | None
    path: tuple
    changed: ast.AST

    def __str__(self):
        change = f"{self.before!r} -> {self.after!r}"
        return f"{self.file}:{self.line}: {self.function}: {change}"

    def compiled(self) -> CodeType:
        """Return the changed file, compiled; its lines have their old numbers."""
        path = ROOT / "skbq" / self.file
        tree = ast.parse(path.read_text(encoding="utf-8"))
        _put(tree, self.path, self.changed)
        ast.fix_missing_locations(tree)
        return compile(tree, str(path), "exec")


def mutants(file: str) -> list[Mutant]:
    """Return all changes of a file, of which each is one small thing."""
    whole = ast.parse((ROOT / "skbq" / file).read_text(encoding="utf-8"))
    found = []
    for path, node in _nodes(whole):
        name, start = _function(whole, path)
        for changed in _changes(node):
            pair = ast.unparse(node), ast.unparse(changed)
            found.append(Mutant(file, name, node.lineno, *pair, start, path, changed))
    return found


def _function(node, path):
    """Name the function, or the class, that a path leads into, and where it starts."""
    found, start = "module", None
    for name, place in path:
        if isinstance(node, ast.FunctionDef) and name == "body":
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        node = getattr(node, name) if place is None else getattr(node, name)[place]
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found = node.name
    return found, start


def worth_trying(file: str) -> list[Mutant]:
    """Return the mutants of a file without those that mean the same as the original.

    Raises
    ------
    ValueError
        If what is listed is not there: the code has changed.
    """
    listed = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["mutants"]
    assert all(one["reason"] for one in listed)
    whole = ast.parse((ROOT / "skbq" / file).read_text(encoding="utf-8"))
    places_of = defaultdict(set)  # by the text that stands there
    for path, node in _nodes(whole):
        if isinstance(node, _WHOLE):
            places_of[ast.unparse(node)].add(path)
    all_mutants, left_out = mutants(file), set()
    for one in (one for one in listed if one["file"] == file):
        change, places = (one.get("before", ""), one.get("after", "")), {()}
        if "within" in one:
            places = places_of[_normal(one["within"])]
        same = {
            mutant
            for mutant in all_mutants
            if mutant.function == one["function"]
            and change in (("", ""), (mutant.before, mutant.after))
            and any(mutant.path[: len(place)] == place for place in places)
        }
        if not same:
            raise ValueError(f"{EQUIVALENT.name} lists what is not there: {one}")
        left_out |= same
    return [mutant for mutant in all_mutants if mutant not in left_out]


def _normal(text: str) -> str:
    """Return an expression or a statement as the syntax tree is written out."""
    (statement,) = ast.parse(text).body
    return ast.unparse(statement)


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
            if isinstance(node, ast.keyword) and node.arg == "strict":
                continue  # of zip: a check that never fails
            if any(
                "overload" in ast.dump(d) for d in getattr(node, "decorator_list", [])
            ):
                continue  # for type checkers alone
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
        if node.value + 1 != node.value:  # as it is of 1e200
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
        return importlib.util.spec_from_file_location(name, origin, loader=self)

    def exec_module(self, module):
        exec(self.mutant.compiled(), module.__dict__)


def _functions_of(code):
    """Yield the code of all functions in a compiled file."""
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield one
            yield from _functions_of(one)


def _place(code):
    return code.co_filename, code.co_qualname, code.co_firstlineno


def put_in_place(mutant: Mutant, functions: list[FunctionType]) -> bool:
    """Give the functions of a file their changed code; tell whether it can be done."""
    new = {_place(code): code for code in _functions_of(mutant.compiled())}
    ours = [one for one in functions if _place(one.__code__) in new]
    for function in ours:
        code = new[_place(function.__code__)]
        if function.__code__.co_freevars != code.co_freevars:
            return False
        function.__code__ = code
    return bool(ours)


class Hunt:
    """A plugin of pytest that runs its tests on mutants."""

    def __init__(self, args):
        self.args = args
        self.files = {str(ROOT / "skbq" / file) for file in TARGETS[args.target].files}
        self.calls = defaultdict(set)  # by function, the tests that call it
        self.seconds = Counter()
        self.failed = False

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed = True
            if os.getpid() == self.parent:
                print(report.longreprtext, file=self.out)

    def pytest_runtestloop(self, session):
        if session.testsfailed:
            return True
        # pytest has no say from here on.
        self.out = os.fdopen(os.dup(1), "w", buffering=1)
        session.config.get_terminal_writer()._file = io.StringIO()
        self.parent = os.getpid()
        self.items = session.items
        self.run_all()
        if self.failed:
            print("the tests fail on the code as it is", file=self.out)
            return True
        for cached in gc.get_objects():
            if isinstance(cached, _lru_cache_wrapper):
                cached.cache_clear()
        gc.collect()
        self.functions = [
            one
            for one in gc.get_objects()
            if type(one) is FunctionType and one.__code__.co_filename in self.files
        ]
        # Garbage collection of a child need not copy what it shares.
        gc.freeze()
        total = sum(self.seconds.values())
        print(f"{len(self.items)} tests, {total:.0f} s", file=self.out)
        self.try_all()
        return True

    def run_all(self):
        """Run the tests on the code as it is, and note what functions they call."""
        called = set()

        def trace(frame, event, arg):
            code = frame.f_code
            if code.co_filename in self.files:
                called.add((code.co_filename, code.co_firstlineno))

        for item, after in zip(self.items, [*self.items[1:], None], strict=True):
            called.clear()
            threading.settrace(trace)
            sys.settrace(trace)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            sys.settrace(None)
            threading.settrace(None)
            for function in called:
                self.calls[function].add(item)

    def tests_for(self, mutant):
        """Return the tests that may notice, in order, within the budget."""
        if mutant.start is None:
            items = self.items
        else:
            items = self.calls[str(ROOT / "skbq" / mutant.file), mutant.start]
        chosen, seconds = [], 0.0
        for item in sorted(items, key=lambda item: self.seconds[item.nodeid]):
            seconds += self.seconds[item.nodeid]
            if seconds > BUDGET and chosen:
                break
            chosen.append(item)
        return chosen, seconds

    def try_all(self):
        args, tried = self.args, Counter()
        drawn = drawn_mutants(args)
        start = time.monotonic()
        # Told to end, it says what it has found so far.
        signal.signal(signal.SIGTERM, lambda *_: setattr(args, "minutes", 0))
        for mutant in drawn:
            if time.monotonic() - start > 60 * args.minutes:
                break
            if tried["noticed"] + tried["alive"] >= args.count:
                break
            items, seconds = self.tests_for(mutant)
            if not items:
                plain = numba.config.DISABLE_JIT
                result = "not run in plain Python" if plain else "alive"
            else:
                result = self.run_on(mutant, items, seconds)
            tried[result] += 1
            if result not in ("noticed", "not run in plain Python"):
                print(f"{result}: {mutant}", file=self.out)
            if result == "without end":
                tried["noticed"] += 1
        noticed, n = tried["noticed"], tried["noticed"] + tried["alive"]
        low, high = wilson(noticed, n)
        print(
            f"{args.target}, seed {args.seed}: {noticed} of {n} noticed, "
            f"{noticed / max(n, 1):.1%} ({low:.1%} to {high:.1%}); of {len(drawn)} "
            f"mutants; {tried['without end']} without end, "
            f"{tried['not run in plain Python']} not run in plain Python; "
            f"{time.monotonic() - start:.0f} s",
            file=self.out,
        )

    def run_on(self, mutant, items, seconds):
        """Run tests on a mutant in a forked process, and tell how it ended."""
        limit = int(PATIENCE * seconds + GRACE)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, limit)
            status = 1
            try:
                if mutant.start is None or not put_in_place(mutant, self.functions):
                    status = _in_new_process(mutant, items, self.args, limit)
                else:
                    self.failed = False
                    for item, after in zip(items, [*items[1:], None], strict=True):
                        hook = item.config.hook
                        hook.pytest_runtest_protocol(item=item, nextitem=after)
                        if self.failed:
                            break
                    status = int(self.failed)
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == -signal.SIGPROF:
            return "without end"
        return "noticed" if status else "alive"


def _in_new_process(mutant, items, args, limit):
    command = [sys.executable, __file__, args.target, "--one", str(mutant)]
    command += ["--limit", str(limit)]
    tests = "\n".join(item.nodeid for item in items)
    done = subprocess.run(command, input=tests, text=True, capture_output=True)
    if done.returncode == -signal.SIGPROF:
        os.kill(os.getpid(), signal.SIGPROF)
    return done.returncode


def run_one(args) -> int:
    """Run the tests named in the input on one mutant that changes what is imported."""
    signal.setitimer(signal.ITIMER_PROF, args.limit)
    file = args.one.partition(":")[0]
    [mutant] = [one for one in mutants(file) if str(one) == args.one][:1]
    sys.meta_path.insert(0, _StandIn(mutant))
    tests = [str(ROOT / test) for test in sys.stdin.read().split("\n")]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return int(pytest.main(["-x", *OPTIONS, *tests]))


def drawn_mutants(args) -> list[Mutant]:
    """Return the mutants to try, in an order drawn at random."""
    files = TARGETS[args.target].files
    drawn = [mutant for file in files for mutant in worth_trying(file)]
    random.Random(args.seed).shuffle(drawn)
    if args.again:
        listed = Path(args.again).read_text(encoding="utf-8")
        drawn = [mutant for mutant in drawn if str(mutant) in listed]
    return drawn


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    if n == 0:
        return 0.0, 1.0
    share, more = hits / n, z * z / n
    middle = (share + more / 2) / (1 + more)
    half = z * (share * (1 - share) / n + more / (4 * n)) ** 0.5 / (1 + more)
    return middle - half, middle + half


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--count", type=int, default=10**6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", metavar="FILE")
    parser.add_argument("--tests", nargs="+", help="others than those of the target")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    if args.one:
        raise SystemExit(run_one(args))
    tests = [str(TESTS / test) for test in args.tests or TARGETS[args.target].tests]
    raise SystemExit(pytest.main([*OPTIONS, *tests], plugins=[Hunt(args)]))


if __name__ == "__main__":
    main()
