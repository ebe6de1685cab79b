"""Suite for asv, which follows speed and memory from commit to commit.

    asv run --python=same --quick

measures the installed package once. ``tests/test_benchmarks.py`` runs each of them on
small data, so that the suite does not fall behind the package.
"""
