"""Damaged and forged index files: refused, or right, and never a crash."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from programs import ENVIRONMENT

# Files in a usual run; the nightly one loads 20,000.
COUNT = {"fast": 300, "nightly": 20_000}[os.environ.get("SKBQ_LAWS", "fast")]
PROGRAM = Path(__file__).with_name("fuzz_loader.py")


def test_fuzzed_files():
    seed = int(time.time()) if COUNT > 1000 else 3
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(COUNT), str(seed)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, (seed, done.stderr[-2000:])
    found = json.loads(done.stdout)
    print(seed, found["seen"])
    assert not found["faults"], (seed, found["faults"])
    # The forged files are near enough to whole ones that many of them load.
    assert found["seen"]["forged, loaded"] > COUNT / 20
    assert found["seen"]["damaged, refused"] > COUNT / 4
