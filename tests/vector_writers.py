"""Files of vectors of every kind, each written by its own library."""

import csv
import json

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")
pa = pytest.importorskip("pyarrow")
safetensors_numpy = pytest.importorskip("safetensors.numpy")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

# The column of vectors is "e" where columns have names, that of identifiers "id".
IDS = [f"doc-{i}" for i in range(30)]


def table(X):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])
    return pa.table({"id": IDS[: len(X)], "n": list(range(len(X))), "e": vectors})


def write_stream(X, path, new):
    whole = table(X)
    with new(path, whole.schema) as writer:
        writer.write_table(whole, max_chunksize=7)


def write_lines(X, path):
    with open(path, "w") as file:
        for name, row in zip(IDS, X.tolist(), strict=True):
            file.write(json.dumps({"id": name, "e": row}) + "\n")


def write_csv(X, path, delimiter=","):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", *(f"c{i}" for i in range(X.shape[1]))])
        writer.writerows(
            [name, *row] for name, row in zip(IDS, X.tolist(), strict=True)
        )


def write_csv_of_lists(X, path):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "e"])
        writer.writerows(
            (n, json.dumps(r)) for n, r in zip(IDS, X.tolist(), strict=True)
        )


def write_h5(X, path):
    with h5py.File(path, "w") as file:
        file["train"], file["test"], file["id"] = X, X[:3], np.arange(len(X))
        file["deep/er"] = X[:2]


def write_vecs(X, path):
    head = np.full((len(X), 1), X.shape[1], "<i4").view(np.uint8)
    np.hstack([head, X.view(np.uint8)]).tofile(path)


def write_bin(X, path):
    with open(path, "wb") as file:
        np.array(X.shape, "<u4").tofile(file)
        X.tofile(file)


WRITERS = {
    "rows.npy": lambda X, path: np.save(path, X),
    "one.npz": lambda X, path: np.savez(path, X),
    "packed.npz": lambda X, path: np.savez_compressed(path, e=X, id=IDS),
    "two.npz": lambda X, path: np.savez(path, e=X, id=np.arange(len(X))),
    "rows.parquet": lambda X, path: parquet.write_table(
        table(X), path, row_group_size=7
    ),
    "lists.parquet": lambda X, path: parquet.write_table(
        pa.table({"id": IDS, "e": pa.array(X.tolist(), pa.list_(pa.float32()))}), path
    ),
    "wide.parquet": lambda X, path: parquet.write_table(
        pa.table({"id": IDS, **{f"c{i}": X[:, i] for i in range(8)}}), path
    ),
    "rows.arrow": lambda X, path: write_stream(X, path, pa.ipc.new_file),
    "stream.arrow": lambda X, path: write_stream(X, path, pa.ipc.new_stream),
    "rows.feather": lambda X, path: feather.write_feather(
        table(X), path, chunksize=7, compression="uncompressed"
    ),
    "rows.jsonl": write_lines,
    "wide.csv": write_csv,
    "lists.csv": write_csv_of_lists,
    "wide.tsv": lambda X, path: write_csv(X, path, "\t"),
    "rows.h5": write_h5,
    "rows.safetensors": lambda X, path: safetensors_numpy.save_file({"e": X}, path),
    "rows.fvecs": write_vecs,
    "rows.fbin": write_bin,
}
