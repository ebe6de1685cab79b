"""Threads, forks, spawned processes, pipes, signals, caches, and Python's options."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from programs import ENVIRONMENT, run_python

from skbq import BinaryNeighbors, BinaryQuantizer

X = np.random.default_rng(0).standard_normal((3000, 40)).astype(np.float32)

DATA = """
import sys, numpy as np
from skbq import BinaryNeighbors, BinaryQuantizer
X = np.random.default_rng(0).standard_normal((500, 40)).astype(np.float32)
"""
COMMAND = [
    sys.executable,
    "-c",
    "import sys; from skbq.cli import main; sys.exit(main())",
]


def test_eight_threads_on_one_index():
    """Threads of the caller's, each with threads of its own, share an index."""
    index = BinaryNeighbors(query="vectors", oversampling=2, n_jobs=2).fit(X)
    masks = [np.arange(len(X)) % 8 != i for i in range(8)]

    def ask(i):
        return index.kneighbors(X[i::8], 5, mask=masks[i])

    expected = [ask(i) for i in range(8)]
    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            for found, right in zip(pool.map(ask, range(8)), expected, strict=True):
                assert_array_equal(found, right)


FORKED = """
import multiprocessing, warnings
warnings.simplefilter("error", UserWarning)

def ask(index, X, send):
    send.send(index.kneighbors(X)[1])

if __name__ == "__main__":
    index = BinaryNeighbors(query="vectors", n_jobs=2).fit(X)
    expected = index.kneighbors(X)[1]  # threads have run
    context = multiprocessing.get_context(sys.argv[1])
    receive, send = context.Pipe(False)
    child = context.Process(target=ask, args=(index, X, send))
    child.start()
    assert receive.poll(200), "the child hangs"
    assert (receive.recv() == expected).all()
    child.join()
    assert child.exitcode == 0
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_after_threads(method, tmp_path):
    """A child that is forked or spawned after threads have run gives the same."""
    program = tmp_path / "program.py"
    program.write_text(DATA + FORKED)
    done = subprocess.run(
        [sys.executable, str(program), method],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Loky" not in done.stderr


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "rows.npy", X)
    BinaryNeighbors().fit(X).save(tmp_path / "rows.skbq")
    return tmp_path


SEARCH = [*COMMAND, "search", "rows.skbq", "rows.npy"]


def test_reader_that_has_enough(folder):
    """``skbq search ... | head -1``: far more lines than a pipe holds."""
    child = subprocess.Popen(
        SEARCH,
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline().startswith("0\t1\t")
    child.stdout.close()
    errors = child.stderr.read()
    child.stderr.close()
    assert child.wait() == 0
    assert "Traceback" not in errors
    assert "Broken" not in errors


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")
def test_output_that_is_full(folder):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            SEARCH,
            cwd=folder,
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr.splitlines()[-1]


def test_interrupted_command(folder):
    """Ctrl-C ends a command without a traceback, and leaves no file."""
    before = sorted(os.listdir(folder))
    child = subprocess.Popen(
        [*COMMAND, "advise", "rows.npy"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    child.stderr.readline()  # it has begun
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in errors
    assert out == ""
    assert sorted(os.listdir(folder)) == before


# A function that C calls, as LLVM calls those of llvmlite, in which Ctrl-C arrives.
CALLED_BACK = """
import ctypes, signal, time
from skbq.cli._interruption import interruptible

named = {"__name__": "llvmlite.binding", "signal": signal}
exec("def called(): signal.raise_signal(signal.SIGINT)", named)
call = ctypes.CFUNCTYPE(None)(named["called"])
try:
    with interruptible():
        call()
        print("returned", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


def test_interruption_of_what_llvm_calls(tmp_path):
    """It is postponed, since Python drops what is raised there."""
    done = run_python(tmp_path, CALLED_BACK)
    assert done.stdout.split() == ["returned", "interrupted"]
    assert done.stderr == ""


SMALL = DATA + "print(float(BinaryQuantizer().fit(X).cell_means_.sum()))"


def test_damaged_cache_of_kernels(tmp_path):
    """Files of numba's cache that are cut short or overwritten are compiled anew."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first = run_python(tmp_path, SMALL, **cache)
    assert first.returncode == 0, first.stderr
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:40] if path.suffix == ".nbi" else b"x" * 99)
    again = run_python(tmp_path, SMALL, **cache)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout


@pytest.mark.exhaustive
def test_shared_cache_of_kernels(tmp_path):
    """Processes that fill one cache at the same time all give the same."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SMALL],
            env={**ENVIRONMENT, "NUMBA_CACHE_DIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = {child.communicate(timeout=300)[0] for child in children}
    assert [child.returncode for child in children] == [0, 0]
    assert answers == {f"{float(BinaryQuantizer().fit(X[:500]).cell_means_.sum())}\n"}


# A little of everything.
WALK = (
    DATA
    + """
from sklearn.pipeline import make_pipeline
import skbq, skbq.metrics, skbq.theory, skbq.datasets, skbq.exports, skbq.cli
from skbq import RandomRotation, TwoBitQuantizer
steps = make_pipeline(RandomRotation(random_state=0), TwoBitQuantizer())
index = BinaryNeighbors(quantizer=steps, query="vectors", oversampling=2, n_jobs=2)
index.fit(X[:400]).partial_fit(X[400:]).remove([3]).save("index.skbq")
found = BinaryNeighbors.load("index.skbq", mmap_mode="r").kneighbors(X, 4)
assert (found[1] == index.kneighbors(X, 4)[1]).all()
skbq.HeterogeneityProfiler(random_state=0).fit(X).report()
try:
    index.kneighbors(X[:, :3])
    raise SystemExit("3 columns were let in")
except ValueError as error:
    assert "features" in str(error)
np.save("rows.npy", X)
search = ["search", "index.skbq", "rows.npy", "--out", "rows.out.npy", "--force"]
status = skbq.cli.main(search)  # not within the assert, which options may strip
assert status == 0
print(int(found[1].sum()))
"""
)


@pytest.mark.exhaustive
def test_python_options(tmp_path):
    """Warnings as errors in development mode, and no docstrings and asserts, give the
    same; neither leaves files open."""
    plain = run_python(tmp_path, WALK)
    assert plain.returncode == 0, plain.stderr
    strict = run_python(tmp_path, WALK, options=["-X", "dev", "-W", "error"])
    assert strict.returncode == 0, strict.stderr
    assert "Warning" not in strict.stderr
    bare = run_python(tmp_path, WALK, PYTHONOPTIMIZE="2")
    assert bare.returncode == 0, bare.stderr
    assert plain.stdout == strict.stdout == bare.stdout
