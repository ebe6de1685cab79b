"""What every public function and command says to input that it cannot use.

One list for the tests and for the table in the docs, which

    python tests/errors/bad_inputs.py --write docs/errors_table.md

writes. A :class:`Row` is something bad given to one parameter of one function.
"""

import argparse
import copy
import datetime
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import scipy.sparse
from sklearn.frozen import FrozenEstimator

from skbq import (
    BinaryNeighbors,
    BinaryNeighborsTransformer,
    BinaryQuantizer,
    CodeUnpacker,
    DriftDisplay,
    FidelityDisplay,
    HeterogeneityDisplay,
    HeterogeneityProfiler,
    PCAQuantizer,
    QuantizationAdvisor,
    RandomRotation,
    RecallDisplay,
    ShardedNeighbors,
    TwoBitQuantizer,
    as_codes,
    datasets,
    distributed,
    exports,
    metrics,
    open_vectors,
    plan_capacity,
    theory,
)
from skbq.codes import MixedDepths

D = 12


@cache
def good() -> np.ndarray:
    """Vectors that all functions take."""
    X = np.random.default_rng(0).standard_normal((40, D)).astype(np.float32)
    X.flags.writeable = False
    return X


def changed(value: Any, dtype: Any = np.float32) -> np.ndarray:
    """The good vectors with one value changed, that of row 3."""
    X = good().astype(dtype)
    X[3, 2] = value
    return X


@dataclass(frozen=True)
class Bad:
    """Something that is no array of vectors.

    Parameters
    ----------
    name : str
        As in the docs.
    make : callable
        Makes it.
    error : type
    message : str
        A part of the message, as a regular expression.
    remedy : str
        What to write instead.
    """

    name: str
    make: Callable[[], Any]
    error: type[Exception] | tuple[type[Exception], ...]
    message: str
    remedy: str


RAGGED = [[1.0, 2.0], [3.0]]
MASKED = np.ma.masked_array(good(), good() > 2)

# What no function that takes vectors lets in.
NO_VECTORS = [
    Bad("a number", lambda: 3.0, ValueError, "2D array", "`X.reshape(1, -1)`"),
    Bad("a string", lambda: "vectors", ValueError, "", "an array of numbers"),
    Bad("bytes", lambda: b"\x00\x01", ValueError, "", "`as_codes`, or an array"),
    Bad("one vector, 1-d", lambda: good()[0], ValueError, "2D", "`X[None]`"),
    Bad("a 3-d array", lambda: good()[None], ValueError, "dim", "`X.reshape(-1, d)`"),
    Bad("no rows", lambda: good()[:0], ValueError, "0 sample", "at least one row"),
    Bad("no columns", lambda: good()[:, :0], ValueError, "0 feature", "a column"),
    Bad("an empty list", list, ValueError, "", "at least one row"),
    Bad("rows of different lengths", lambda: RAGGED, ValueError, "", "equal lengths"),
    Bad(
        "an array of objects that are no numbers",
        lambda: np.full((40, D), object()),
        (TypeError, ValueError),
        "",
        "`X.astype(np.float32)`",
    ),
    Bad(
        "an array of strings",
        lambda: np.full((40, D), "a"),
        ValueError,
        "",
        "`X.astype(np.float32)`",
    ),
    Bad("a dict", lambda: {"a": [1.0]}, (TypeError, ValueError), "", "an array"),
    Bad("NaN", lambda: changed(np.nan), ValueError, "NaN.*3", "drop the rows named"),
    Bad("infinity", lambda: changed(np.inf), ValueError, "inf.*3", "drop these rows"),
    Bad(
        "complex numbers",
        lambda: good().astype(complex),
        ValueError,
        "[Cc]omplex",
        "`X.real`",
    ),
    Bad(
        "dates",
        lambda: np.full((40, D), np.datetime64("2026-01-01")),
        (ValueError, TypeError),
        "",
        "an array of numbers",
    ),
    Bad(
        "durations",
        lambda: np.full((40, D), np.timedelta64(1, "s")),
        (ValueError, TypeError),
        "",
        "an array of numbers",
    ),
    Bad(
        "a list of dates",
        lambda: [[datetime.date(2026, 1, 1)] * D] * 40,
        (ValueError, TypeError),
        "",
        "an array of numbers",
    ),
    Bad(
        "a sparse matrix",
        lambda: scipy.sparse.csr_matrix(good()),
        TypeError,
        "[Ss]parse",
        "`X.toarray()`",
    ),
    Bad(
        "a sparse array",
        lambda: scipy.sparse.csr_array(good()),
        TypeError,
        "[Ss]parse",
        "`X.toarray()`",
    ),
    Bad("masked values", lambda: MASKED, ValueError, "mask", "`X.filled(0)`"),
    Bad(
        "plain unsigned integers",
        lambda: np.zeros((40, D), np.uint8),
        ValueError,
        "as_codes.*astype",
        "`as_codes(X, n_features=d)`, or `X.astype(np.float32)`",
    ),
    Bad(
        "bfloat16 as uint16",
        lambda: np.zeros((40, D), np.uint16),
        ValueError,
        "bfloat16",
        "`(X.astype(np.uint32) << 16).view(np.float32)`",
    ),
    Bad("rows of bytes", lambda: [b"abc"] * 40, ValueError, "bytes", "`as_codes`"),
]
NOTHING = Bad("None", lambda: None, (TypeError, ValueError), "", "an array")
WRONG_WIDTH = Bad(
    "another number of columns",
    lambda: np.ones((3, D + 1), np.float32),
    ValueError,
    "features",
    "vectors of the width that was fitted",
)
CODES = Bad(
    "codes where vectors belong",
    lambda: TwoBitQuantizer().fit_transform(good()),
    ValueError,
    "codes",
    "the vectors that were encoded",
)
ZERO_ROW = Bad(
    "a row of zeros, under cosine",
    lambda: good() * (np.arange(40) != 3)[:, None],
    ValueError,
    "zero.*3",
    "drop the rows named, or another `metric`",
)

# What is let in, and taken for the numbers that it holds.
GOOD_VECTORS = {
    "read-only": lambda: good(),
    "columns first": lambda: np.asfortranarray(good()),
    "strided": lambda: np.repeat(good(), 2, axis=0)[::2],
    "big-endian": lambda: good().astype(">f4"),
    "float16": lambda: good().astype(np.float16),
    "float64": lambda: good().astype(np.float64),
    "signed integers": lambda: np.round(good() * 10).astype(np.int16),
    "bool": lambda: good() > 0,
    "a list of lists": lambda: good().tolist(),
    "a masked array without masked values": lambda: np.ma.masked_array(good()),
    "objects that are numbers": lambda: good().astype(object),
    "denormal numbers": lambda: good() * np.float32(1e-42),
    "numbers near 1e38": lambda: changed(1e38),
}


def advisor(**parameters: Any) -> QuantizationAdvisor:
    return QuantizationAdvisor(n_neighbors=3, random_state=0).set_params(**parameters)


def copied(name: str) -> Any:
    """A fitted estimator that may be changed."""
    return copy.copy(fitted(name))


@cache
def fitted(name: str) -> Any:
    """An estimator that is fitted on the good vectors."""
    X = good()
    made = {
        "BinaryQuantizer": BinaryQuantizer,
        "TwoBitQuantizer": TwoBitQuantizer,
        "PCAQuantizer": lambda: PCAQuantizer(random_state=0),
        "RandomRotation": lambda: RandomRotation(random_state=0),
        "HeterogeneityProfiler": lambda: HeterogeneityProfiler(random_state=0),
        "BinaryNeighbors": lambda: BinaryNeighbors(oversampling=2),
        "float queries": lambda: BinaryNeighbors(query="vectors"),
        "BinaryNeighborsTransformer": BinaryNeighborsTransformer,
        "QuantizationAdvisor": advisor,
    }
    return made[name]().fit(X)


# Every method that takes vectors: those that fit, and those of the fitted.
FITS = {
    "BinaryQuantizer.fit": lambda X: BinaryQuantizer().fit(X),
    "BinaryQuantizer.partial_fit": lambda X: BinaryQuantizer().partial_fit(X),
    "BinaryQuantizer.fit_transform": lambda X: BinaryQuantizer().fit_transform(X),
    "TwoBitQuantizer.fit": lambda X: TwoBitQuantizer().fit(X),
    "TwoBitQuantizer.partial_fit": lambda X: TwoBitQuantizer(
        magnitude="coordinate", threshold="zero"
    ).partial_fit(X),
    "PCAQuantizer.fit": lambda X: PCAQuantizer(random_state=0).fit(X),
    "RandomRotation.fit": lambda X: RandomRotation(random_state=0).fit(X),
    "HeterogeneityProfiler.fit": lambda X: HeterogeneityProfiler().fit(X),
    "HeterogeneityProfiler.partial_fit": lambda X: HeterogeneityProfiler().partial_fit(
        X
    ),
    "BinaryNeighbors.fit": lambda X: BinaryNeighbors().fit(X),
    "BinaryNeighbors.partial_fit, first": lambda X: BinaryNeighbors().partial_fit(X),
    "BinaryNeighborsTransformer.fit": lambda X: BinaryNeighborsTransformer().fit(X),
    "QuantizationAdvisor.fit": lambda X: advisor().fit(X),
}
ASKS = {
    "BinaryQuantizer.transform": lambda X: fitted("BinaryQuantizer").transform(X),
    "TwoBitQuantizer.transform": lambda X: fitted("TwoBitQuantizer").transform(X),
    "PCAQuantizer.transform": lambda X: fitted("PCAQuantizer").transform(X),
    "RandomRotation.transform": lambda X: fitted("RandomRotation").transform(X),
    "RandomRotation.inverse_transform": lambda X: fitted(
        "RandomRotation"
    ).inverse_transform(X),
    "HeterogeneityProfiler.transform": lambda X: fitted(
        "HeterogeneityProfiler"
    ).transform(X),
    "BinaryNeighbors.partial_fit": lambda X: copied("BinaryNeighbors").partial_fit(X),
    "BinaryNeighbors.kneighbors": lambda X: fitted("BinaryNeighbors").kneighbors(X),
    "BinaryNeighbors.kneighbors, float queries": lambda X: fitted(
        "float queries"
    ).kneighbors(X),
    "BinaryNeighbors.radius_neighbors": lambda X: fitted(
        "BinaryNeighbors"
    ).radius_neighbors(X),
    "BinaryNeighbors.kneighbors_graph": lambda X: fitted(
        "BinaryNeighbors"
    ).kneighbors_graph(X),
    "BinaryNeighbors.radius_neighbors_graph": lambda X: fitted(
        "BinaryNeighbors"
    ).radius_neighbors_graph(X),
    "BinaryNeighborsTransformer.transform": lambda X: fitted(
        "BinaryNeighborsTransformer"
    ).transform(X),
    "QuantizationAdvisor.fit(queries=)": lambda X: advisor().fit(good(), queries=X),
    "QuantizationAdvisor.check_drift": lambda X: fitted(
        "QuantizationAdvisor"
    ).check_drift(X),
}


@dataclass(frozen=True)
class Row:
    """Something bad given to a function, and what comes of it."""

    function: str
    given: str
    call: Callable[[], Any]
    error: type[Exception] | tuple[type[Exception], ...]
    message: str
    remedy: str


def _parameters(
    function: str,
    call: Callable[..., Any],
    name: str,
    remedy: str,
    message: str | None = None,
    **bad: Any,
) -> list[Row]:
    """Rows for one parameter; ``bad`` are lists of values for each kind of error."""
    errors = {
        "type": TypeError,
        "value": ValueError,
        "either": (TypeError, ValueError),
    }
    return [
        Row(
            function,
            f"`{name}={_shown(value)}`",
            lambda value=value: call(**{name: value}),
            errors[kind],
            name if message is None else message,
            remedy,
        )
        for kind, values in bad.items()
        for value in values
    ]


def _shown(value: Any) -> str:
    if isinstance(value, int) and value == 2**40:
        return "2**40"
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype}, {value.shape}"
    return getattr(value, "__name__", None) or repr(value).replace("nan", "NaN")


NAN, INF = float("nan"), float("inf")
NO_COUNT = [2.5, "5", True, [3]]


def _fit(**parameters: Any) -> Any:
    return BinaryNeighbors(**parameters).fit(good())


def _graph(**parameters: Any) -> Any:
    return BinaryNeighborsTransformer(**parameters).fit(good())


def _ask(**arguments: Any) -> Any:
    return fitted("BinaryNeighbors").kneighbors(good(), **arguments)


def _within(**arguments: Any) -> Any:
    return fitted("BinaryNeighbors").radius_neighbors(good(), **arguments)


def _flat(X: Any, **parameters: Any) -> Any:
    return BinaryNeighbors(**parameters).fit(X)


def _two_bit_codes(levels: Any = (1, 3)) -> Any:
    return TwoBitQuantizer(levels=levels).fit_transform(good())


def _one_bit_codes() -> Any:
    return BinaryQuantizer().fit_transform(good())


def index_rows() -> list[Row]:
    """Rows of the indexes."""
    name = "BinaryNeighbors"
    count = "an int of at least 1"
    rows = [
        *_parameters(
            name, _fit, "n_neighbors", count, type=[*NO_COUNT, None], value=[0, -1]
        ),
        *_parameters(
            f"{name}.kneighbors",
            _ask,
            "n_neighbors",
            "an int from 1 to the number of rows",
            type=NO_COUNT,
            value=[0, -1, 41, 2**40],
        ),
        *_parameters(name, _fit, "radius", "a number", type=["1", True], value=[NAN]),
        *_parameters(
            f"{name}.radius_neighbors",
            _within,
            "radius",
            "one number for all queries",
            type=["1", np.ones(40)],
            value=[NAN],
        ),
        *_parameters(
            name,
            _fit,
            "n_jobs",
            "None, -1 or a number of threads",
            type=["all", 1.5, True],
            value=[0],
        ),
        *_parameters(
            name, _fit, "metric", "one of the three", type=[None, 2], value=["l2", ""]
        ),
        *_parameters(
            name, _fit, "query", '"codes" or "vectors"', type=[None], value=["floats"]
        ),
        *_parameters(
            name, _fit, "code_metric", "one of the four", type=[None], value=["l1"]
        ),
        *_parameters(
            name,
            _fit,
            "oversampling",
            "None or a number of at least 1",
            type=[True, [2]],
            value=[0, 0.5, -1, NAN, INF, "all", "bound"],
        ),
        *_parameters(
            name,
            _fit,
            "algorithm",
            '"brute", "ivf" or "auto"',
            type=[None, 2],
            value=["hnsw"],
        ),
        *_parameters(
            name,
            _fit,
            "n_lists",
            '"auto" or an int of at least 1',
            type=[None, 1.5],
            value=[0, -1, "many"],
        ),
        *_parameters(
            name,
            _fit,
            "n_probes",
            '"auto", an int of at least 1 or a share up to 1',
            type=[None, [2]],
            value=[0, 0.0, 1.5, NAN, "all"],
        ),
        *_parameters(
            name,
            _fit,
            "target_recall",
            "a number above 0 and up to 1",
            type=[None, "high"],
            value=[0, 1.5, NAN],
        ),
        *_parameters(
            name,
            _fit,
            "corrections",
            'True, False or "exact"',
            type=[None, 2],
            value=["short"],
        ),
        *_parameters(
            name,
            _fit,
            "quantizer",
            "an estimator that ends in a quantizer",
            type=["pq", 2],
        ),
        *_parameters(
            name,
            _fit,
            "quantizer",
            "an instance: `TwoBitQuantizer()`",
            "instance",
            type=[TwoBitQuantizer],
        ),
        *_parameters(
            f"{name}.kneighbors",
            _ask,
            "mask",
            "a bool array, one value a row",
            value=[np.ones(39, bool), np.ones(40), np.ones((40, 1), bool), "all"],
        ),
        *_parameters(
            f"{name}.kneighbors",
            _ask,
            "return_bound",
            '`query="vectors"`, no `oversampling`',
            value=[True],
        ),
        *_parameters(
            f"{name}.kneighbors_graph",
            lambda mode: fitted("BinaryNeighbors").kneighbors_graph(mode=mode),
            "mode",
            '"connectivity" or "distance"',
            type=[None],
            value=["similarity"],
        ),
        *_parameters(
            "BinaryNeighborsTransformer",
            _graph,
            "mode",
            '"connectivity" or "distance"',
            type=[None],
            value=["similarity"],
        ),
        *_parameters(
            f"{name}.remove",
            lambda rows: copied("BinaryNeighbors").remove(rows),
            "rows",
            "numbers of rows that are there, each once",
            type=["1", 2.5, np.ones(40, bool), np.ones((2, 2), int)],
        ),
        Row(
            f"{name}.remove",
            "row -1, or one beyond the last",
            lambda: copied("BinaryNeighbors").remove([0, -1, 40]),
            ValueError,
            r"\[-1, 40\] cannot be removed",
            "numbers of rows that are there",
        ),
        Row(
            f"{name}.remove",
            "a row that was removed",
            lambda: copied("BinaryNeighbors").remove([3]).remove([3]),
            ValueError,
            "once",
            "each row once",
        ),
        Row(
            f"{name}.kneighbors",
            "an index that is not fitted",
            lambda: BinaryNeighbors().kneighbors(good()),
            ValueError,
            "not fitted",
            "call `fit` before",
        ),
        Row(
            f"{name}.kneighbors",
            "`X=None` with `query='vectors'`, no vectors kept",
            lambda: fitted("float queries").kneighbors(),
            ValueError,
            "pass them as X.*oversampling",
            "the vectors as X, or `oversampling`",
        ),
        Row(
            f"{name}.kneighbors",
            "`metric` set after fit",
            lambda: (
                copied("BinaryNeighbors").set_params(metric="euclidean").kneighbors()
            ),
            ValueError,
            "Fit again",
            "fit again",
        ),
        Row(
            f"{name}.fit",
            "codes and a `quantizer`",
            lambda: _flat(_one_bit_codes(), quantizer=BinaryQuantizer()),
            ValueError,
            "quantize again",
            "the vectors, or `quantizer=None`",
        ),
        Row(
            f"{name}.fit",
            "codes and `query='vectors'`",
            lambda: _flat(_one_bit_codes(), query="vectors"),
            ValueError,
            "needs the vectors",
            "the vectors and a `quantizer`",
        ),
        Row(
            f"{name}.fit",
            "codes and `oversampling`",
            lambda: _flat(_one_bit_codes(), oversampling=2),
            ValueError,
            "needs the vectors",
            "the vectors and a `quantizer`",
        ),
        Row(
            f"{name}.kneighbors",
            "vectors, fitted on codes",
            lambda: _flat(_one_bit_codes()).kneighbors(good()),
            ValueError,
            "takes codes",
            "what the fitted quantizer's `transform` gives",
        ),
        Row(
            f"{name}.kneighbors",
            "codes of another depth",
            lambda: _flat(_one_bit_codes()).kneighbors(_two_bit_codes()),
            ValueError,
            "same fitted quantizer",
            "one quantizer for both",
        ),
        Row(
            f"{name}.kneighbors",
            "codes of other levels",
            lambda: _flat(_two_bit_codes()).kneighbors(_two_bit_codes((1, 2))),
            ValueError,
            "same fitted quantizer",
            "one quantizer for both",
        ),
        Row(
            f"{name}.fit",
            "a row of zeros under cosine",
            lambda: _flat(ZERO_ROW.make()),
            ValueError,
            ZERO_ROW.message,
            ZERO_ROW.remedy,
        ),
        Row(
            f"{name}.kneighbors",
            "a query of zeros under cosine",
            lambda: fitted("BinaryNeighbors").kneighbors(ZERO_ROW.make()),
            ValueError,
            ZERO_ROW.message,
            ZERO_ROW.remedy,
        ),
        Row(
            f"{name}.fit",
            "values near 1e38 and float queries, not under cosine",
            lambda: _flat(
                good() * np.float32(1e37), query="vectors", metric="euclidean"
            ),
            ValueError,
            "scale X down",
            "`X / 1e30`",
        ),
        Row(
            f"{name}.save",
            "a folder that does not exist",
            lambda: fitted("BinaryNeighbors").save("no/such/folder/index.skbq"),
            FileNotFoundError,
            "no folder",
            "make the folder before",
        ),
        *_parameters(
            f"{name}.save",
            lambda path: fitted("BinaryNeighbors").save(path),
            "path",
            "a path",
            "PathLike",
            type=[None, 2.5],
        ),
        Row(
            f"{name}.load",
            "a file that does not exist",
            lambda: BinaryNeighbors.load("no such file"),
            FileNotFoundError,
            "no such file",
            "the path that was saved to",
        ),
        Row(
            f"{name}.load",
            "a file of something else",
            lambda: BinaryNeighbors.load(__file__),
            ValueError,
            "no index of skbq",
            "a file that `save` wrote",
        ),
        *_parameters(
            f"{name}.load",
            lambda mmap_mode: BinaryNeighbors.load("index", mmap_mode=mmap_mode),
            "mmap_mode",
            'None or "r"',
            type=[2],
            value=["w", "r+"],
        ),
    ]
    return rows


def quantizer_rows() -> list[Row]:
    """Rows of quantizers, rotation, profiler and codes."""

    def two(**parameters: Any) -> Any:
        return TwoBitQuantizer(**parameters).fit(good())

    def one(**parameters: Any) -> Any:
        return BinaryQuantizer(**parameters).fit(good())

    def rotation(**parameters: Any) -> Any:
        return RandomRotation(**parameters).fit(good())

    def principal(**parameters: Any) -> Any:
        return PCAQuantizer(**{"random_state": 0, **parameters}).fit(good())

    def wrap(**arguments: Any) -> Any:
        return as_codes(np.zeros((3, 2), np.uint8), **{"n_features": D, **arguments})

    def wrapped(array: Any) -> Any:
        return as_codes(array, n_features=D)

    pair = "two numbers, 0 <= low < high"
    number = "an option, a number, or one for each coordinate"
    seed = "None, an int of at least 0 or a RandomState"
    seeds = {"value": ["seed", -1, 2.5]}
    inverse = "BinaryQuantizer.inverse_transform"
    return [
        *_parameters(
            "PCAQuantizer",
            principal,
            "bits",
            "a number of at most `max_depth`, or `n_bytes`",
            type=["1", None, True],
            value=[0, -1, NAN, 0.01, 9],
        ),
        *_parameters(
            "PCAQuantizer",
            principal,
            "n_bytes",
            "bytes of code and corrections, as many as `max_depth` allows",
            type=[2.5, "8", True],
            value=[0, 3, 100],
        ),
        Row(
            "PCAQuantizer",
            "`bits=2, n_bytes=8`",
            lambda: principal(bits=2, n_bytes=8),
            ValueError,
            "leave one out",
            "one of the two",
        ),
        *_parameters(
            "PCAQuantizer",
            principal,
            "exponent",
            '"auto" or a number of at least 0',
            type=[None, True],
            value=["best", -1, NAN],
        ),
        *_parameters(
            "PCAQuantizer",
            principal,
            "max_depth",
            "1, 2, 4 or 8",
            type=["4", 2.0],
            value=[0, 3, 16],
        ),
        *_parameters(
            "PCAQuantizer",
            principal,
            "rotation",
            '"haar", "hadamard", "dct" or None',
            type=[1],
            value=["pca"],
        ),
        *_parameters(
            "PCAQuantizer",
            principal,
            "correction_bytes",
            '"auto", 0 or 3',
            type=[None, 2.5],
            value=["all", 1, -1],
        ),
        *_parameters(
            "PCAQuantizer", principal, "random_state", seed, "[Ss]eed", **seeds
        ),
        Row(
            "PCAQuantizer",
            "more bits than the rows have directions",
            lambda: PCAQuantizer(4).fit(np.repeat(good()[:, :3], 4, axis=1)),
            ValueError,
            "vary in 3 of 12 directions.*bits of at most",
            "the `bits` or `n_bytes` named, or a larger `max_depth`",
        ),
        Row(
            "PCAQuantizer.partial_fit",
            "vectors",
            lambda: PCAQuantizer().partial_fit(good()),
            AttributeError,
            "no.*partial_fit|has no attribute",
            "`fit` on a sample, then `transform` chunk by chunk",
        ),
        Row(
            "PCAQuantizer.inverse_transform",
            "codes of another layout",
            lambda: fitted("PCAQuantizer").inverse_transform(
                PCAQuantizer(2, random_state=0).fit_transform(good())
            ),
            ValueError,
            "makes",
            "codes of the same fitted quantizer",
        ),
        Row(
            "BinaryNeighbors.kneighbors",
            "codes of another layout",
            lambda: _flat(fitted("PCAQuantizer").transform(good())).kneighbors(
                PCAQuantizer(2, random_state=0).fit_transform(good())
            ),
            ValueError,
            "Encode both with the same fitted",
            "codes of the same fitted quantizer",
        ),
        *(
            Row(
                "BinaryNeighbors",
                f"`code_metric={metric!r}` for codes of mixed depth",
                lambda metric=metric: BinaryNeighbors(
                    quantizer=PCAQuantizer(random_state=0), code_metric=metric
                ).fit(good()),
                ValueError,
                "compared by 'dot'",
                '`code_metric="dot"`, or codes of one depth',
            )
            for metric in ("hamming", "penalty")
        ),
        *_parameters(
            "BinaryQuantizer",
            one,
            "threshold",
            number,
            value=["max", NAN, [0.0] * 5, None, [[0.0] * D]],
        ),
        *_parameters(
            "TwoBitQuantizer", two, "threshold", number, value=["max", [INF] * D]
        ),
        *_parameters(
            "TwoBitQuantizer",
            two,
            "magnitude",
            '"row" or "coordinate"',
            type=[None],
            value=["column"],
        ),
        *_parameters(
            "TwoBitQuantizer",
            two,
            "levels",
            pair,
            value=["max", (3, 1), (1,), (1, NAN), (0, INF), (-1, 1), (1, 2, 3), None],
        ),
        *_parameters(
            "RandomRotation",
            rotation,
            "method",
            '"haar", "dct" or "hadamard"',
            type=[None],
            value=["qr"],
        ),
        *_parameters(
            "RandomRotation", rotation, "random_state", seed, "[Ss]eed", **seeds
        ),
        Row(
            "RandomRotation.transform",
            "a rotation that is not fitted",
            lambda: RandomRotation().transform(good()),
            ValueError,
            "not fitted",
            "call `fit` before",
        ),
        Row(
            inverse,
            "vectors",
            lambda: fitted("BinaryQuantizer").inverse_transform(good()),
            ValueError,
            "as_codes",
            "the codes that `transform` gave",
        ),
        Row(
            inverse,
            "codes of another depth",
            lambda: fitted("BinaryQuantizer").inverse_transform(_two_bit_codes()),
            ValueError,
            "2-bit codes.*1-bit codes",
            "the codes that `transform` gave",
        ),
        Row(
            "CodeUnpacker.fit",
            "packed bytes that do not say what they are",
            lambda: CodeUnpacker().fit(np.zeros((3, 2), np.uint8)),
            ValueError,
            "as_codes.*astype",
            "`as_codes(X, n_features=d)`, or `X.astype(np.float32)`",
        ),
        Row(
            "CodeUnpacker.transform",
            "codes of another depth",
            lambda: CodeUnpacker().fit(_one_bit_codes()).transform(_two_bit_codes()),
            ValueError,
            "1-bit codes.*Got 2-bit codes",
            "codes of the quantizer that it was fitted with",
        ),
        Row(
            "CodeUnpacker.transform",
            "vectors, where codes came at `fit`",
            lambda: CodeUnpacker().fit(_one_bit_codes()).transform(good()),
            ValueError,
            "1-bit codes.*Got ndarray",
            "`quantizer.transform(X)`",
        ),
        Row(
            "CodeUnpacker.transform",
            "codes, where vectors came at `fit`",
            lambda: CodeUnpacker().fit(good()).transform(_one_bit_codes()),
            ValueError,
            "takes vectors, but X holds codes",
            "fit it on codes",
        ),
        *_parameters(
            "HeterogeneityProfiler.report",
            lambda format: fitted("HeterogeneityProfiler").report(format=format),
            "format",
            '"text" or "html"',
            type=[None],
            value=["pdf"],
        ),
        Row(
            "HeterogeneityProfiler.report",
            "a profiler that is not fitted",
            lambda: HeterogeneityProfiler().report(),
            ValueError,
            "not fitted",
            "call `fit` before",
        ),
        Row(
            "HeterogeneityProfiler.fit",
            "one row",
            lambda: HeterogeneityProfiler().fit(good()[:1]),
            ValueError,
            "1 sample|minimum of 2",
            "two rows or more",
        ),
        *_parameters(
            "HeterogeneityProfiler.predict_fidelity",
            lambda metric: fitted("HeterogeneityProfiler").predict_fidelity(
                metric=metric
            ),
            "metric",
            "one of the three",
            type=[None],
            value=["l2"],
        ),
        *_parameters(
            "as_codes",
            wrap,
            "n_features",
            "the number of coordinates",
            value=[0, -1, *NO_COUNT],
        ),
        *_parameters(
            "as_codes",
            wrap,
            "levels",
            "None for codes of one bit",
            value=[(1, 3)],
        ),
        *(
            Row(
                "as_codes",
                given,
                lambda make=make: wrapped(make()),
                (ValueError, TypeError),
                message,
                remedy,
            )
            for given, make, message, remedy in [
                ("None", lambda: None, "uint8", "an array of packed bits"),
                ("a number", lambda: 3, "shape", "an array of packed bits"),
                ("a string", lambda: "ab", "decode", "an array of packed bits"),
                ("floats", good, "float32", "the codes, or a quantizer's `transform`"),
                (
                    "64-bit words",
                    lambda: np.full((3, 1), 2**60, np.uint64),
                    "view",
                    "`X.view(np.uint8)`, if the bytes are in order",
                ),
                (
                    "a wrong width",
                    lambda: np.zeros((3, 3), np.uint8),
                    "shape",
                    "`n_features` that fits",
                ),
                (
                    "1-d codes",
                    lambda: np.zeros(2, np.uint8),
                    "shape",
                    "`X[None]`",
                ),
                (
                    "padding bits that are set",
                    lambda: np.full((3, 2), 255, np.uint8),
                    "padding bits.*3 rows",
                    "the right `n_features`, and the order of `numpy.packbits`",
                ),
            ]
        ),
    ]


def advisor_rows() -> list[Row]:
    """Rows of the advisor, its exports and the metrics."""

    def fit(**parameters: Any) -> Any:
        return advisor(**parameters).fit(good())

    def export(**changes: Any) -> Any:
        base = {
            "center": True,
            "rotate": False,
            "bits": 1,
            "query": "codes",
            "levels": None,
            "oversampling": None,
            "metric": "cosine",
            "n_features": 8,
            "n_neighbors": 3,
        }
        return exports.export({**base, **changes}, "faiss")

    def write_for(target: Any = "pgvector", **changes: Any) -> Any:
        codes = BinaryQuantizer("zero").fit_transform(good())
        given = {"codes": codes, "prepare": exports.Prepare().fit(good())}
        with TemporaryDirectory() as folder:
            return exports.write_for(target, folder, **{**given, **changes})

    name = "QuantizationAdvisor"
    count = "an int of at least 1"
    recall = metrics.neighbor_recall
    fidelity = metrics.ranking_fidelity
    line = np.arange(9.0)
    return [
        *_parameters(name, fit, "n_neighbors", count, type=NO_COUNT, value=[0, -1]),
        *_parameters(
            name,
            fit,
            "target_recall",
            "a number above 0, at most 1",
            type=["high", None, True],
            value=[0, 1.5, -1, NAN],
        ),
        *_parameters(
            name, fit, "max_bytes", "None or " + count, type=["1", 2.5], value=[0, -1]
        ),
        *_parameters(
            name,
            fit,
            "expected_rows",
            "None or " + count,
            type=["1", 2.5],
            value=[0, -1],
        ),
        *_parameters(
            name, fit, "metric", "one of the three", type=[None], value=["l2"]
        ),
        *_parameters(
            name, fit, "prefer", '"memory" or "speed"', type=[None], value=["money"]
        ),
        *_parameters(
            name,
            fit,
            "verbose",
            "a bool, or an int of at least 0",
            type=["1", 2.5],
            value=[-1],
        ),
        Row(
            name,
            "`max_bytes` less than any code takes",
            lambda: fit(max_bytes=1),
            ValueError,
            "max_bytes=1 is less than the smallest code",
            "`max_bytes` of half a bit for each coordinate, and 100 rows, or more",
        ),
        *_parameters(
            name,
            fit,
            "random_state",
            "None, an int or a RandomState",
            "seed",
            value=["seed"],
        ),
        Row(
            f"{name}.report",
            "an advisor that is not fitted",
            lambda: QuantizationAdvisor().report(),
            ValueError,
            "not fitted",
            "call `fit` before",
        ),
        *_parameters(
            f"{name}.report",
            lambda format: fitted(name).report(format=format),
            "format",
            '"text" or "html"',
            type=[None],
            value=["pdf"],
        ),
        *_parameters(
            f"{name}.export",
            lambda engine: fitted(name).export(engine),
            "engine",
            "one of `skbq.exports.ENGINES`",
            type=[None, 3],
            value=["nothing"],
        ),
        *(
            Row(f"{name}.export", given, call, ValueError, message, remedy)
            for given, call, message, remedy in [
                (
                    "an advisor that is not fitted",
                    lambda: QuantizationAdvisor().export("faiss"),
                    "not fitted",
                    "call `fit` before",
                ),
                (
                    "a metric that the engine lacks",
                    lambda: (
                        advisor(metric="inner_product").fit(good()).export("mongodb")
                    ),
                    "lacks the metric 'inner_product'",
                    "one of those that the message lists, or another engine",
                ),
                (
                    "more or fewer coordinates than the engine takes",
                    lambda: fitted(name).export("elasticsearch"),
                    "takes vectors of 65 to 4,096 coordinates",
                    "another engine, or vectors reduced with PCA before",
                ),
            ]
        ),
        *_parameters(
            "exports.write_for",
            lambda target: write_for(target=target),
            "target",
            "one of `skbq.exports.TARGETS`",
            type=[None, 3],
            value=["nothing"],
        ),
        *(
            Row("exports.write_for", given, call, error, message, remedy)
            for given, call, error, message, remedy in [
                (
                    "plain bytes",
                    lambda: write_for(codes=np.zeros((9, 1), np.uint8)),
                    TypeError,
                    "CodeArray",
                    "`as_codes`",
                ),
                (
                    "codes of two bits",
                    lambda: write_for(codes=TwoBitQuantizer().fit_transform(good())),
                    ValueError,
                    "one bit",
                    "codes of `BinaryQuantizer`",
                ),
                (
                    "vectors without oversampling",
                    lambda: write_for(vectors=good()),
                    ValueError,
                    "give both",
                    "both, or neither",
                ),
                (
                    "ids that come twice",
                    lambda: write_for(ids=np.zeros(len(good()), int)),
                    ValueError,
                    "different",
                    "names that differ, or none",
                ),
            ]
        ),
        *_parameters("exports.export", export, "bits", "1 or 2", value=[0, 3]),
        *_parameters(
            "exports.export", export, "metric", "one of the three", value=["l2"]
        ),
        *_parameters("exports.export", export, "n_features", count, value=[0, -1]),
        Row(
            "exports.export",
            "a strategy that the engine cannot run, nor one like it",
            lambda: export(bits=1.5),
            ValueError,
            "faiss can run none of these strategies",
            "bits that the message lists, or `advisor.export(engine)`",
        ),
        Row(
            "exports.export",
            "a code of principal axes",
            lambda: export(code="principal axes"),
            ValueError,
            "no other engine takes",
            "`advisor.export(engine)`",
        ),
        Row(
            "exports.export",
            "no mapping",
            lambda: exports.export([1], "faiss"),
            TypeError,
            "mapping",
            "`advisor.recommended_`",
        ),
        Row(
            "exports.export",
            "an empty mapping",
            lambda: exports.export({}, "faiss"),
            ValueError,
            "bits|lacks|missing",
            "`advisor.recommended_`",
        ),
        *(
            Row(
                "metrics.ranking_fidelity",
                given,
                call,
                (TypeError, ValueError),
                message,
                remedy,
            )
            for given, call, message, remedy in [
                (
                    "two lengths",
                    lambda: fidelity(line, line[:5]),
                    "same shape",
                    "equal lengths",
                ),
                (
                    "no values",
                    lambda: fidelity([], []),
                    "nothing to rank",
                    "two values or more",
                ),
                ("NaN", lambda: fidelity(line, line * NAN), "NaN|finite", "numbers"),
                ("a string", lambda: fidelity("ab", line), "text", "numbers"),
            ]
        ),
        *(
            Row("metrics.neighbor_recall", given, call, ValueError, message, remedy)
            for given, call, message, remedy in [
                ("1-d distances", lambda: recall(line, line), "shape", "shape (n, k)"),
                (
                    "two shapes",
                    lambda: recall(good(), good()[:3]),
                    "same shape",
                    "distances of the same queries",
                ),
                ("NaN", lambda: recall(good() * NAN, good()), "NaN|finite", "numbers"),
            ]
        ),
        *_parameters(
            "metrics.NeighborRecallScorer",
            lambda n_neighbors: metrics.NeighborRecallScorer(n_neighbors)(
                fitted("BinaryNeighbors"), good()
            ),
            "n_neighbors",
            count,
            either=["5", 2.5],
            value=[0, -1],
        ),
        *_parameters(
            "metrics.RankingFidelityScorer",
            lambda n_pairs: metrics.RankingFidelityScorer(n_pairs=n_pairs)(
                fitted("BinaryNeighbors"), good()
            ),
            "n_pairs",
            "an int of at least 4",
            either=["5", 2.5],
            value=[0, -1],
        ),
        Row(
            "metrics.RankingFidelityScorer",
            "an estimator that is no index",
            lambda: metrics.RankingFidelityScorer()(BinaryQuantizer(), good()),
            TypeError,
            "BinaryNeighbors",
            "a fitted `BinaryNeighbors`, or a Pipeline that ends in one",
        ),
        Row(
            "metrics.NeighborRecallScorer",
            "too few rows",
            lambda: metrics.NeighborRecallScorer()(
                fitted("BinaryNeighbors"), good()[:3]
            ),
            ValueError,
            "more rows",
            "more rows, or fewer neighbors",
        ),
    ]


def theory_rows() -> list[Row]:
    """Rows of the closed forms and of the generators of data."""
    mean, covariance, quantizer = np.zeros(4), np.eye(4), BinaryQuantizer()
    bad_matrix = [
        ("None", lambda: None, "None"),
        ("a vector", lambda: np.ones(4), "shape"),
        ("no square", lambda: np.ones((4, 3)), "shape"),
        ("not symmetric", lambda: np.triu(np.ones((4, 4))), "symmetric"),
        ("NaN", lambda: covariance * NAN, "finite"),
        ("a string", lambda: "eye", "text"),
        ("complex numbers", lambda: covariance * 1j, "complex"),
    ]
    matrices = {
        "theory.effective_dimension": theory.effective_dimension,
        "theory.scale_correlation": theory.scale_correlation,
        "theory.stein_signal": lambda C: theory.stein_signal(mean, C),
        "theory.predict_fidelity": lambda C: theory.predict_fidelity(
            quantizer, mean, C
        ),
        "theory.fit_projected_normal": lambda C: theory.fit_projected_normal(mean, C),
        "theory.denoised_covariance": lambda C: theory.denoised_covariance(C, 100),
    }
    rows = [
        Row(
            function,
            f"`covariance`: {given}",
            lambda call=call, make=make: call(make()),
            (ValueError, TypeError),
            message,
            "a symmetric matrix of shape (d, d)",
        )
        for function, call in matrices.items()
        for given, make, message in bad_matrix
    ]
    half = "a number above 0, at most 1"
    numbers = [
        *(
            ("rotated_fidelity", given, call, message, half)
            for given, call, message in [
                ("`eta=0`", lambda: theory.rotated_fidelity(0, 0.5), "eta"),
                ("`eta=2`", lambda: theory.rotated_fidelity(2, 0.5), "eta"),
                ("`eta=NaN`", lambda: theory.rotated_fidelity(NAN, 0.5), "eta"),
                ("a ratio of 0", lambda: theory.rotated_fidelity(0.5, 0), "dimension"),
            ]
        ),
        *(
            (
                "magnitude_bit_gain",
                f"`cv={_shown(cv)}`",
                lambda cv=cv: theory.magnitude_bit_gain(cv),
                "cv",
                "a number of at least 0",
            )
            for cv in (-1, NAN)
        ),
        *(
            (
                "bit_agreement",
                f"`cosine={_shown(cosine)}`",
                lambda cosine=cosine: theory.bit_agreement(cosine),
                "cosine",
                "numbers from -1 to 1",
            )
            for cosine in (1.5, NAN)
        ),
        (
            "corrected_error",
            "two lengths",
            lambda: theory.corrected_error([1.0], [0.5, 0.5], [1.0]),
            "variances",
            "all of shape (d,)",
        ),
        (
            "corrected_error",
            "no code",
            lambda: theory.corrected_error([1.0], [1.0], [1.0]),
            "distortions",
            "below 1 somewhere",
        ),
        (
            "corrected_error",
            "`strength=2`",
            lambda: theory.corrected_error([1.0], [0.5], [1.0], strength=2),
            "strength",
            "a float from 0 to 1",
        ),
        (
            "sign_entropy",
            "a negative scale",
            lambda: theory.sign_entropy([0.0], [-1.0]),
            "scale",
            "standard deviations",
        ),
        (
            "sign_entropy",
            "two lengths",
            lambda: theory.sign_entropy([0.0] * 2, [1.0] * 3),
            "shape",
            "one mean and one scale for each coordinate",
        ),
        (
            "one_sided_fidelity",
            "no coordinates",
            lambda: theory.one_sided_fidelity([]),
            "scale",
            "standard deviations",
        ),
        (
            "one_sided_fidelity",
            "NaN",
            lambda: theory.one_sided_fidelity([NAN]),
            "scale",
            "standard deviations",
        ),
        (
            "fit_scaling_law",
            "one data set",
            lambda: theory.fit_scaling_law([1], [1], [1], [0.5]),
            "n >= 3",
            "three data sets or more",
        ),
        (
            "predict_fidelity",
            '`metric="l2"`',
            lambda: theory.predict_fidelity(quantizer, mean, covariance, metric="l2"),
            "metric",
            "one of the three",
        ),
        (
            "predict_fidelity",
            "a mean of another length",
            lambda: theory.predict_fidelity(quantizer, mean[:3], covariance),
            "mean",
            "moments of the same coordinates",
        ),
        (
            "predict_recall",
            "two shapes",
            lambda: theory.predict_recall(good(), good()[:, :3]),
            "shape",
            "one score for each similarity",
        ),
        (
            "predict_recall",
            "NaN",
            lambda: theory.predict_recall(good() * NAN, good()),
            "NaN|finite",
            "finite numbers",
        ),
        (
            "predict_recall",
            "`n_neighbors=0`",
            lambda: theory.predict_recall(good(), good(), n_neighbors=0),
            "n_neighbors",
            "an int of at least 1",
        ),
        (
            "predict_recall",
            "`confidence=2`",
            lambda: theory.predict_recall(good(), good(), n_neighbors=3, confidence=2),
            "confidence",
            "a number between 0 and 1",
        ),
        (
            "oversampling_for",
            "`target_recall=1.5`",
            lambda: theory.oversampling_for(1.5, good(), good(), n_neighbors=3),
            "target_recall",
            "a number between 0 and 1",
        ),
        (
            "pairwise_fidelity",
            "two lengths",
            lambda: theory.pairwise_fidelity(good(), good()[:3]),
            "rows",
            "codes and vectors of the same rows",
        ),
    ]
    made = [
        (
            "make_sphere",
            "`n_samples=0`",
            lambda: datasets.make_sphere(0, 5),
            "n_samples",
            "an int of at least 1",
        ),
        (
            "make_sphere",
            "`n_samples=2.5`",
            lambda: datasets.make_sphere(2.5, 5),
            "n_samples",
            "an int of at least 1",
        ),
        (
            "make_low_rank_clusters",
            "`n_features=-1`",
            lambda: datasets.make_low_rank_clusters(10, -1),
            "n_features",
            "an int of at least 1",
        ),
        (
            "make_gaussian",
            "NaN in `spectrum`",
            lambda: datasets.make_gaussian(10, 3, spectrum=[1.0, NAN, 1.0]),
            "spectrum",
            "variances",
        ),
        (
            "make_gaussian",
            "a `mean` of another length",
            lambda: datasets.make_gaussian(10, 3, mean=[1.0, 2.0]),
            "mean",
            "one number for each coordinate",
        ),
        (
            "make_gaussian",
            "`heterogeneity=-1`",
            lambda: datasets.make_gaussian(10, 3, heterogeneity=-1),
            "heterogeneity",
            "a number of at least 0",
        ),
    ]
    both = (ValueError, TypeError)
    for room, listed in (("theory", numbers), ("datasets", made)):
        for name, given, call, message, remedy in listed:
            rows.append(Row(f"{room}.{name}", given, call, both, message, remedy))
    return rows


def sharded_rows() -> list[Row]:
    """Rows of indexes of many files, of the cluster, and of plans."""

    def files(*shards: np.ndarray) -> Any:
        """Open shards as files, which are gone before anyone reads them."""
        with TemporaryDirectory() as folder:
            for number, rows in enumerate(shards):
                np.save(f"{folder}/{number}.npy", rows)
            return open_vectors(f"{folder}/*.npy")

    def encode(folder: str, X: Any = None, **parameters: Any) -> ShardedNeighbors:
        index = ShardedNeighbors(folder=f"{folder}/index", shard_rows=9, **parameters)
        return index.fit(good() if X is None else X)

    def in_folder(call: Callable[[str], Any]) -> Callable[[], Any]:
        def run() -> Any:
            with TemporaryDirectory() as folder:
                return call(folder)

        return run

    def fit(**parameters: Any) -> Any:
        with TemporaryDirectory() as folder:
            given = {"folder": f"{folder}/index", **parameters}
            return ShardedNeighbors(**given).fit(good())

    def stopped(folder: str) -> None:
        """Stop a run after two shards."""
        calls = []

        def stop(source: str, target: str) -> None:
            calls.append(target)
            if len(calls) == 7:  # after what is learned and two shards, each listed
                raise KeyboardInterrupt
            replace(source, target)

        replace = os.replace
        with mock.patch.object(os, "replace", stop), suppress(KeyboardInterrupt):
            encode(folder)

    def resume(folder: str, **parameters: Any) -> Any:
        stopped(folder)
        return encode(folder, **parameters, resume=True)

    def change(folder: str, name: str = "shard-00001.skbq") -> None:
        """Change one byte of a file of an index."""
        encode(folder)
        path = Path(folder, "index", name)
        whole = bytearray(path.read_bytes())
        whole[-1] ^= 1
        path.write_bytes(whole)

    def load_changed(folder: str, name: str) -> Any:
        change(folder, name)
        return ShardedNeighbors.load(f"{folder}/index", verify=True)

    def load_stopped(folder: str) -> Any:
        stopped(folder)
        return ShardedNeighbors.load(f"{folder}/index")

    def full_disk(folder: str) -> Any:
        error = OSError(28, "No space left on device")
        with mock.patch.object(os, "replace", side_effect=error):
            return encode(folder)

    def without_dask(folder: str) -> Any:
        with mock.patch.dict(sys.modules, {"dask": None, "dask.array": None}):
            return distributed.BinaryNeighbors().fit(["a.npy"])

    def gone(folder: str) -> Any:
        np.save(f"{folder}/a.npy", good())
        client: Any = SimpleNamespace(status="closed", as_current=None)
        return distributed.BinaryNeighbors(client=client).fit(f"{folder}/a.npy")

    def of_files(folder: str | None, X: Any = None, **parameters: Any) -> Any:
        from dask.array import from_array

        X = from_array(good()) if X is None else X
        return distributed.BinaryNeighbors(folder=folder, **parameters).fit(X)

    def far(folder: str) -> Any:
        from skbq._neighbors import encoding

        X = good() * np.where(np.arange(40) == 30, 1e8, 1)[:, None]
        given = {"query": "vectors", "metric": "euclidean"}
        frozen = FrozenEstimator(TwoBitQuantizer().fit(good()))
        with mock.patch.object(encoding, "_BLOCK_BYTES", 1):
            return encode(folder, X, quantizer=frozen, **given)

    name, cluster = "ShardedNeighbors", "distributed.BinaryNeighbors"
    needs_dask = (
        []
        if find_spec("dask") is None
        else [
            (
                f"{cluster}.fit",
                "a cluster that is gone",
                gone,
                ConnectionError,
                "cluster that held this index is gone",
                "another cluster, and fit again",
            ),
            (
                f"{cluster}.fit",
                "an array of numpy",
                lambda folder: distributed.BinaryNeighbors().fit(good()),
                TypeError,
                "takes a dask.array or files",
                "`dask.array.from_array(X)`",
            ),
            (
                f"{cluster}.fit",
                "`column`, `ids` or `shard_rows`, and an array of dask",
                lambda folder: of_files(f"{folder}/index", column="emb"),
                ValueError,
                "is for files, but X is an array",
                "none of them",
            ),
            (
                f"{cluster}.fit",
                "`ids` without `folder`",
                lambda folder: of_files(None, f"{folder}/a.npy", ids="key"),
                ValueError,
                "but folder is None",
                "a folder, or no `ids`",
            ),
        ]
    )
    rows = [
        Row(function, given, in_folder(call), error, message, remedy)
        for function, given, call, error, message, remedy in [
            (
                "open_vectors",
                "a pattern that no file matches",
                lambda folder: open_vectors(f"{folder}/*.npy"),
                ValueError,
                "no file matches",
                "a pattern of files that are there",
            ),
            (
                "open_vectors",
                "files of different width",
                lambda folder: files(good(), good()[:, :5]),
                ValueError,
                "1.npy has 5 coordinates",
                "files of one width",
            ),
            (
                "open_vectors",
                "files of different dtype",
                lambda folder: files(good(), good().astype(np.float16)),
                ValueError,
                "1.npy holds float16",
                "files of one dtype",
            ),
            (
                f"{name}.fit",
                "`folder=None`",
                lambda folder: fit(folder=None),
                ValueError,
                "folder must be given",
                "`folder=...`",
            ),
            (
                f"{name}.fit",
                "a folder that is not empty",
                lambda folder: (encode(folder), encode(folder)),
                FileExistsError,
                "not empty.*resume=True",
                "a new folder, or `resume=True`",
            ),
            (
                f"{name}.fit",
                "`resume=True` and other rows",
                lambda folder: resume(folder, X=good() + 1),
                ValueError,
                "has changed since it was encoded",
                "a new folder",
            ),
            (
                f"{name}.fit",
                "`resume=True` and other parameters",
                lambda folder: resume(folder, query="vectors"),
                ValueError,
                "begun with other parameters",
                "those of the first run",
            ),
            (
                f"{name}.fit",
                "a row of NaN",
                lambda folder: encode(folder, changed(np.nan)),
                ValueError,
                "NaN.*row 3",
                "drop the rows named",
            ),
            (
                f"{name}.fit",
                "rows far beyond what corrections reach",
                far,
                ValueError,
                "row 30.*corrections='exact'",
                '`corrections="exact"`',
            ),
            (
                f"{name}.fit",
                "a disk that is full",
                full_disk,
                OSError,
                "cannot write.*No space.*Files before it are whole",
                "room, and `resume=True`",
            ),
            (
                f"{name}.load",
                "a folder without an index",
                lambda folder: ShardedNeighbors.load(folder),
                ValueError,
                "holds no manifest.json",
                "a folder that `fit` wrote",
            ),
            (
                f"{name}.load",
                "an index that was not finished",
                load_stopped,
                ValueError,
                "not finished: 2 shards",
                "`resume=True` first",
            ),
            (
                f"{name}.load",
                "a shard that was changed",
                lambda folder: load_changed(folder, "shard-00001.skbq"),
                ValueError,
                "shard-00001.skbq was altered",
                "a fresh copy of it",
            ),
            (
                f"{name}.load",
                "a manifest that was changed",
                lambda folder: load_changed(folder, "manifest.json"),
                ValueError,
                "manifest.json was cut short or altered",
                "a fresh copy of it",
            ),
            (
                f"{name}.kneighbors",
                "`X=None`",
                lambda folder: encode(folder).kneighbors(),
                ValueError,
                "X=None is for an index in one file",
                "the rows to ask for",
            ),
            (
                f"{cluster}.fit",
                "dask is not installed",
                without_dask,
                ImportError,
                "skbq.dask",
                "`pip install 'skbq[dask]'`",
            ),
            *needs_dask,
        ]
    ]

    def plan(**numbers: Any) -> Any:
        return plan_capacity(**{"n_rows": 10, "n_features": 8, **numbers})

    count, positive = "an int of at least 1", "a number above 0"
    return [
        *rows,
        *_parameters(
            name, fit, "shard_rows", f'"auto" or {count}', type=[1.5], value=[0, -1]
        ),
        *_parameters(
            name, fit, "vectors", '"copy" or "refer"', type=[None], value=["link"]
        ),
        *_parameters(
            name, fit, "algorithm", '"brute" or "ivf"', type=[None], value=["auto"]
        ),
        *(
            row
            for parameter in ("n_rows", "n_features", "n_neighbors", "n_cores")
            for row in _parameters(
                "plan_capacity",
                plan,
                parameter,
                count,
                type=[2.5, "many"],
                value=[0, -1],
            )
        ),
        *(
            row
            for parameter in ("memory_gb", "latency_ms", "scan_gb_per_second")
            for row in _parameters(
                "plan_capacity",
                plan,
                parameter,
                positive,
                type=["much"],
                value=[0, -1, NAN],
            )
        ),
        *_parameters(
            "plan_capacity",
            plan,
            "bits",
            '1 or 2; with `code="pca"` any number above 0',
            type=["one"],
            value=[3, 0.5, NAN],
        ),
        *_parameters(
            "plan_capacity",
            plan,
            "probed_share",
            "a number up to 1",
            type=["some"],
            value=[-1, 1.5, NAN],
        ),
    ]


def display_rows() -> list[Row]:
    """Rows of the pictures."""
    recall = "RecallDisplay.from_estimator"

    def draw(**options: Any) -> Any:
        return RecallDisplay.from_estimator(fitted("QuantizationAdvisor"), **options)

    known = "names of `advisor.bytes_curve_.columns()['strategy']`, as a list"
    return [
        Row(
            recall,
            '`strategies="1 bit"`',
            lambda: draw(strategies="1 bit"),
            TypeError,
            "sequence of str",
            known,
        ),
        Row(
            recall,
            "a strategy that was not compared",
            lambda: draw(strategies=["3 bits"]),
            ValueError,
            r"among those that were compared.*'3 bits'",
            known,
        ),
        Row(
            recall,
            "`strategies=[]`",
            lambda: draw(strategies=[]),
            ValueError,
            "one at least",
            known,
        ),
        Row(
            recall,
            "one of two axes",
            lambda: draw(ax=[None]),
            ValueError,
            "draws 2 panels",
            "two axes, one that is a subplot, or None",
        ),
        *(
            Row(
                f"{display.__name__}.from_estimator",
                given,
                lambda display=display, estimator=estimator: display.from_estimator(
                    estimator(), *([good()] if display is DriftDisplay else [])
                ),
                error,
                message,
                remedy,
            )
            for display, unfitted in (
                (RecallDisplay, QuantizationAdvisor),
                (DriftDisplay, QuantizationAdvisor),
                (FidelityDisplay, HeterogeneityProfiler),
                (HeterogeneityDisplay, HeterogeneityProfiler),
            )
            for remedy in (f"a fitted `{unfitted.__name__}`",)
            for given, estimator, error, message in (
                ("another estimator", BinaryQuantizer, TypeError, "draws a fitted"),
                ("one that is not fitted", unfitted, ValueError, "not fitted"),
            )
        ),
        Row(
            "FidelityDisplay.from_predictions",
            "a table without the columns",
            lambda: FidelityDisplay.from_predictions({"strategy": ["1 bit"]}),
            ValueError,
            "lacks",
            "`profiler.predict_fidelity()`",
        ),
        Row(
            "DriftDisplay.from_result",
            "something else",
            lambda: DriftDisplay.from_result(good()),
            TypeError,
            "draws a DriftResult",
            "`advisor.check_drift(X)`",
        ),
    ]


def late_rows() -> list[Row]:
    """Rows of what stands between rooms: lists, preparation, scores given cosines."""
    mean, covariance, quantizer = np.zeros(4), np.eye(4), BinaryQuantizer()
    moments = quantizer, mean, covariance
    layout = MixedDepths(4, [4, 1], {4: np.arange(16.0), 1: [-1, 1]})

    def listed() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # few rows
            lists = {"algorithm": "ivf", "n_lists": 3, "random_state": 0}
            return BinaryNeighbors(**lists).fit(good())

    def ids_of(rows: Any) -> Any:
        with TemporaryDirectory() as folder:
            return ShardedNeighbors(folder=f"{folder}/i").fit(good()).ids_of(rows)

    def prepare(X: Any) -> Any:
        return exports.Prepare(center=True).fit(good()).codes(X)

    numbers = "real numbers, all finite"
    cosines = "numbers from -1 to 1"
    steps = "`BinaryQuantizer`, `TwoBitQuantizer` or what has their `step_function`"
    shape = "uint8 numbers of levels, (n, n_values)"
    wide = np.ones((2, D + 1), np.float32)
    inside = "numbers of rows that are there"
    listed_rows: list[tuple[str, str, Callable[[], Any], Any, str, str]] = [
        (
            "QuantizationAdvisor.lists_.pays_from",
            "another kind of call",
            lambda: fitted("QuantizationAdvisor").lists_.pays_from("batches"),
            ValueError,
            "'kind'.*one of",
            '"single" or "batch"',
        ),
        (
            "QuantizationAdvisor.lists_.share_at",
            "no rows",
            lambda: fitted("QuantizationAdvisor").lists_.share_at(0),
            ValueError,
            r"'n_rows'.*in the range \[1",
            "a number of rows of at least 1",
        ),
        (
            "BinaryNeighbors.calibrate",
            "None",
            lambda: listed().calibrate(None),
            TypeError,
            "needs queries",
            "queries as they will come",
        ),
        (
            "BinaryNeighbors.calibrate",
            "another width",
            lambda: listed().calibrate(wide),
            ValueError,
            "features",
            "queries as wide as the rows",
        ),
        (
            "BinaryNeighbors.calibrate",
            "an index without lists",
            lambda: fitted("BinaryNeighbors").calibrate(good()),
            AttributeError,
            "algorithm='ivf'",
            "`algorithm='ivf'`, and fit",
        ),
        *(
            ("ShardedNeighbors.ids_of", f"`{rows}`", call, error, message, inside)
            for rows, call, error, message in [
                ("[40]", lambda: ids_of([40]), ValueError, "not there"),
                ("[-1]", lambda: ids_of([-1]), ValueError, "not there"),
                ("[2.5]", lambda: ids_of([2.5]), TypeError, "row numbers"),
            ]
        ),
        *(
            ("exports.Prepare.fit", given, call, error, message, numbers)
            for given, call, error, message in [
                ("None", lambda: exports.Prepare().fit(None), TypeError, "None"),
                ("1-d", lambda: exports.Prepare().fit(good()[0]), ValueError, "shape"),
                (
                    "NaN",
                    lambda: exports.Prepare().fit(changed(NAN)),
                    ValueError,
                    r"NaN.*\[3\]",
                ),
            ]
        ),
        *(
            ("exports.Prepare.codes", given, call, error, message, numbers)
            for given, call, error, message in [
                ("infinity", lambda: prepare(changed(INF)), ValueError, "infinity"),
                ("complex", lambda: prepare(good() * 1j), TypeError, "complex"),
                ("another width", lambda: prepare(wide), ValueError, "shape"),
            ]
        ),
        *(
            ("codes.MixedDepths.pack", given, call, ValueError, message, shape)
            for given, call, message in [
                ("floats", lambda: layout.pack(np.zeros((1, 2))), "uint8"),
                (
                    "a level too high",
                    lambda: layout.pack(np.uint8([[16, 1]])),
                    "levels",
                ),
            ]
        ),
        *(
            (f"theory.{name}", "no quantizer", call, TypeError, "quantizer", steps)
            for name, call in [
                ("isotropic_fidelity", lambda: theory.isotropic_fidelity(None)),
                (
                    "simulated_fidelity",
                    lambda: theory.simulated_fidelity(3, mean, covariance),
                ),
            ]
        ),
        *(
            (f"theory.{name}", given, call, ValueError, "cosine", cosines)
            for name, given, call in [
                ("model_scores", "2", lambda: theory.model_scores(*moments, [2.0])),
                ("model_scores", "NaN", lambda: theory.model_scores(*moments, [NAN])),
                (
                    "score_given_cosine",
                    "2",
                    lambda: theory.score_given_cosine(*moments, [2.0]),
                ),
                (
                    "score_given_cosine",
                    "NaN",
                    lambda: theory.score_given_cosine(*moments, [NAN]),
                ),
            ]
        ),
        (
            "theory.scaling_law",
            "`rho_0=NaN`",
            lambda: theory.scaling_law(1.0, 0.2, 0.1, rho_0=NAN, strength=0.1),
            ValueError,
            "rho_0",
            "a finite number",
        ),
        (
            "theory.spearman_from_pearson",
            "one similarity",
            lambda: theory.spearman_from_pearson(0.5, [1.0]),
            ValueError,
            "at least 10",
            "10 similarities or more",
        ),
    ]
    rows = [Row(*row) for row in listed_rows]
    return [
        *rows,
        *_parameters(
            "ShardedNeighbors",
            lambda resume: ShardedNeighbors(folder="no", resume=resume).fit(good()),
            "resume",
            "True or False",
            type=["yes", None],
        ),
        *_parameters(
            "open_vectors",
            lambda paths: open_vectors(paths),
            "paths",
            "a path, or a list of them",
            type=[3, None],
            value=[[]],
        ),
    ]


ROWS = [
    *index_rows(),
    *quantizer_rows(),
    *advisor_rows(),
    *display_rows(),
    *theory_rows(),
    *sharded_rows(),
    *late_rows(),
]


# Commands: each is run in a folder that holds these files.


def write_files(folder: Path) -> None:
    """Write good and bad files for the commands to read."""
    X = good()
    np.save(folder / "good.npy", X)
    BinaryNeighbors().fit(X).save(folder / "good.skbq")
    BinaryNeighborsTransformer().fit(X).save(folder / "graph.skbq")
    damaged = bytearray((folder / "good.skbq").read_bytes())
    damaged[-1] ^= 1
    (folder / "damaged.skbq").write_bytes(damaged)
    (folder / "short.skbq").write_bytes(damaged[:100])
    (folder / "empty.npy").write_bytes(b"")
    (folder / "folder").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "letter.txt").write_text("keep")
    (folder / "text.npy").write_text("1.0,2.0\n")
    (folder / "short.npy").write_bytes((folder / "good.npy").read_bytes()[:500])
    np.savez(folder / "several.npz", a=X, b=X)
    np.save(folder / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.save(folder / "vector.npy", X[0])
    np.save(folder / "none.npy", X[:0])
    np.save(folder / "nan.npy", changed(np.nan))
    np.save(folder / "inf.npy", changed(np.inf))
    np.save(folder / "zeros.npy", ZERO_ROW.make())
    np.save(folder / "complex.npy", X.astype(complex))
    np.save(folder / "bytes.npy", np.zeros((40, D), np.uint8))
    np.save(folder / "strings.npy", np.full((40, D), "a"))
    np.save(folder / "wide.npy", np.ones((5, D + 1), np.float32))


@dataclass(frozen=True)
class Command:
    """A command that cannot do what it is told."""

    argv: str
    message: str
    remedy: str


_FILES = [
    ("no-such.npy", "cannot read no-such.npy", "a file that is there"),
    ("folder", "folder without files", "a folder of files of these kinds"),
    ("empty.npy", "not a whole .npy file", "a file as `numpy.save` writes it"),
    ("text.npy", "not a whole .npy file", "a file as `numpy.save` writes it"),
    ("short.npy", "not a whole .npy file", "the whole file"),
    ("several.npz", "several arrays", "`--column NAME`"),
    ("objects.npy", "not a whole .npy file|object", "an array of numbers"),
    ("vector.npy", "shape", "`X[None]`"),
    ("none.npy", "shape|no rows", "at least one row"),
    ("nan.npy", "row 3 .*NaN", "`--skip-invalid`"),
    ("inf.npy", "row 3 .*infinity", "`--skip-invalid`"),
    ("complex.npy", "complex", "`X.real`"),
    ("bytes.npy", "uint8", "`X.astype(numpy.float32)`, if these are vectors"),
    ("strings.npy", "<U1", "an array of numbers"),
]
_READERS = ["advise {}", "profile {}", "encode {} -o out", "search good.skbq {}"]
COMMANDS = [
    *(
        Command(reader.format(file), message, remedy)
        for reader in [*_READERS, "demo --data {}"]
        for file, message, remedy in _FILES
    ),
    *(
        Command(reader.format("zeros.npy"), "row 3 is all zeros", "another `--metric`")
        for reader in _READERS
        if not reader.startswith("profile")
    ),
    Command("advise good.npy --neighbors 0", "neighbors", "an int of at least 1"),
    Command("advise good.npy --neighbors two", "invalid int", "an int of at least 1"),
    Command("advise good.npy --target-recall 2", "recall", "a number up to 1"),
    Command("advise good.npy --max-bytes 0", "bytes", "an int of at least 1"),
    Command("advise good.npy --expected-rows -1", "rows", "an int of at least 1"),
    Command("advise good.npy --metric l2", "invalid choice", "one of the three"),
    Command("advise good.npy --prefer money", "invalid choice", "memory or speed"),
    Command("advise good.npy --json --csv", "not allowed with", "one of the two"),
    Command("advise good.npy --export nothing", "invalid choice", "a product listed"),
    Command("advise good.npy --queries wide.npy", "features", "queries as wide"),
    Command("advise good.npy --html no/such/report.html", "cannot write", "a folder"),
    Command("encode good.npy -o out --bits 3", "invalid choice", "1 or 2"),
    Command("encode good.npy -o out --bits 1 --lloyd-max", "two bits", "`--bits 2`"),
    Command("encode good.npy -o out --n-bytes 0", "n-bytes", "5 or more"),
    Command("encode good.npy -o out --exponent 1", "n-bytes", "`--n-bytes B` too"),
    Command("encode good.npy -o out --oversampling 0.5", "oversampling", "1 or more"),
    Command("encode good.npy -o out --to nothing", "invalid choice", "one listed"),
    Command("encode good.npy -o out --to redis --bits 2", "one bit", "no `--bits`"),
    Command(
        "encode good.npy -o out --to redis --query vectors", "symmetric", "no `--query`"
    ),
    Command("encode good.npy -o good.npy --to redis", "is a file", "a new folder"),
    Command("encode good.npy -o no/such/out", "no folder|cannot write", "a folder"),
    Command("search no-such.skbq good.npy", "cannot read no-such", "an index"),
    Command("search good.npy good.npy", "no index of skbq", "an index"),
    Command("search short.skbq good.npy", "altered|cut short", "the whole index"),
    Command("search graph.skbq good.npy", "BinaryNeighborsTransformer", "an index"),
    Command("search good.skbq wide.npy", "features", "queries as wide"),
    Command("search good.skbq good.npy --neighbors 0", "neighbors", "1 or more"),
    Command("search good.skbq good.npy --neighbors 41", "neighbors", "up to the rows"),
    Command(
        "search good.skbq good.npy --out no/such/rows.npy", "cannot write", "a folder"
    ),
    Command("demo --show -1", "query", "from 0 to the last"),
    Command("demo --show 1000000", "query", "from 0 to the last"),
    Command("encode good.npy", "required: -o", "`-o OUT`"),
    Command("encode good.npy -o good.npy --force", "is read", "another name"),
    Command("encode good.npy -o good.skbq", "exists", "`--force`"),
    Command("encode good.npy wide.npy -o out", "coordinates", "files of one width"),
    Command("encode good.npy -o out --column e", "no columns", "no `--column`"),
    Command("encode good.npy -o out --like good.npy", "no index", "an index"),
    Command("search damaged.skbq good.npy", "checksum", "the whole index"),
    Command("search good.skbq good.npy --oversampling 2", "keeps none", "see left"),
    Command("search good.skbq good.npy --mask wide.npy", "must hold", "a mask"),
    Command("merge good.skbq good.npy -o out", "no index", "indexes"),
    Command("encode gone*.npy -o many/", "no file matches", "a pattern of your files"),
    Command("encode good.npy wide.npy -o many/", "coordinates", "files of one width"),
    Command("encode good.npy -o full/", "not empty", "a new folder, or `--resume`"),
    Command("encode good.npy -o out --resume", "is for a folder", "`-o OUT/`"),
    Command("encode good.npy -o out --append", "is for a folder", "`-o OUT/`"),
    Command("encode good.npy -o out --shard-rows 9", "is for a folder", "`-o OUT/`"),
    Command("encode good.npy -o none/ --append", "no manifest", "an index there"),
    Command("search folder good.npy", "no manifest", "a folder of an index"),
    Command("merge folder -o out", "no manifest", "a folder of an index"),
    Command("plan 1.5 768", "1.5", "a whole number of rows"),
    Command("plan 1e9 768 --bits 3", "--bits", "1 or 2, or `--code pca`"),
    Command("profile", "required", "a file"),
    Command("frobnicate", "invalid choice", "`skbq --help`"),
    *(
        Command(
            f"{command} good.npy{more} {option} e", f"no columns, so that {option}", why
        )
        for command, more in (
            ("advise", ""),
            ("profile", ""),
            ("encode", " -o out"),
            ("search good.skbq", ""),
        )
        for option, why in (("--column", "no `--column`"), ("--ids", "no `--ids`"))
        if (command, option) != ("encode", "--column")  # stands above
    ),
    Command("demo --query good", "invalid int", "a number of a query"),
    Command("advise good.npy -o report", "--export", "`--export ENGINE` too"),
    Command("profile good.npy --html no/such/report.html", "no folder", "a folder"),
    Command("encode good.npy -o out --max-depth 3", "invalid choice", "1, 2, 4 or 8"),
    Command("encode good.npy -o out --threshold max", "invalid choice", "mean or zero"),
    Command(
        "encode good.npy -o out --rotate qr", "unrecognized", "haar, dct, hadamard"
    ),
    Command("encode good.npy -o out --metric l2", "invalid choice", "one of the three"),
    Command(
        "encode good.npy -o out --algorithm hnsw", "invalid choice", "auto, brute, ivf"
    ),
    Command(
        "encode good.npy -o out --query floats", "invalid choice", "codes, vectors"
    ),
    Command(
        "encode good.npy -o many/ --vectors link", "invalid choice", "copy or refer"
    ),
    Command(
        "search good.skbq good.npy --algorithm hnsw", "invalid choice", "brute, ivf"
    ),
    Command("search good.skbq good.npy --algorithm ivf", "in lists", "see left"),
    Command("search good.skbq good.npy -o rows.txt", "must end in", "one of these"),
    Command("plan 0 768", "n_rows", "1 or more"),
    Command("plan 1e9 0", "n_features", "1 or more"),
    *(
        Command(f"plan 1e9 768 {option} nothing", "invalid choice", "one listed")
        for option in ("--code", "--query", "--metric")
    ),
    *(
        Command(f"plan 1e9 768 {option} {value}", name, "a number above 0")
        for option, value, name in (
            ("--neighbors", 0, "neighbors"),
            ("--oversampling", 0.5, "oversampling"),
            ("--vector-bytes", 0, "bytes"),
            ("--probed-share", 1.5, "probed_share"),
            ("--copies", 0, "copies"),
            ("--memory-gb", 0, "memory_gb"),
            ("--cores", 0, "cores"),
            ("--latency-ms", 0, "latency_ms"),
            ("--scan-gb-per-second", 0, "scan_gb"),
            ("--encode-rows-per-second", 0, "encode_rows"),
            ("--read-gb-per-second", 0, "read_gb"),
            ("--random-reads-per-second", 0, "random_reads"),
            ("--shard-rows", 0, "shard_rows"),
        )
    ),
    Command("completion tcsh", "invalid choice", "bash, zsh or fish"),
]


# The table of the docs.


def _kind(error: type[Exception] | tuple[type[Exception], ...]) -> str:
    kinds = error if isinstance(error, tuple) else (error,)
    return " or ".join(f"`{kind.__name__}`" for kind in kinds)


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    # A bar within code would end the cell.
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return [*lines, *("| " + " | ".join(row) + " |" for row in cells), ""]


def _kinds() -> list[str]:
    """The tables of kinds of arguments, and of what has arguments of each."""
    from public_arguments import DOORS, KINDS

    kinds = [[kind, ", ".join(refused)] for kind, refused in KINDS.items() if refused]
    of: dict[str, dict[str, list[str]]] = {}
    for name, door in DOORS.items():
        for argument, kind in door.kinds.items():
            if KINDS[kind]:
                of.setdefault(name, {}).setdefault(kind, []).append(f"`{argument}`")
    rows = [
        [f"`{name}`", "; ".join(f"{k}: {', '.join(v)}" for k, v in kinds.items())]
        for name, kinds in of.items()
    ]
    lines = ["<!-- kinds -->", "", *_table(["kind", "what it refuses"], kinds)]
    lines += ["<!-- end of kinds -->", "", "<!-- arguments -->", ""]
    lines += _table(["function or estimator", "arguments, by kind"], rows)
    return [*lines, "<!-- end of arguments -->", ""]


def docs() -> str:
    """The tables of the docs, in Markdown."""
    given = [
        *NO_VECTORS,
        NOTHING,
        WRONG_WIDTH,
        CODES,
    ]
    lines = ["<!-- vectors -->", ""]
    lines += _table(
        ["given as vectors", "error", "write instead"],
        [[bad.name, _kind(bad.error), bad.remedy] for bad in given],
    )
    lines += ["<!-- end of vectors -->", "", "<!-- doors -->", ""]
    lines += [", ".join(f"`{name}`" for name in [*FITS, *ASKS]) + ".", ""]
    lines += ["<!-- end of doors -->", "", "<!-- taken -->", ""]
    lines += [", ".join(GOOD_VECTORS) + ".", "", "<!-- end of taken -->", ""]
    lines += ["<!-- parameters -->", ""]
    seen: dict[tuple[str, str, str], list[str]] = {}
    for row in ROWS:
        key = row.function, _kind(row.error), row.remedy
        seen.setdefault(key, []).append(row.given)
    lines += _table(
        ["function", "given", "error", "write instead"],
        [
            [f"`{function}`", ", ".join(given), error, remedy]
            for (function, error, remedy), given in seen.items()
        ],
    )
    lines += ["<!-- end of parameters -->", "", *_kinds(), "<!-- commands -->", ""]
    lines += _table(
        ["command", "what the line says", "write instead"],
        [
            [f"`skbq {c.argv}`".replace(" `", "`"), f"`{c.message}`", c.remedy]
            for c in COMMANDS
        ],
    )
    lines += ["<!-- end of commands -->"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, metavar="FILE")
    path = parser.parse_args().write
    if path is None:
        print(docs())
    else:
        path.write_text(docs(), encoding="utf-8")


if __name__ == "__main__":
    main()
