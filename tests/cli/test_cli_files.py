"""What commands read and write: many files, identifiers, nothing lost."""

import csv
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbq import BinaryNeighbors, RandomRotation, TwoBitQuantizer
from skbq.cli import encode, main


def fails(capsys, argv, message):
    """Run a command that must refuse, and write nothing."""
    before = {name: os.lstat(name).st_mtime_ns for name in os.listdir()}
    capsys.readouterr()
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith(f"skbq {argv[0]}: error: ")
    assert message in last
    assert {name: os.lstat(name).st_mtime_ns for name in os.listdir()} == before


def found(capsys, argv):
    """Return the table that a search prints."""
    capsys.readouterr()
    assert main(["search", *argv]) == 0
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


# Inputs stay whole.


def test_shards_are_never_written_over(folder, capsys):
    before = (folder / "a1.npy").read_bytes()
    with pytest.raises(SystemExit):
        main(["encode", "a0.npy", "a1.npy"])  # what a0.npy OUT was
    assert "required: -o/--out" in capsys.readouterr().err
    assert (folder / "a1.npy").read_bytes() == before
    assert main(["encode", "a0.npy", "a1.npy", "-o", "index"]) == 0
    assert "index: 300 rows" in capsys.readouterr().out
    fails(
        capsys, ["encode", "a0.npy", "a1.npy", "-o", "index"], "index exists; --force"
    )
    assert main(["encode", "a0.npy", "-o", "index", "--force"]) == 0
    assert "index: 200 rows" in capsys.readouterr().out


def test_an_input_is_never_written_over(folder, capsys):
    os.symlink("a1.npy", "link.npy")
    os.link("a1.npy", "hard.npy")
    os.mkdir("sub")
    for out in (
        "a1.npy",
        "./a1.npy",
        "sub/../a1.npy",
        str(folder / "a1.npy"),
        "link.npy",
        "hard.npy",
    ):
        argv = ["encode", "a0.npy", "a1.npy", "-o", out, "--force"]
        fails(capsys, argv, "is read and would be written over")
    fails(capsys, ["encode", "link.npy", "-o", "a1.npy", "--force"], "is read")
    fails(capsys, ["encode", "*.npy", "-o", "a1.npy", "--force"], "is read")
    fails(capsys, ["encode", str(folder), "-o", "a1.npy", "--force"], "is read")
    assert main(["encode", "a0.npy", "-o", "index"]) == 0
    for argv in (
        ["search", "index", "queries.npy", "-o", "index", "--force"],
        ["search", "index", "queries.npy", "-o", "queries.npy", "--force"],
        ["search", "index", "a0.npy", "--mask", "a1.npy", "-o", "a1.npy", "--force"],
        ["encode", "a0.npy", "--like", "index", "-o", "index", "--force"],
        ["merge", "index", "-o", "index", "--force"],
        ["advise", "a0.npy", "--html", "a0.npy", "--force"],
        ["advise", "a0.npy", "--queries", "a1.npy", "--html", "a1.npy", "--force"],
    ):
        fails(capsys, argv, "is read and would be written over")


@pytest.mark.parametrize(
    "argv",
    [
        ["encode", "a0.npy", "-o", "there"],
        ["search", "index", "queries.npy", "-o", "there.npy"],
        ["advise", "a0.npy", "--html", "there"],
        ["merge", "index", "-o", "there"],
        ["encode", "a0.npy", "-o", "dangling"],
    ],
)
def test_nothing_is_written_over_without_force(folder, capsys, argv):
    main(["encode", "a0.npy", "-o", "index", "-q"])
    for name in ("there", "there.npy"):
        (folder / name).write_text("earlier")
    os.symlink("nowhere", "dangling")
    capsys.readouterr()
    fails(capsys, argv, "exists; --force writes over it")
    assert (folder / "there").read_text() == "earlier"


@pytest.mark.parametrize(
    "argv",
    [
        ["encode", "a0.npy", "-o", "no/index"],
        ["search", "index", "queries.npy", "-o", "no/rows.npy"],
        ["advise", "a0.npy", "--html", "no/report.html"],
        ["merge", "index", "-o", "no/index"],
    ],
)
def test_output_is_looked_at_before_the_work(folder, capsys, argv, monkeypatch):
    def work(*args, **kwargs):
        raise AssertionError("the work began")

    main(["encode", "a0.npy", "-o", "index", "-q"])
    capsys.readouterr()
    for module in ("encode", "search", "advise"):
        monkeypatch.setattr(f"skbq.cli.{module}.load_vectors", work)
    monkeypatch.setattr("skbq.cli.merge.merge_files", work)
    fails(
        capsys,
        argv,
        f"cannot write {argv[argv.index('-o') + 1]}"
        if "-o" in argv
        else "cannot write no/report.html",
    )


# A damaged index.


def damage(path):
    """Change a byte of the codes, which every file of an index ends with."""
    whole = bytearray(path.read_bytes())
    codes = np.asarray(BinaryNeighbors.load(path).codes_).tobytes()
    whole[bytes(whole).index(codes)] ^= 1
    path.write_bytes(whole)


@pytest.mark.parametrize(
    "argv",
    [
        "search {} queries.npy",
        "search {}.folder/ queries.npy",
        "merge {} -o out",
        "merge {}.folder/ -o out",
        "encode a1.npy -o out --like {}",
        "encode a1.npy -o {}.folder/ --append",
    ],
)
def test_commands_verify_checksums(folder, capsys, argv):
    main(["encode", "a0.npy", "-o", "index", "-q"])
    main(["encode", "a0.npy", "-o", "index.folder/", "-q"])
    damage(folder / "index")
    damage(folder / "index.folder" / "shard-00000.skbq")
    argv = argv.format("index").split()
    capsys.readouterr()
    fails(capsys, argv, "does not match its checksum")
    # Told not to, they take it for what it is no longer.
    assert main([*argv, "--no-verify"]) == 0


def test_what_is_resumed_is_verified_always(folder, capsys):
    encode = ["encode", "a0.npy", "-o", "many/", "-q"]
    main(encode)
    damage(folder / "many" / "shard-00000.skbq")
    for options in ([], ["--no-verify"]):
        fails(capsys, [*encode, "--resume", *options], "does not match its checksum")


# Rotations by size.


def test_methods_of_rotation(folder, capsys):
    for argv, method in (
        (["--rotate", "a0.npy"], "haar"),
        (["a0.npy", "--rotate", "dct"], "dct"),
        (["a0.npy", "--rotate=hadamard"], "hadamard"),
        (["a0.npy", "--rotate", "--bits", "1"], "haar"),
    ):
        assert main(["encode", *argv, "-o", "index", "--force"]) == 0
        rotation = BinaryNeighbors.load("index").quantizer[0]
        assert repr(rotation) == repr(RandomRotation(method, random_state=0))
    with pytest.raises(SystemExit):
        main(["encode", "a0.npy", "-o", "index", "--rotate=turn"])
    assert "invalid choice: 'turn'" in capsys.readouterr().err


def test_many_coordinates_rotate_fast(folder, rng, capsys):
    wide = rng.standard_normal((12, 65_536), dtype=np.float32)
    np.save("wide.npy", wide)
    assert main(["encode", "wide.npy", "--rotate", "-o", "index"]) == 0
    assert BinaryNeighbors.load("index").quantizer[0].method == "hadamard"
    assert "12 rows, 2 bits, rotated" in capsys.readouterr().out
    rows = found(capsys, ["index", "wide.npy", "--neighbors", "1"])
    assert [int(row[2]) for row in rows] == list(range(12))


def test_no_traceback_ever(folder, capsys, monkeypatch):
    def full(*args):
        raise MemoryError("Unable to allocate 32.0 GiB")

    monkeypatch.setattr(encode, "_encode", full)
    fails(capsys, ["encode", "a0.npy", "-o", "index"], "memory: Unable to allocate 32")

    def fault(*args):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(encode, "_encode", fault)
    assert main(["encode", "a0.npy", "-o", "index"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "ZeroDivisionError: by zero (a bug in skbq" in last
    monkeypatch.setenv("SKBQ_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["encode", "a0.npy", "-o", "index"])


# Several files, kinds, columns and identifiers.


def test_several_files_make_the_index_of_all_rows(folder, X, capsys):
    for options in ([], ["--query", "vectors", "--oversampling", "2"]):
        argv = ["encode", "a0.npy", "a1.npy", "-o", "index", "--force", *options]
        assert main(argv) == 0
        index = BinaryNeighbors.load("index")
        expected = BinaryNeighbors(
            10,
            quantizer=TwoBitQuantizer(),
            query=index.query,
            oversampling=index.oversampling,
        ).fit(X[:300])
        assert_array_equal(index.kneighbors(X), expected.kneighbors(X))
    assert sorted(os.listdir()) == ["a0.npy", "a1.npy", "index", "queries.npy"]


def test_one_array_of_npz(folder, X, capsys):
    np.savez("one.npz", X[:300])
    assert main(["encode", "one.npz", "-o", "index"]) == 0
    np.savez("two.npz", a=X[:300], b=X[:300])
    fails(capsys, ["encode", "two.npz", "-o", "out"], "(a, b); name one with --column")
    assert main(["encode", "two.npz", "--column", "b", "-o", "out"]) == 0


def test_bfloat16_files(folder, X, capsys):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    np.save("small.npy", X.astype(ml_dtypes.bfloat16))
    for command in (["advise"], ["profile"], ["encode", "-o", "index"]):
        assert main([*command, "small.npy"]) == 0
    capsys.readouterr()
    assert main(["advise", "small.npy", "--target-recall", "0.5"]) == 0
    assert capsys.readouterr().out.startswith("Recommended: ")


def test_identifiers_travel_from_parquet_to_results(folder, X, capsys):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for i, part in enumerate((X[:200], X[200:300])):
        names = [f"doc-{200 * i + j}" for j in range(len(part))]
        whole = pa.table({"id": names, "emb": list(part)})
        parquet.write_table(whole, f"{i}.parquet", row_group_size=70)
    names = [f"query-{j}" for j in range(30)]
    parquet.write_table(pa.table({"id": names, "emb": list(X[300:])}), "q.parquet")
    argv = ["*.parquet", "--column", "emb", "--ids", "id"]
    os.rename("q.parquet", "q.tmp")
    assert main(["encode", *argv, "-o", "index"]) == 0
    assert main(["profile", *argv]) == 0
    os.rename("q.tmp", "q.parquet")
    assert main(["advise", "0.parquet", "--queries", "q.parquet"]) == 0
    assert main(["encode", "a0.npy", "a1.npy", "-o", "plain"]) == 0
    expected = found(capsys, ["plain", "queries.npy"])
    table = found(capsys, ["index", "q.parquet", "--ids", "id"])
    assert table == [
        [f"query-{query}", rank, f"doc-{row}", distance]
        for query, rank, row, distance in expected
    ]
    argv = ["search", "index", "q.parquet", "--ids", "id", "-o"]
    for out in ("found.csv", "found.tsv", "found.npz", "found.npy"):
        assert main([*argv, out]) == 0
    with open("found.csv", newline="") as file:
        assert list(csv.reader(file))[1:] == table
    with np.load("found.npz") as arrays:
        assert arrays["ids"].ravel().tolist() == [line[2] for line in table]
        assert_array_equal(arrays["rows"], np.load("found.npy"))
        np.testing.assert_allclose(
            arrays["distances"].ravel(), [float(line[3]) for line in table], rtol=1e-5
        )
    fails(capsys, [*argv, "found.txt"], "--out must end in one of .npy")
    fails(
        capsys,
        ["encode", "0.parquet", "1.parquet", "--ids", "key", "-o", "new"],
        "has no 'key'; there are: id, emb",
    )


def test_invalid_rows_are_named_or_left_out(folder, X, capsys):
    X[[3, 250]] = np.nan
    X[[7, 9, 11, 13, 15, 17]] = 0
    np.save("a0.npy", X[:200])
    np.save("a1.npy", X[200:300])
    fails(capsys, ["encode", "a0.npy", "-o", "index"], "a0.npy: row 3 holds NaN")
    fails(capsys, ["encode", "a1.npy", "-o", "index"], "a1.npy: row 50 holds NaN")
    X[3] = X[4]
    np.save("a0.npy", X[:200])
    fails(
        capsys,
        ["encode", "a0.npy", "-o", "index"],
        "rows 7, 9, 11, 13, 15 and 1 more are all zeros",
    )
    argv = ["a0.npy", "a1.npy", "--skip-invalid"]
    assert main(["encode", *argv, "-o", "index"]) == 0
    out, err = capsys.readouterr()
    assert "293 rows" in out
    assert "a0.npy: 7 invalid rows are left out" in err
    # Rows keep the numbers that they have in the files.
    numbers = [
        int(line[2])
        for line in found(
            capsys, ["index", "a1.npy", "--skip-invalid", "--neighbors", "1"]
        )
    ]
    assert numbers == [row for row in range(200, 300) if row != 250]
    for command in ("advise", "profile"):
        assert main([command, *argv]) == 0


def test_packed_bits_are_warned_of(folder, X, capsys):
    packed = np.packbits(np.random.default_rng(0).random((200, 64)) > 0.5, axis=1)
    np.save("packed.npy", (packed ^ 128).view(np.int8))
    assert main(["profile", "packed.npy", "--quiet"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("warning: packed.npy holds int8 that looks like packed bits")
    assert err.count("\n") == 1


def test_oversampling_and_mask_at_search(folder, X, capsys):
    main(
        ["encode", "a0.npy", "-o", "index", "--oversampling", "1", "--query", "vectors"]
    )
    rows = ["queries.npy", "--neighbors", "3"]
    expected = BinaryNeighbors(3, query="vectors", oversampling=20).fit(X[:200])
    table = found(capsys, ["index", *rows, "--oversampling", "20"])
    assert_array_equal(
        np.array([int(line[2]) for line in table]).reshape(-1, 3),
        expected.kneighbors(X[300:])[1],
    )
    allowed = np.array([5, 90, 91, 150])
    np.save("mask.npy", np.isin(np.arange(200), allowed))
    np.save("rows-of-mask.npy", allowed)
    masked = found(capsys, ["index", *rows, "--mask", "mask.npy"])
    assert {int(line[2]) for line in masked} <= set(allowed)
    assert found(capsys, ["index", *rows, "--mask", "rows-of-mask.npy"]) == masked
    np.save("mask.npy", allowed[:2])  # fewer than are asked for: two lines a query
    assert len(found(capsys, ["index", *rows, "--mask", "mask.npy"])) == 60
    fails(
        capsys, ["search", "index", *rows, "--mask", "queries.npy"], "must hold a bool"
    )
    main(["encode", "a0.npy", "-o", "small", "-q"])
    capsys.readouterr()
    fails(capsys, ["search", "small", *rows, "--oversampling", "4"], "small keeps none")
    fails(
        capsys,
        ["search", "small", "queries.npy", "--neighbors", "201"],
        "--neighbors 201 is more than the 200 rows of small",
    )


LISTED = ["--query", "vectors", "--oversampling", "2", "--algorithm", "ivf"]


@pytest.mark.parametrize("out", ["lists", "lists/"])
def test_lists_are_made_searched_and_told(folder, X, capsys, out):
    assert main(["encode", "a*.npy", "-o", out, *LISTED]) == 0
    printed = capsys.readouterr().out
    parameters = {"query": "vectors", "oversampling": 2, "random_state": 0}
    index = BinaryNeighbors(10, algorithm="ivf", **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few rows: lists do not part them
        index.fit(X[:300])
    share = index.probe_curve_.share[index.probe_curve_.find(0.95)]
    said = f"{index.n_lists_} lists, of which a query probes {index.n_probes_}: of 300 "
    said += f"rows {share:.2%} are compared, and "
    assert said in printed
    assert "lists do not separate your rows: to find 95% you must" in printed
    assert main(["search", "lists", "queries.npy", "--neighbors", "3"]) == 0
    assert said in capsys.readouterr().err
    rows = ["lists", "queries.npy", "--neighbors", "3"]
    for algorithm in ("ivf", "brute"):
        index.set_params(algorithm=algorithm)
        table = found(capsys, [*rows, "--algorithm", algorithm])
        assert_array_equal(
            np.array([int(line[2]) for line in table]).reshape(-1, 3),
            index.kneighbors(X[300:], 3)[1],
        )
    assert main(["search", *rows, "--algorithm", "brute"]) == 0
    assert "lists" not in capsys.readouterr().err


def test_lists_where_they_cannot_be(folder, capsys):
    main(["encode", "a0.npy", "-o", "plain", "--algorithm", "auto"])  # few rows: none
    assert "of which a query probes" not in capsys.readouterr().out
    search = ["search", "plain", "queries.npy", "--algorithm", "ivf"]
    fails(capsys, search, "plain has none: encode with --algorithm ivf")
    main(["encode", "a0.npy", "-o", "lists", "--algorithm", "ivf"])
    encode = ["encode", "a1.npy", "-o"]
    like = ["--like", "lists", "--algorithm", "brute"]
    assert main([*encode, "like", *like]) == 0
    assert not hasattr(BinaryNeighbors.load("like"), "n_lists_")
    lists = ["--algorithm", "ivf"]
    fails(capsys, [*encode, "x", "--to", "faiss", *lists], "leave out --algorithm")
    fails(capsys, [*encode, "x/", "--algorithm", "auto"], "--algorithm 'auto' decides")
    main([*encode, "many/"])
    fails(capsys, [*encode, "many/", "--append", *lists], "leave out --algorithm")


@pytest.mark.parametrize("options", [[], ["--query", "vectors", "--oversampling", "2"]])
def test_shards_that_share_a_quantizer_are_merged(folder, X, capsys, options):
    assert main(["encode", "a0.npy", "-o", "s0", *options]) == 0
    assert main(["encode", "a1.npy", "-o", "s1", "--like", "s0"]) == 0
    assert main(["merge", "s0", "s1", "-o", "index"]) == 0
    assert "index: 300 rows of 2 files" in capsys.readouterr().out
    expected = BinaryNeighbors.load("s0").partial_fit(X[200:300])
    index = BinaryNeighbors.load("index")
    assert_array_equal(index.kneighbors(X), expected.kneighbors(X))
    assert_array_equal(index.codes_, expected.codes_)
    # Each learned on its own: their distances cannot be compared.
    assert main(["encode", "a1.npy", "-o", "own", *options]) == 0
    capsys.readouterr()
    fails(capsys, ["merge", "s0", "own", "-o", "no"], "encode it with --like s0")


def test_merging_keeps_identifiers_and_removed_rows(folder, X, capsys):
    np.savez("a.npz", e=X[:200], id=np.arange(200) + 1000)
    np.savez("b.npz", e=X[200:300], id=np.arange(100) + 5000)
    assert main(["encode", "a.npz", "--ids", "id", "-o", "s0"]) == 0
    argv = ["encode", "b.npz", "--ids", "id", "-o", "s1", "--like", "s0"]
    assert main(argv) == 0
    BinaryNeighbors.load("s1").remove([4]).save("s1")
    assert main(["merge", "s0", "s1", "-o", "index"]) == 0
    table = found(capsys, ["index", "a0.npy", "a1.npy", "--neighbors", "1"])
    ids = [int(line[2]) for line in table]
    del ids[204]
    assert ids == [*range(1000, 1200), *range(5000, 5004), *range(5005, 5100)]


# Manners.


def test_quiet(folder, capsys):
    assert main(["encode", "a0.npy", "-o", "index", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["encode", "a0.npy", "-o", "index", "--force"]) == 0
    assert "encoding" in capsys.readouterr().err


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "skbq", "--version"], capture_output=True, text=True
    )
    assert done.stdout.startswith("skbq 0")


def test_messages_name_options(folder, capsys):
    for argv, message in (
        (["advise", "a0.npy", "--expected-rows", "0"], "--expected-rows must be"),
        (["advise", "a0.npy", "--neighbors", "0"], "--neighbors must be"),
        (["encode", "a0.npy", "-o", "i", "--oversampling", "0"], "--oversampling must"),
    ):
        fails(capsys, argv, message)
