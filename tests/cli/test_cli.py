"""The command: what it prints, and what it says about input it cannot use."""

import json
import logging
import re

import numpy as np
import pytest

from skbq import cli
from skbq.cli import comparison, demo, search
from skbq.cli.comparison import STRATEGIES

KEYS = [
    *("strategy", "bits", "query", "recall", "recall_reranked"),
    *("bytes_per_row", "build_s", "qps"),
]


@pytest.fixture(autouse=True)
def one_run(monkeypatch):
    monkeypatch.setattr(comparison, "_TIMED_SECONDS", 0.0)


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Save an array in a fresh folder and give its short path."""
    monkeypatch.chdir(tmp_path)

    def save(array, name="rows.npy"):
        np.save(name, array)
        return name

    return save


def vectors(rng, n=120, d=30):
    return rng.standard_normal((n, d)).astype(np.float32)


def test_demo_on_the_glosses_as_json(capsys):
    assert cli.main(["demo", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert [list(row) for row in rows] == [KEYS] * 9
    assert "measuring 9 of 9" in err
    measured = {(row["strategy"], row["query"]): row for row in rows}
    exact = measured["exact float search", "vectors"]
    assert exact["recall"] == exact["recall_reranked"] == 1
    assert (exact["bits"], exact["bytes_per_row"]) == (32, 1536)
    for strategy, query, recall, reranked, bytes_per_row in (
        ("1 bit", "codes", 0.60, 0.90, 48),
        ("1 bit", "vectors", 0.72, 0.97, 51),
        ("2 bits", "codes", 0.78, 0.98, 96),
        ("2 bits", "vectors", 0.85, 0.99, 99),
    ):
        for name in (strategy, f"{strategy}, rotated"):
            row = measured[name, query]
            assert recall <= row["recall"] < row["recall_reranked"]
            assert row["recall_reranked"] >= reranked
            assert row["bytes_per_row"] == bytes_per_row
            assert row["build_s"] > 0
            assert row["qps"] > 0


def test_neighbors_of_a_gloss_side_by_side(capsys, monkeypatch, glosses):
    monkeypatch.setattr(demo, "STRATEGIES", STRATEGIES[:2])
    given = []

    def verdict(*data):  # takes half a minute
        given.extend(data)
        return "Verdict: none"

    monkeypatch.setattr(demo, "verdict", verdict)
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main(["demo", "--show", "7"]) == 0
    out = capsys.readouterr().out
    first, table = out.split("held-out queries among")
    assert first.startswith("Held-out query 7, ")
    assert "float search, 1536 bytes a row" in first
    assert "48-byte codes, 1 bit of 384" in first
    assert first.count("5.") == 2
    assert "of the 5 are the same" in first
    assert max(map(len, first.splitlines())) <= 100
    assert " 5,000 rows of 384 coordinates" in table
    assert out.rstrip().splitlines()[-1].startswith("Verdict: ")
    # What advise takes without a file.
    np.testing.assert_array_equal(given[0], glosses.data)
    np.testing.assert_array_equal(given[1], glosses.queries)


def test_every_command_says_what_the_library_logs(capsys, monkeypatch):
    """Among it that kernels are compiled, which is the first that a new user sees."""

    def run(args):
        log = logging.getLogger("skbq")
        log.info("compiling kernels")
        log.debug("encoded 10 rows", extra={"rows": 10})

    monkeypatch.setattr(search, "run", run)
    level = logging.getLogger("skbq").level
    assert cli.main(["search", "index", "queries"]) == 0
    assert capsys.readouterr() == ("", "compiling kernels ...\n")
    assert cli.main(["search", "index", "queries", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert logging.getLogger("skbq").level == level


def test_demo_on_a_file(capsys, rng, save):
    path = save(vectors(rng).astype(np.float16))
    assert cli.main(["demo", "--data", path, "--show", "11"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Held-out query 11, row ")
    assert max(map(len, out.splitlines())) <= 80
    assert "4-byte codes, 1 bit of 30" in out
    assert "12 held-out queries among 108 rows of 30 coordinates" in out
    assert out.count("\n1 bit") == 4
    assert out.count("\n2 bits") == 4


def test_rows_of_a_large_file_are_drawn_from_all_of_it(rng, save, monkeypatch):
    monkeypatch.setattr(demo, "_MAX_ROWS", 40)
    X = vectors(rng)
    sample = demo._hold_out(save(X))
    assert (len(sample.vectors), len(sample.queries)) == (36, 4)
    names = [*sample.names, *sample.query_names]
    assert len(set(names)) == 40
    rows = [int(name.removeprefix("row ")) for name in names]
    np.testing.assert_array_equal(X[rows], np.vstack([sample.vectors, sample.queries]))
    assert max(rows) > 80


def with_row(X, row, value):
    X[row] = value
    return X


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: with_row(X, 7, np.nan), "row 7 holds NaN"),
        (lambda X: with_row(X, 9, np.inf), "row 9 holds NaN or infinity"),
        (lambda X: with_row(X, 3, 0), "row 3 is all zeros"),
        (lambda X: X.astype(np.uint8), "holds uint8.*astype"),
        (lambda X: X.astype(complex), "holds complex128"),
        (lambda X: X[0], r"has shape \(30,\)"),
        (lambda X: X[None], r"has shape \(1, 120, 30\)"),
        (lambda X: X[:0], r"has shape \(0, 30\)"),
        (lambda X: X[:19], "has 19 rows, too few"),
        (lambda X: np.array([{"a": 1}]), "is not a whole .npy file"),
    ],
)
def test_bad_arrays(capsys, rng, save, make, message):
    check_refused(capsys, ["demo", "--data", save(make(vectors(rng)))], message)


def test_bad_files(capsys, save, tmp_path):
    save(np.ones(3))
    np.savez("two.npz", a=np.ones(3), b=np.ones(3))
    (tmp_path / "text.npy").write_text("0.1 0.2")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "cut.npy").write_bytes((tmp_path / "rows.npy").read_bytes()[:-1])
    for name, message in (
        ("nowhere.npy", "cannot read nowhere.npy: No such file"),
        ("folder", "folder is a folder without files"),
        ("two.npz", r"several arrays \(a, b\)"),
        ("text.npy", "is not a whole .npy file"),
        ("empty.npy", "is not a whole .npy file"),
        ("cut.npy", "is not a whole .npy file"),
    ):
        check_refused(capsys, ["demo", "--data", name], message)


def test_the_old_name_of_show(capsys):
    assert cli.main(["demo", "--query", "250"]) == 2
    warning, error = capsys.readouterr().err.splitlines()[::2]
    assert warning.startswith("warning: --query N is now --show N")
    assert "Got 250" in error


@pytest.mark.parametrize("query", ["250", "-1"])
def test_query_outside(capsys, query):
    check_refused(capsys, ["demo", "--show", query], "between 0 and 249.*Got")


def check_refused(capsys, argv, message):
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    line = err.splitlines()[-1]
    assert line.startswith("skbq demo: error: ")
    assert re.search(message, line)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "argv", [["nothing"], ["demo", "--show", "x"], ["demo", "--unknown"]]
)
def test_arguments_that_make_no_sense(capsys, argv):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--help" in err


def test_demo_and_advise_recommend_the_same(capsys, rng, save):
    X = vectors(rng)
    path = save(X)
    assert cli.main(["demo", "--data", path]) == 0
    lines = capsys.readouterr().out
    line = " ".join(lines[lines.index("Verdict:") :].split())
    assert cli.main(["advise", path, "--json"]) == 0
    advice = json.loads(capsys.readouterr().out)
    recommended, (low, high) = advice["recommended"], advice["recall_interval"]
    verb = "Recommended" if recommended["suitable"] else "Target not reached"
    assert line.startswith(f"Verdict: {verb}")
    assert f": {recommended['strategy']}, " in line
    assert f"{advice['recall']:.3f} [{low:.3f}, {high:.3f}] (90%)" in line
    assert f"{recommended['bytes_per_row']} bytes per vector" in line


def test_help_without_arguments(capsys):
    assert cli.main([]) == 0
    out, err = capsys.readouterr()
    assert "encode" in out
    assert err == ""
