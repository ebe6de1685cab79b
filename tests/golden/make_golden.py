"""Write the golden codes: what fixed inputs give, byte for byte.

    python tests/golden/make_golden.py

writes what is missing. A release may not change codes, distances or files by accident:
``test_golden.py`` compares all of them. Where a change is meant, delete the file of its
case, run this, and say so in CHANGES. Files of a former version of the format stay, to
be read for ever, as do the first ones of version 1 (``files/first_*``); the arrays in
files of the present one are compared with what is written today.
"""

import argparse
import hashlib
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import skbq
from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    PCAQuantizer,
    RandomRotation,
    TwoBitQuantizer,
)

FOLDER = Path(__file__).parent
CASES = FOLDER / "cases"
FILES = FOLDER / "files"
N, M, D, K = 24, 4, 19, 5


def vectors():
    """Rows and queries of whole sixteenths, the same on every machine.

    They come from an integer recurrence, so that no generator of numpy's plays a part,
    and their sums are exact in any order.
    """
    state, values = 1, []
    for _ in range((N + M) * D):
        state = (state * 1103515245 + 12345) % 2**31
        values.append((state >> 16) % 97 - 40)
    X = np.array(values, np.float32).reshape(N + M, D) / 16
    X[7] = X[3]  # a duplicate
    return X[:N], X[N:]


def _rotated(method):
    return make_pipeline(
        RandomRotation(method, random_state=0), TwoBitQuantizer(threshold="zero")
    )


# Every quantizer and its options. Haar's rotation is left out of what is compared byte
# for byte: its last digits are those of LAPACK. So are those of principal axes, but no
# row is so near to a border that they matter.
QUANTIZERS = {
    "1 bit, mean": BinaryQuantizer(),
    "1 bit, median": BinaryQuantizer("median"),
    "1 bit, zero": BinaryQuantizer("zero"),
    "1 bit, numbers": BinaryQuantizer(np.linspace(-1, 1, D)),
    "2 bits": TwoBitQuantizer(),
    "2 bits, by coordinate": TwoBitQuantizer("median", "coordinate"),
    "2 bits, Lloyd-Max": TwoBitQuantizer(levels="lloyd_max"),
    "2 bits, of the paper": TwoBitQuantizer("zero", "row", (1, 2)),
    "hadamard": _rotated("hadamard"),
    "dct": _rotated("dct"),
    "principal axes": PCAQuantizer(2.0, exponent=1, rotation=None),
    "principal axes, rotated": PCAQuantizer(
        1.0, exponent=0.5, rotation="hadamard", random_state=0
    ),
}
INDEXES = {
    "hamming": {"code_metric": "hamming"},
    "penalty": {"code_metric": "penalty"},
    "dot": {"code_metric": "dot"},
    **{
        metric: {"query": "vectors", "metric": metric, "corrections": "exact"}
        for metric in ("cosine", "euclidean", "inner_product")
    },
    "reranked": {"oversampling": 2, "metric": "euclidean"},
}
# Codes of mixed depth have one distance of their own.
OF_PLANES = {"hamming", "penalty", "dot"}
LISTS = {"algorithm": "ivf", "n_lists": 3, "n_probes": 2, "random_state": 0}
# Files that are read, but not compared with what is written: principal axes have the
# last digits of the machine's LAPACK, levels of short corrections those of its log.
READ_ONLY = {
    "principal axes",
    "principal axes, weakened corrections",
    "short corrections",
    "lists of principal axes",
}
# What is saved: a plain index, one of all kinds of arrays, one of steps, and lists.
SAVED = {
    "plain": lambda: BinaryNeighbors(metric="euclidean"),
    "float queries": lambda: BinaryNeighbors(
        quantizer=BinaryQuantizer("median"),
        query="vectors",
        oversampling=2,
        corrections="exact",
    ),
    "short corrections": lambda: BinaryNeighbors(query="vectors", metric="euclidean"),
    "steps": lambda: BinaryNeighbors(
        quantizer=make_pipeline(
            Normalizer(), *_rotated("hadamard").named_steps.values()
        )
    ),
    "principal axes": lambda: BinaryNeighbors(
        quantizer=PCAQuantizer(2.0, rotation=None, random_state=0), query="vectors"
    ),
    "principal axes, weakened corrections": lambda: BinaryNeighbors(
        quantizer=PCAQuantizer(2.0, exponent=1, rotation="dct", random_state=0),
        query="vectors",
        metric="euclidean",
    ),
    "lists": lambda: BinaryNeighbors(quantizer=BinaryQuantizer("median"), **LISTS),
    "lists, vectors": lambda: BinaryNeighbors(oversampling=2, **LISTS),
    "lists of principal axes": lambda: BinaryNeighbors(
        quantizer=PCAQuantizer(2.0, rotation=None, random_state=0),
        query="vectors",
        metric="euclidean",
        **LISTS,
    ),
}


def kinds_of(name):
    """The kinds of index that the codes of a quantizer are compared in."""
    if not isinstance(QUANTIZERS[name], PCAQuantizer):
        return INDEXES
    kept = {kind: given for kind, given in INDEXES.items() if kind not in OF_PLANES}
    return {"codes": {}, **kept}


def make_case(name):
    """Return what a quantizer gives: codes, and neighbors in every kind of index."""
    X, Y = vectors()
    quantizer = QUANTIZERS[name]
    codes = np.asarray(quantizer.fit_transform(X))
    case = {"codes": codes.tobytes().hex(), "dtype": codes.dtype.str}
    for kind, parameters in kinds_of(name).items():
        index = BinaryNeighbors(K, quantizer=quantizer, **parameters)
        distances, rows = index.fit(X).kneighbors(Y)
        case[kind] = {"rows": rows.tolist(), "distances": distances.tolist()}
    return case


def make_file(name):
    """Return the bytes of a saved index, and what it finds."""
    X, Y = vectors()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few rows: lists do not part them
        index = SAVED[name]().fit(X).remove([2])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        index.save(path)
        content = path.read_bytes()
    distances, rows = index.kneighbors(Y)
    return content, {"rows": rows.tolist(), "distances": distances.tolist()}


def arrays_of(content):
    """The arrays of a file: type, shape and data of each.

    The header is left out: it names all parameters, of which there may be new ones.
    """
    length = int.from_bytes(content[16:24], "little")
    found = []
    for entry in json.loads(content[24 : 24 + length])["arrays"]:
        dtype, count = np.dtype(entry["dtype"]), int(np.prod(entry["shape"]))
        data = np.frombuffer(content, dtype, count, entry["offset"])
        found.append((entry["dtype"], entry["shape"], data.tobytes()))
    return found


def version_of(content):
    """The version of the format that a file says it has."""
    return int.from_bytes(content[8:12], "little")


def slug(name):
    """A name as that of a file."""
    return name.replace(",", "").replace(" ", "_")


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    CASES.mkdir(exist_ok=True)
    FILES.mkdir(exist_ok=True)
    for name in QUANTIZERS:
        path = CASES / f"{slug(name)}.json"
        if not path.exists():
            path.write_text(json.dumps(make_case(name)) + "\n", encoding="utf-8")
    for name in SAVED:
        content, found = make_file(name)
        path = FILES / f"v{version_of(content)}_{slug(name)}.skbq"
        if not path.exists():
            path.write_bytes(content)
            about = {"skbq": skbq.__version__, "index": name, **found}
            about["sha256"] = hashlib.sha256(content).hexdigest()
            path.with_suffix(".json").write_text(
                json.dumps(about) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    main()
