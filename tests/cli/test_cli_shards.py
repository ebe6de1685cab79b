"""``skbq encode`` into folders: many files, stopped runs, rows that are added."""

import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbq import BinaryNeighbors, ShardedNeighbors
from skbq.cli import main


def refused(capsys, argv, message):
    capsys.readouterr()
    assert main(argv) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"skbq {argv[0]}: error: ")
    assert message in last


def rows_found(capsys, index, *options):
    capsys.readouterr()
    assert main(["search", index, "queries.npy", "--neighbors", "4", *options]) == 0
    return capsys.readouterr().out


OPTIONS = [
    ["--bits", "1"],
    ["--query", "vectors", "--rotate"],
    ["--oversampling", "3", "--metric", "euclidean"],
]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_folder_answers_as_a_file_does(folder, capsys, options):
    assert main(["encode", "a*.npy", "-o", "one.skbq", *options]) == 0
    many = ["encode", "a*.npy", "-o", "many/", "--shard-rows", "70", *options]
    assert main(many) == 0
    assert "many/: 300 rows in 5 shards" in capsys.readouterr().out
    expected = rows_found(capsys, "one.skbq")
    assert rows_found(capsys, "many") == expected
    assert rows_found(capsys, "many/", "--no-verify") == expected
    assert main(["merge", "many", "-o", "merged.skbq"]) == 0
    assert rows_found(capsys, "merged.skbq") == expected


def test_files_are_added(folder, capsys, X):
    assert main(["encode", "a0.npy", "-o", "many/", "--query", "vectors"]) == 0
    assert main(["encode", "a1.npy", "-o", "many/", "--append"]) == 0
    one = BinaryNeighbors(query="vectors").fit(X[:200]).partial_fit(X[200:300])
    index = ShardedNeighbors.load("many")
    for mine, theirs in zip(
        index.kneighbors(X[300:], 4), one.kneighbors(X[300:], 4), strict=True
    ):
        assert_array_equal(mine, theirs)
    refused(capsys, ["encode", "a1.npy", "-o", "none/", "--append"], "holds no manif")


def test_identifiers_and_outputs(folder, capsys, X):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for number, rows in enumerate(np.split(X[:300], 3)):
        frame = pandas.DataFrame({"emb": list(rows)})
        frame["key"] = [f"{number}/{row}" for row in range(100)]
        frame.to_parquet(f"{number}.parquet")
    words = ["--column", "emb", "--ids", "key", "--oversampling", "3"]
    files = ["0.parquet", "1.parquet", "2.parquet"]
    assert main(["encode", *files, "-o", "one.skbq", *words]) == 0
    assert main(["encode", *files, "-o", "many/", "--shard-rows", "60", *words]) == 0
    expected = rows_found(capsys, "one.skbq")
    assert "\t2/" in expected
    assert rows_found(capsys, "many") == expected
    np.save("mask.npy", np.arange(100, 200))
    masked = rows_found(capsys, "one.skbq", "--mask", "mask.npy")
    assert rows_found(capsys, "many", "--mask", "mask.npy") == masked
    for index, out in (("one.skbq", "one.npz"), ("many", "many.npz")):
        assert main(["search", index, "queries.npy", "-o", out]) == 0
    with np.load("one.npz") as one, np.load("many.npz") as many:
        for name in one.files:
            assert_array_equal(one[name], many[name])


def test_vectors_that_are_referred_to(folder, capsys, X):
    options = ["--oversampling", "3"]
    assert main(["encode", "a0.npy", "a1.npy", "-o", "one.skbq", *options]) == 0
    expected = rows_found(capsys, "one.skbq")
    refer = [*options, "--vectors", "refer"]
    assert main(["encode", "a0.npy", "a1.npy", "-o", "many/", *refer]) == 0
    assert rows_found(capsys, "many") == expected
    assert main(["encode", "a0.npy", "-o", "a0.skbq", *refer]) == 0
    assert os.path.getsize("a0.skbq") < os.path.getsize("a0.npy")
    assert main(["encode", "a0.npy", "-o", "a0.skbq", "--force", *options]) == 0
    assert os.path.getsize("a0.skbq") > os.path.getsize("a0.npy")


def test_a_stopped_run_goes_on(folder, capsys, monkeypatch):
    words = ["encode", "a*.npy", "-o", "many/", "--shard-rows", "70"]
    from skbq._sharding import index

    write, calls = index.write_shard, []

    def stopped(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return write(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(index, "write_shard", stopped)
        assert main(words) == 130
    refused(capsys, ["search", "many", "queries.npy"], "was not finished: 2 shards")
    refused(capsys, words, "many/ is not empty; --resume")
    times = {name: os.stat(f"many/{name}").st_mtime_ns for name in os.listdir("many")}
    assert main([*words, "--resume"]) == 0
    for name in ("learned.skbq", "shard-00000.skbq", "shard-00001.skbq"):
        assert os.stat(f"many/{name}").st_mtime_ns == times[name]
    found = rows_found(capsys, "many")
    assert main([*words, "--force"]) == 0
    assert rows_found(capsys, "many") == found


def test_progress(folder, capsys, monkeypatch):
    words = ["encode", "a*.npy", "-o", "many/", "--shard-rows", "70"]
    # Where lines pile up there are few of them, and none goes over another.
    assert main(words) == 0
    lines = capsys.readouterr().err.splitlines()
    assert "encoding 300 of 300 rows ..." in lines
    assert not any(c in line for line in lines for c in "\r\x1b[#")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main([*words, "--force"]) == 0
    said = capsys.readouterr()
    shown = said.err.split("\r\x1b[K")
    counts = [int(line.split()[2]) for line in shown if "] encoding" in line]
    assert counts[-1] == 300
    assert len(counts) >= 5  # a step for each shard at least
    assert counts == sorted(counts)
    assert "[####################] encoding 300 of 300 rows ..." in shown
    assert shown[-1] == ""  # nothing of it is left beside the result
    assert said.out.startswith("many/: 300 rows in 5 shards")
    # Shards that are kept count as well.
    assert main([*words, "--resume"]) == 0
    assert "] encoding 300 of 300 rows" in capsys.readouterr().err
    assert main([*words, "--force", "--quiet"]) == 0
    assert not capsys.readouterr().err.replace("\r\x1b[K", "")


def test_what_cannot_be_used(folder, capsys, X):
    (folder / "full").mkdir()
    (folder / "full" / "letter.txt").write_text("keep")
    for argv, message in (
        (["a0.npy", "-o", "full"], "full is not empty"),
        (["a0.npy", "-o", "full", "--force"], "full is not empty"),
        (["a0.npy", "-o", "no/many/"], "there is no folder"),
        (["a0.npy", "-o", "a1.npy/"], "it is a file"),
        (["a0.npy", "-o", "one.skbq", "--resume"], "--resume is for a folder"),
        (["a0.npy", "-o", "many/", "--like", "x.skbq"], "--like is for files"),
        (["a0.npy", "-o", "many/", "--resume", "--append"], "choose one"),
        (["b*.npy", "-o", "many/"], "no file matches b*.npy"),
        (["a0.npy", "queries.npy", "-o", "many/", "--shard-rows", "0"], "shard"),
    ):
        refused(capsys, ["encode", *argv], message)
    assert os.listdir("full") == ["letter.txt"]
    assert not os.path.exists("many")
    bad = X[200:300].copy()
    bad[7] = np.nan
    np.save("a1.npy", bad)
    refused(capsys, ["encode", "a*.npy", "-o", "bad/"], "a1.npy: row 7.")
    assert main(["encode", "a*.npy", "-o", "kept/", "--skip-invalid"]) == 0
    assert ShardedNeighbors.load("kept").n_samples_fit_ == 299
    assert ShardedNeighbors.load("kept").ids_of([206, 207]) == [206, 208]
    np.save("a1.npy", X[200:300, :8])
    refused(capsys, ["encode", "a*.npy", "-o", "wide/"], "a1.npy has 8 coordinates")
