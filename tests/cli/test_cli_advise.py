"""The commands advise, profile, encode and search."""

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from skbq import BinaryNeighbors, QuantizationAdvisor
from skbq.cli import main
from skbq.cli._terminal import Bar


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A fresh folder with vectors and queries, as working directory."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((24, 24)) * np.geomspace(3, 0.5, 24)
    rows = (rng.standard_normal((430, 24)) @ mixing).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows[:400])
    np.save(tmp_path / "queries.npy", rows[400:])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_advise_a_file(folder, capsys):
    """A recommendation, a report and settings in one command, of rows with names."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    emb = pa.array(list(np.load("rows.npy")), pa.list_(pa.float32()))
    ids = [f"row-{i}" for i in range(400)]
    pq.write_table(pa.table({"id": ids, "emb": emb}), "rows.parquet")
    argv = ["advise", "rows.parquet", "--ids", "id", "--queries", "queries.npy"]
    argv += ["--target-recall", "0.7", "--html", "report.html", "--export", "qdrant"]
    assert main([*argv, "-o", "settings"]) == 0
    assert {"README.txt", "search.py", "prepare.py"} <= {
        path.name for path in Path("settings").iterdir()
    }
    out, err = capsys.readouterr()
    assert out.startswith("Recommended: ")
    assert "on 400 rows:" in out
    assert "Settings for qdrant" in out
    assert "looking at 26 of 26" in err
    page = (folder / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "<h1>Quantization of rows.parquet</h1>" in page
    assert page.count("<table>") == 2
    assert "<details open>\n<summary>qdrant" in page
    # The command that it gives does build the recommended index.
    lines = out.splitlines()
    words = lines[lines.index("Encode with") + 1]
    assert f"<code>{words}</code>" in page
    command = shlex.split(words)
    assert command[:5] == ["skbq", "encode", "rows.parquet", "-o", "OUT"]
    assert main(command[1:]) == 0
    capsys.readouterr()
    assert main(["search", "OUT", "queries.npy"]) == 0
    assert capsys.readouterr().out.split("\t")[2].startswith("row-")
    advisor = QuantizationAdvisor(target_recall=0.7, random_state=0)
    advisor.fit(np.load("rows.npy"), queries=np.load("queries.npy"))
    index = BinaryNeighbors.load("OUT")
    expected = advisor.make_estimator()
    for name in ("metric", "query", "oversampling"):
        assert getattr(index, name) == getattr(expected, name)
    assert repr(index.quantizer) == repr(expected.quantizer)


def test_advise_without_a_file(capsys):
    assert main(["advise", "--max-bytes", "48"]) == 0
    first, rest = capsys.readouterr().out.split("\n\n", 1)
    assert "5,000 WordNet glosses" in first
    assert rest.startswith("Recommended: PCA codes of ")
    assert rest.rstrip().endswith("skbq advise FILE --queries FILE")
    text = " ".join(rest.split())
    assert "measured on 5,000 sampled rows, with 250 queries of yours" in text
    assert "Lists are faster than brute force from about" in text


def test_few_rows_are_warned_of_in_the_report_alone(folder, capsys, recwarn):
    np.save("few.npy", np.load("rows.npy")[:15])
    assert main(["advise", "few.npy"]) == 0
    out, err = capsys.readouterr()
    assert "- Only 12 rows are left to search" in out
    assert "Only 12 rows" not in err
    assert not recwarn


def test_advise_as_json(folder, capsys):
    argv = ["advise", "rows.npy", "--json", "--export", "faiss", "--max-bytes", "11"]
    assert main([*argv, "--neighbors", "5", "--expected-rows", "300"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recommended"]["n_neighbors"] == 5
    assert found["recommended"]["bytes_per_row"] <= 11
    assert found["expected_rows"] == 300
    assert found["lists"]["sampled_rows"] == 300
    assert found["lists"]["share_compared"] is None  # too few rows to tell
    assert {row["bytes_per_row"] for row in found["results"]} <= {3, 6, 8, 9, 11}
    curve = found["bytes_curve"]
    assert curve["recall"] == sorted(curve["recall"])
    assert len(curve["recall_of"]) == len(curve["bytes_per_row"])
    assert found["recommended"]["strategy"] in found["recall_curves"]
    assert "faiss" in found["export"]["settings"]
    assert found["export"]["applied_by_user"]
    assert found["warnings"]


def test_profile_as_a_page(folder, capsys):
    assert main(["profile", "rows.npy", "--html", "profile.html"]) == 0
    page = (folder / "profile.html").read_text()
    assert "<h1>Profile of rows.npy</h1>" in page
    assert main(["profile", "rows.npy", "--html", "profile.html"]) == 2
    assert "--force" in capsys.readouterr().err


def test_advise_as_csv(folder, capsys):
    argv = ["advise", "rows.npy", "--csv", "--prefer", "speed", "--target-recall"]
    assert main([*argv, "0.7"]) == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(table) == 26
    assert sum(row["recommended"] == "1" for row in table) == 1
    assert {"strategy", "bytes_per_row", "measured_recall_low"} <= set(table[0])
    advisor = QuantizationAdvisor(target_recall=0.7, prefer="speed", random_state=0)
    chosen = advisor.fit(np.load("rows.npy")).recommended_["strategy"]
    assert next(r["strategy"] for r in table if r["recommended"] == "1") == chosen


@pytest.mark.parametrize("query", ["codes", "vectors"])
def test_encode_pca_codes(folder, capsys, query):
    argv = ["encode", "rows.npy", "-o", "index", "--n-bytes", "8", "--query", query]
    assert main([*argv, "--exponent", "1"]) == 0
    assert "8 bytes per vector" in capsys.readouterr().out
    index = BinaryNeighbors.load("index")
    assert index.bytes_per_row_ == 8
    assert index.quantizer.exponent == 1
    assert main(["search", "index", "queries.npy"]) == 0


def test_profile(folder, capsys):
    assert main(["profile", "rows.npy"]) == 0
    assert "400 vectors of 24 coordinates." in capsys.readouterr().out
    assert main(["profile", "rows.npy", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["n_samples_seen_"] == 400
    assert "profiling 400 of 400 rows" in err


@pytest.mark.parametrize("options", [[], ["--rotate", "--query", "vectors"]])
def test_encode_and_search(folder, capsys, options):
    argv = ["encode", "rows.npy", "-o", "index", "--oversampling", "3", *options]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert "index: 400 rows, 2 bits" in out
    assert "encoding 400 of 400 rows" in err
    assert main(["search", "index", "queries.npy", "--neighbors", "4"]) == 0
    out, err = capsys.readouterr()
    assert "searching 30 of 30 queries" in err
    table = np.array([line.split("\t") for line in out.splitlines()], dtype=float)
    assert table.shape == (120, 4)
    assert (table[:, 0] == np.repeat(np.arange(30), 4)).all()
    assert (table[:, 1] == np.tile(np.arange(1, 5), 30)).all()
    argv = ["search", "index", "queries.npy", "--neighbors", "4"]
    assert main([*argv, "--out", "found.npy"]) == 0
    found = np.load("found.npy")
    assert found.shape == (30, 4)
    assert (found.ravel() == table[:, 2]).all()


def test_rows_of_zeros_have_a_place_without_a_cosine(folder, capsys):
    rows = np.load("rows.npy")
    rows[7] = 0
    np.save("zeros.npy", rows)
    for argv in (["advise", "zeros.npy"], ["encode", "zeros.npy", "-o", "index"]):
        assert main(argv) == 2
        assert "row 7 is all zeros" in capsys.readouterr().err
        assert main([*argv, "--metric", "euclidean"]) == 0
    assert main(["search", "index", "zeros.npy"]) == 0
    assert main(["profile", "zeros.npy"]) == 0


def test_a_bar_on_terminals(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    bar = Bar("reading", 2000)
    bar.add(500)
    bar.add(1500)
    quarter, whole = capsys.readouterr().err.split("\r\x1b[K")[1:]
    assert quarter == "[#####...............] reading 500 of 2,000 rows ..."
    assert whole == "[####################] reading 2,000 of 2,000 rows ..."


def test_an_earlier_report_survives_a_refusal(folder, capsys):
    (folder / "report.html").write_text("earlier")
    assert main(["advise", "gone.npy", "--html", "report.html"]) == 2
    assert (folder / "report.html").read_text() == "earlier"


def test_few_lines_where_they_pile_up(capsys):
    bar = Bar("searching", 50, "queries")
    for _ in range(50):
        bar.add(1)
    assert capsys.readouterr().err.splitlines() == [
        "searching 1 of 50 queries ...",
        "searching 50 of 50 queries ...",
    ]


BAD = [
    (["advise", "gone.npy"], "cannot read gone.npy"),
    (["advise", "rows.npy", "--target-recall", "1.5"], "--target-recall must be"),
    (["advise", "few.npy", "--max-bytes", "1"], "--max-bytes 1 is less than"),
    (["encode", "rows.npy", "-o", "index", "--exponent", "1"], "pass --n-bytes too"),
    (["encode", "rows.npy", "-o", "index", "--n-bytes", "99"], "--n-bytes 102 is more"),
    (["advise", "rows.npy", "--queries", "narrow.npy"], "features"),
    (["advise", "rows.npy", "--html", "no/r.html"], "cannot write no/r.html"),
    (["profile", "gone.npy"], "cannot read gone.npy"),
    (["encode", "rows.npy", "-o", "index", "--bits", "1", "--lloyd-max"], "two bits"),
    (["encode", "rows.npy", "-o", "no/index"], "there is no folder no"),
    (
        ["encode", "rows.npy", "-o", "index", "--oversampling", "0.5"],
        "--oversampling m",
    ),
    (["search", "gone", "queries.npy"], "cannot read gone"),
    (["encode", "rows.npy", "-o", "rows.npy"], "rows.npy is read and would be"),
    (["advise", "rows.npy", "--html", "rows.npy"], "rows.npy is read and would be"),
    (["search", "i", "rows.npy", "--out", "./rows.npy"], "is read and would be"),
    (["search", "rows.npy", "queries.npy"], "is no index of skbq"),
]


@pytest.mark.parametrize(("argv", "message"), BAD, ids=lambda x: " ".join(x)[:40])
def test_bad_input_is_one_line(folder, capsys, argv, message):
    np.save("narrow.npy", np.ones((5, 3)))
    np.save("few.npy", np.load("rows.npy")[:40])
    assert main(argv) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"skbq {argv[0]}: error: ")
    assert message in last


def test_search_with_queries_of_another_width(folder, capsys):
    np.save("narrow.npy", np.ones((5, 3)))
    assert main(["encode", "rows.npy", "-o", "index"]) == 0
    assert main(["search", "index", "narrow.npy"]) == 2
    assert "3 features" in capsys.readouterr().err


def test_export_into_a_folder(folder, capsys):
    argv = ["advise", "rows.npy", "--export", "duckdb", "--out", "settings"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "settings: written" in out
    names = {path.name for path in Path("settings").iterdir()}
    assert {"README.txt", "schema.sql", "search.py", "prepare.npz"} <= names
    assert main(argv) == 2
    assert "settings exists and is no empty folder" in capsys.readouterr().err
    assert main(["advise", "rows.npy", "--out", "other"]) == 2
    assert "--out is for --export ENGINE" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--prefer", "money"], ["--json", "--csv"]])
def test_options_that_are_none(folder, capsys, options):
    with pytest.raises(SystemExit):
        main(["advise", "rows.npy", *options])
    assert options[0] in capsys.readouterr().err
