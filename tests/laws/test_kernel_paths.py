"""Kernel paths agree: the same codes and neighbors on every instruction set at hand."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from adapters import SKBQ
from laws import fitted, make_case

from skbq._kernels import simd

pytestmark = pytest.mark.filterwarnings("ignore:The quantizer learned from:UserWarning")
# Cases for each way: one row, rows in one block of 64, rows in several.
SIZES = [(1, 2, 5), (60, 9, 33), (150, 5, 64), (700, 3, 71)]
# Run in a process of its own, since numba compiles for one instruction set.
PROGRAM = """
import sys
sys.path[:0] = {folders!r}
import test_kernel_paths
print(test_kernel_paths.digest())
"""


def digest():
    """Return a checksum of what every way finds in every case."""
    found = hashlib.sha256()
    for place, adapter in enumerate(SKBQ):
        if "search" not in adapter.can:
            continue
        for n, m, d in SIZES:
            for kind in ("whole", "normal"):
                index, _, queries = fitted(adapter, make_case(kind, n, m, d, place))
                for result in index.search(queries, min(n, 10)):
                    found.update(result.tobytes())
    return found.hexdigest()


@pytest.mark.exhaustive
@pytest.mark.skipif(simd.INSTRUCTIONS == "portable", reason="one path only")
def test_kernel_paths_agree():
    folder = Path(__file__).parent
    source = PROGRAM.format(folders=[str(folder), str(folder.parent)])
    for name in set(simd.available_instructions()) - {simd.INSTRUCTIONS}:
        done = subprocess.run(
            [sys.executable, "-W", "ignore::UserWarning", "-c", source],
            env={**os.environ, "SKBQ_KERNEL": name},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == digest(), name
