"""Saving that is killed, or finds no room, leaves the old file whole."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from programs import ENVIRONMENT, run_python

from skbq import BinaryNeighbors

X = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
SMALL = X[:1000]

SAVE_FOREVER = """
import sys, numpy as np
from skbq import BinaryNeighbors
X = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
both = [BinaryNeighbors(oversampling=1).fit(rows) for rows in (X[:1000], X)]
print("ready", flush=True)
while True:
    for index in both:
        index.save("index.skbq")
"""


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "index.skbq"
    BinaryNeighbors(oversampling=1).fit(SMALL).save(path)
    return path


def check_whole(path, sizes=(1000, 3000)):
    index = BinaryNeighbors.load(path)
    n = index.n_samples_fit_
    assert n in sizes
    assert_array_equal(index.kneighbors(X[:9], 1)[1][:, 0], range(9))


@pytest.mark.exhaustive
def test_killed_at_any_time(saved):
    """Killed while it saves over and over, at moments that are drawn at random."""
    rng = random.Random(0)
    program = [sys.executable, "-c", SAVE_FOREVER]
    for _ in range(2):
        child = subprocess.Popen(
            program, cwd=saved.parent, env=ENVIRONMENT, stdout=subprocess.PIPE
        )
        assert child.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.2))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        check_whole(saved)


# What is compiled comes before the limit, since kept kernels are files too.
LIMITED = """
import os, resource, signal, sys, numpy as np
from skbq import BinaryNeighbors
from skbq.cli import main
X = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
index = BinaryNeighbors(oversampling=1).fit(X)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits files by setrlimit")
def test_no_room(saved):
    """A disk that is full after 100,000 bytes, for a program and for a command."""
    before = saved.read_bytes()
    np.save(saved.parent / "rows.npy", X)
    done = run_python(
        saved.parent,
        LIMITED + "try:\n"
        "    index.save('index.skbq')\n"
        "except OSError as error:\n"
        "    print('OSError', error)\n"
        "sys.exit(main(sys.argv[1:]))",
        *("encode", "rows.npy", "-o", "index.skbq", "--force", "--oversampling", "2"),
    )
    assert done.stdout.startswith("OSError")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("skbq encode: error: ")
    assert "arguments" not in last
    assert saved.read_bytes() == before
    assert sorted(os.listdir(saved.parent)) == ["index.skbq", "rows.npy"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a folder for no files")
def test_folder_that_takes_no_files():
    """Where even the superuser cannot write."""
    with pytest.raises(OSError):
        BinaryNeighbors().fit(SMALL).save("/proc/self/index.skbq")


def test_folder_that_is_read_only(saved):
    before = saved.read_bytes()
    saved.parent.chmod(0o555)
    try:
        if os.access(saved.parent, os.W_OK):
            pytest.skip("the superuser writes everywhere")
        with pytest.raises(PermissionError):
            BinaryNeighbors().fit(X).save(saved)
    finally:
        saved.parent.chmod(0o755)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_interrupted(saved, monkeypatch):
    """Ctrl-C in the middle of writing."""
    before = saved.read_bytes()

    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        BinaryNeighbors().fit(X).save(saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]
