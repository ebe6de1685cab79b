"""Running a program that something happens to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import skbq

# The package that is tested, wherever the program runs.
PACKAGE = str(Path(skbq.__file__).parents[1])


@pytest.fixture
def environment():
    """The environment of a program that imports the package under test."""
    there = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [PACKAGE, there]))}


@pytest.fixture
def python(environment, tmp_path):
    """Run a program in ``tmp_path``; ``options`` go to Python, ``more`` to its
    environment."""

    def run(code, *arguments, options=(), timeout=300, **more):
        return subprocess.run(
            [sys.executable, *options, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
            env={**environment, **more},
        )

    return run
