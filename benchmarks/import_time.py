"""Print what importing skbq adds to importing scikit-learn and numba.

Run it as ``python benchmarks/import_time.py``. Each figure is the median over fresh
processes, which take turns.
"""

import statistics
import subprocess
import sys

BASE = "import sklearn, numba"
REPEATS = 9


def seconds(code):
    timed = (
        f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    )
    done = subprocess.run(
        [sys.executable, "-c", timed], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main():
    base, added = [], []
    for _ in range(REPEATS):
        base.append(seconds(BASE))
        added.append(seconds(f"{BASE}; t = time.perf_counter(); import skbq"))
    print(f"{BASE}: {statistics.median(base):.2f} s")
    low, *_, high = sorted(added)
    median = statistics.median(added)
    print(f"import skbq adds {median:.2f} s ({low:.2f} to {high:.2f} s)")


if __name__ == "__main__":
    main()
