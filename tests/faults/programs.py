"""Running programs that something happens to."""

import os
import subprocess
import sys
from pathlib import Path

import skbq

# Programs import the package that is tested, wherever they run.
_PACKAGE = str(Path(skbq.__file__).parents[1])
_PATHS = [_PACKAGE, os.environ.get("PYTHONPATH", "")]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, _PATHS))}


def run_python(folder, code, *arguments, options=(), **environment):
    """Run a program in a folder, with options of Python's; return what it wrote."""
    return subprocess.run(
        [sys.executable, *options, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env={**ENVIRONMENT, **environment},
    )
