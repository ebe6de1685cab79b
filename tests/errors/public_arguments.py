"""Which kind each argument of every public function is, and what no kind takes.

A :class:`Door` is a function or an estimator with arguments that it takes.
``test_public_arguments.py`` puts into each argument, in turn, what its kind refuses,
and looks that no public function, method or argument is missing here. So something new
cannot come without a kind; what is special to it stands in ``bad_inputs.py``.
"""

import datetime
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse
from bad_inputs import (
    CODES,
    NO_VECTORS,
    NOTHING,
    RAGGED,
    WRONG_WIDTH,
    D,
    advisor,
    copied,
    fitted,
    good,
)

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

NAN, INF = float("nan"), float("inf")
MASKED = np.ma.masked_array([1.0, 2.0, 3.0, 4.0], [False, True, False, False])

# What is neither a number, nor text, nor an array of numbers.
JUNK = {
    "bytes": b"\x01",
    "complex": 1j,
    "a date": datetime.date(2026, 1, 1),
    "a dict": {"a": 1},
    "an object": object(),
    "a class": int,
    "a sparse matrix": scipy.sparse.eye_array(4, format="csr"),
}
ARRAYS = {
    "a list": [3],
    "an array": np.ones((2, 3)),
    "ragged": RAGGED,
    "masked": MASKED,
}
COUNT = {
    **JUNK,
    **ARRAYS,
    "text": "5",
    "2.5": 2.5,
    "True": True,
    "NaN": NAN,
    "infinity": INF,
    "-1": -1,
}
REAL = {**JUNK, **ARRAYS, "text": "1", "True": True, "NaN": NAN}
OPTION = {**JUNK, **ARRAYS, "a number": 2, "another": "nothing", "empty": ""}
NUMBERS = {
    "None": None,
    **{name: value for name, value in JUNK.items() if name != "bytes"},
    "text": "a",
    "texts": ["1", "2", "3", "4"],
    "objects": [object()] * 4,
    "ragged": RAGGED,
    "masked": MASKED,
    "complex numbers": np.ones(4) * 1j,
    "dates": np.full(4, np.datetime64("2026-01-01")),
    "durations": np.full(4, np.timedelta64(1, "s")),
    "NaN": [NAN] * 4,
}
LEVELS = {
    **JUNK,
    "text": "max",
    "falling": (3, 1),
    "one": (1,),
    "three": (1, 2, 3),
    "NaN": (1, NAN),
    "infinity": (0, INF),
    "negative": (-1, 1),
    "ragged": RAGGED,
}
# What each kind of argument refuses; "or none": where None means something.
KINDS: dict[str, dict[str, Any]] = {
    "count": {"None": None, "0": 0, **COUNT},
    "count or none": {"0": 0, **COUNT},
    "count or auto": {"None": None, "0": 0, **COUNT},
    "real": {"None": None, **REAL},
    "real or none": REAL,
    "real or option": {"None": None, **REAL},
    "option": {"None": None, **OPTION},
    "option or none": OPTION,
    "flag": {"None": None, **JUNK, **ARRAYS, "text": "yes", "a number": 2.5},
    "seed": {
        **{name: value for name, value in JUNK.items() if name != "a class"},
        "text": "seed",
        "-1": -1,
        "2.5": 2.5,
        "NaN": NAN,
    },
    "threads": {
        **{name: value for name, value in COUNT.items() if name != "-1"},
        "0": 0,
    },
    "path": {
        "None": None,
        **{name: value for name, value in JUNK.items() if name != "bytes"},
        "a number": 2.5,
        "an array": np.ones(2),
    },
    "name or none": {**JUNK, **ARRAYS, "a number": 3},
    "quantizer": {
        "None": None,
        **JUNK,
        **ARRAYS,
        "text": "pq",
        "a number": 2,
        "a class of quantizers": TwoBitQuantizer,
    },
    "quantizer or none": {
        **JUNK,
        **ARRAYS,
        "text": "pq",
        "a number": 2,
        "a class of quantizers": TwoBitQuantizer,
    },
    "numbers": NUMBERS,
    "numbers or none": {k: v for k, v in NUMBERS.items() if k != "None"},
    "vectors": {bad.name: bad for bad in [*NO_VECTORS, NOTHING]},
    "queries": {bad.name: bad for bad in [*NO_VECTORS, NOTHING, WRONG_WIDTH, CODES]},
    "codes": {
        "None": None,
        **JUNK,
        "text": "codes",
        "a number": 3,
        "floats": good(),
        "ragged": RAGGED,
        "64-bit words": np.zeros((3, 1), np.uint64),
        "of another width": np.zeros((3, 9), np.uint8),
        "1-d": np.zeros(2, np.uint8),
        "masked": np.ma.masked_array(np.zeros((3, 2), np.uint8), True),
    },
    "rows": {
        "None": None,
        **JUNK,
        "text": "1",
        "2.5": [2.5],
        "bool": np.ones(4, bool),
        "ragged": RAGGED,
        "NaN": [NAN],
        "-1": [-1],
        "beyond": [2**40],
    },
    "mask": {
        **JUNK,
        "text": "all",
        "numbers": np.ones(40),
        "too short": np.ones(39, bool),
        "2-d": np.ones((40, 1), bool),
        "masked": np.ma.masked_array(np.ones(40, bool), np.arange(40) == 3),
    },
    "estimator": {"None": None, **JUNK, **ARRAYS, "text": "it", "a number": 2},
    "queries or none": {bad.name: bad for bad in [*NO_VECTORS, WRONG_WIDTH, CODES]},
    "path or none": {
        **{name: value for name, value in JUNK.items() if name != "bytes"},
        "a number": 2.5,
        "an array": np.ones(2),
    },
    "threshold": {
        "None": None,
        **JUNK,
        "text": "max",
        "too short": [0.0] * 5,
        "2-d": [[0.0] * D],
        "ragged": RAGGED,
        "NaN": NAN,
        "infinity": [INF] * D,
        "masked": np.ma.masked_array(np.zeros(D), np.arange(D) == 3),
    },
    "levels": {
        "None": None,
        **LEVELS,
    },
    "levels or none": LEVELS,
    "verbose": {"None": None, **COUNT},
    "client": {**JUNK, "text": "localhost", "a number": 2},
    "rows of a cluster": {"None": None, **JUNK, "an array": good(), "a number": 2},
    "names or none": {**JUNK, "text": "1 bit", "a number": 2, "none of them": []},
    "layout or none": {**JUNK, **ARRAYS, "text": "one bit", "a number": 2},
    "levels of depths": {"None": None, **JUNK, "a list": [1, 2], "empty": {}},
    "pair of arrays or none": {**JUNK, "text": "map", "a number": 2, "one": (good(),)},
    "dtype": {
        **{name: value for name, value in JUNK.items() if name != "a sparse matrix"},
        "text": "floats",
        "integers": np.int32,
    },
    "ids or none": {**JUNK, "text": "ids", "too few": [1, 2], "2-d": np.ones((40, 2))},
    "axes or none": {"text": "ax"},
    # y of scikit-learn, what is handed on to it, to numpy or to dask, old names.
    "anything": {},
}


# What a message names, where it is not the argument: as a regular expression.
KINDS_SAY = {
    "path": "PathLike|path|folder",
    "path or none": "PathLike|path|folder",
    "seed": "[Ss]eed",
    "codes": "[Cc]odes|bits|bytes|decode|convert",
    "estimator": "fitted|mapping|draws|recommendation|Prepare|table",
    "quantizer": "quantizer|step_function",
    "axes or none": "ax|panel|Axes",
    "levels": "levels",
}
VALUES_SAY = {"ragged": "inhomogeneous", "a class of quantizers": "instance"}


@dataclass(frozen=True)
class Door:
    """Something public that takes arguments.

    Parameters
    ----------
    call : callable
        Takes the arguments by name.
    kinds : mapping of str to str
        Kind of each argument.
    given : mapping
        Arguments that it takes, of which one at a time becomes bad.
    says : mapping of str to str
        What its message names instead of the argument, as a regular expression.
    takes : mapping of str to tuple of str
        What its kind refuses but it means something to.
    """

    call: Callable[..., Any]
    kinds: Mapping[str, str]
    given: Mapping[str, Any] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)
    takes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_folders = ExitStack()


@cache
def folder() -> str:
    """A folder that is there as long as the process."""
    return _folders.enter_context(tempfile.TemporaryDirectory())


@cache
def sharded(algorithm: Any = "brute") -> ShardedNeighbors:
    where, lists = f"{folder()}/{algorithm}", {"n_lists": 3, "n_probes": 2}
    made = ShardedNeighbors(
        folder=where, shard_rows=15, algorithm=algorithm, random_state=0, **lists
    )
    return made.fit(good())


@cache
def _rows_file() -> str:
    np.save(f"{folder()}/rows.npy", good())
    return f"{folder()}/rows.npy"


@cache
def saved() -> str:
    path = f"{folder()}/index.skbq"
    fitted("BinaryNeighbors").save(path)
    fitted("BinaryNeighborsTransformer").save(path + ".graph")
    return path


MEAN, COVARIANCE = np.zeros(4), np.diag([4.0, 3.0, 2.0, 1.0])
LAYOUT = MixedDepths(4, [4, 1], {4: np.arange(16.0), 1: [-1, 1]})
SEEN = {"mean": MEAN, "covariance": COVARIANCE}

INDEX = {
    "n_neighbors": "count",
    "radius": "real or none",
    "quantizer": "quantizer or none",
    "metric": "option",
    "query": "option",
    "code_metric": "option",
    "oversampling": "real or none",
    "corrections": "option",
    "n_jobs": "threads",
    "algorithm": "option",
    "n_lists": "count or auto",
    "n_probes": "real or option",
    "target_recall": "real",
    "random_state": "seed",
}


def index_doors(name: str, has: Callable[[], Any], make: Callable[..., Any]) -> dict:
    """The methods that all indexes have; ``has`` gives a fitted one to change."""

    def method(of: str) -> Callable[..., Any]:
        return lambda **arguments: getattr(has(), of)(**arguments)

    def fits(of: str) -> Callable[..., Any]:
        return lambda **arguments: getattr(make(), of)(**arguments)

    search = {"X": "queries or none", "mask": "mask"}
    nearest = {**search, "n_neighbors": "count or none"}
    within = {**search, "radius": "real or none", "sort_results": "flag"}
    takes = {"radius": ("infinity",)}
    asked, around = {"X": good(), "n_neighbors": 3}, {"X": good(), "radius": 1.0}
    answers = {"return_distance": "flag"}
    doors = {
        "fit": Door(fits("fit"), {"X": "vectors", "y": "anything"}),
        "partial_fit": Door(method("partial_fit"), {"X": "queries", "y": "anything"}),
        "calibrate": Door(method("calibrate"), {"X": "queries"}),
        "kneighbors": Door(
            method("kneighbors"), {**nearest, **answers, "return_bound": "flag"}, asked
        ),
        "kneighbors_graph": Door(
            method("kneighbors_graph"), {**nearest, "mode": "option"}, asked
        ),
        "radius_neighbors": Door(
            method("radius_neighbors"), {**within, **answers}, around, takes=takes
        ),
        "radius_neighbors_graph": Door(
            method("radius_neighbors_graph"),
            {**within, "mode": "option"},
            around,
            takes=takes,
        ),
        "remove": Door(method("remove"), {"rows": "rows"}),
        "save": Door(
            method("save"),
            {"path": "path", "vectors": "option"},
            {"path": f"{folder()}/saved"},
        ),
    }
    return {f"{name}.{of}": door for of, door in doors.items()}


def fitted_doors(
    name: str, methods: str, kind: str, make: Callable[[], Any] | None = None
) -> dict:
    """Methods of a fitted estimator whose one argument is X."""

    def method(of: str) -> Callable[..., Any]:
        def call(X: Any) -> Any:
            estimator = copied(name) if make is None else make()
            return getattr(estimator, of)(X)

        return call

    return {
        f"{name}.{of}": Door(
            method(of),
            {"X": kind, "y": "anything"} if "fit" in of else {"X": kind},
        )
        for of in methods.split()
    }


@cache
def listed(kind: Any = BinaryNeighbors) -> Any:
    lists = {"algorithm": "ivf", "n_lists": 3, "n_probes": 2, "random_state": 0}
    return kind(**lists).fit(np.repeat(good(), 9, axis=0))


def packed() -> np.ndarray:
    return np.zeros((3, 2), np.uint8)


def _sharded(**parameters: Any) -> Any:
    with tempfile.TemporaryDirectory() as where:
        return ShardedNeighbors(**{"folder": f"{where}/i", **parameters}).fit(good())


def _clustered(**parameters: Any) -> Any:
    client: Any = SimpleNamespace(status="closed", as_current=None)
    given = {"client": client, "folder": f"{folder()}/cluster", **parameters}
    np.save(f"{folder()}/rows.npy", good())
    return distributed.BinaryNeighbors(**given).fit(f"{folder()}/rows.npy")


def _export() -> Any:
    return fitted("QuantizationAdvisor").export("pgvector")


@cache
def _predictions() -> Any:
    return fitted("HeterogeneityProfiler").predict_fidelity()


@cache
def _display(kind: Any, fitted_name: str) -> Any:
    more = [good()] if kind is DriftDisplay else []
    return kind.from_estimator(fitted(fitted_name), *more)


def _prepared() -> Any:
    return exports.Prepare(center=True).fit(good())


def _write_for(**given: Any) -> Any:
    base = {
        "target": "pgvector",
        "folder": f"{folder()}/written",
        "codes": BinaryQuantizer("zero").fit_transform(good()),
        "prepare": exports.Prepare().fit(good()),
    }
    if "vectors" in given:
        base["oversampling"] = 2
    elif "oversampling" in given:
        base["vectors"] = good()
    return exports.write_for(**{**base, **given})


def _row_model(**given: Any) -> Any:
    base = {**SEEN, "n_samples": 100, "sample": good()[:, :4], "metric": "cosine"}
    return theory.RowModel.fit(**{**base, **given})


SCORES = np.linspace(0, 1, 4 * 60).reshape(4, 60)
SCORER = {"estimator": "estimator", "X": "vectors", "y": "anything"}
SCORER_SAYS = {"X": "array-like|test rows|NaN|infinity"}
MODEL = {"quantizer": "quantizer", "mean": "numbers", "covariance": "numbers"}
MODEL_GIVEN = {"quantizer": BinaryQuantizer(), **SEEN}
MODEL_SAYS = {"mean": "mean|covariance"}
# One vector is prepared as well, and no rows are none.
ONE = {"X": ("one vector, 1-d", "no rows")}

DOORS: dict[str, Door] = {
    # Estimators: their parameters, which fit looks at.
    "BinaryNeighbors": Door(lambda **p: BinaryNeighbors(**p).fit(good()), INDEX),
    "BinaryNeighborsTransformer": Door(
        lambda **p: BinaryNeighborsTransformer(**p).fit(good()),
        {**INDEX, "mode": "option", "symmetric": "flag"},
    ),
    "ShardedNeighbors": Door(
        _sharded,
        {
            **INDEX,
            "folder": "path",
            "shard_rows": "count or auto",
            "vectors": "option",
            "resume": "flag",
        },
    ),
    "distributed.BinaryNeighbors": Door(
        _clustered,
        {
            **INDEX,
            "folder": "path or none",
            "column": "name or none",
            "ids": "name or none",
            "shard_rows": "count or auto",
            "client": "client",
        },
        # Whether a quantizer can be copied is seen where it learns, on the cluster.
        takes={"quantizer": ("a class of quantizers",)},
    ),
    "BinaryQuantizer": Door(
        lambda **p: BinaryQuantizer(**p).fit(good()), {"threshold": "threshold"}
    ),
    "TwoBitQuantizer": Door(
        lambda **p: TwoBitQuantizer(**p).fit(good()),
        {"threshold": "threshold", "magnitude": "option", "levels": "levels"},
    ),
    "PCAQuantizer": Door(
        lambda **p: PCAQuantizer(**p).fit(good()),
        {
            "bits": "real",
            "n_bytes": "count or none",
            "exponent": "real or option",
            "max_depth": "count",
            "rotation": "option or none",
            "random_state": "seed",
            "correction_bytes": "real or option",
        },
    ),
    "RandomRotation": Door(
        lambda **p: RandomRotation(**p).fit(good()),
        {"method": "option", "random_state": "seed"},
    ),
    "CodeUnpacker": Door(CodeUnpacker, {}),
    "HeterogeneityProfiler": Door(
        lambda **p: HeterogeneityProfiler(**p).fit(good()), {"random_state": "seed"}
    ),
    "QuantizationAdvisor": Door(
        lambda **p: advisor(**p).fit(good()),
        {
            "metric": "option",
            "n_neighbors": "count",
            "target_recall": "real",
            "max_bytes": "count or none",
            "expected_rows": "count or none",
            "random_state": "seed",
            "prefer": "option",
            "verbose": "verbose",
        },
        takes={"verbose": ("True",)},
    ),
    # What fitted estimators do.
    **index_doors(
        "BinaryNeighbors", lambda: copied("BinaryNeighbors"), BinaryNeighbors
    ),
    "BinaryNeighbors.calibrate": Door(
        lambda X: listed().calibrate(X), {"X": "queries"}
    ),
    **index_doors(
        "BinaryNeighborsTransformer",
        lambda: copied("BinaryNeighborsTransformer"),
        BinaryNeighborsTransformer,
    ),
    **index_doors(
        "ShardedNeighbors",
        sharded,
        lambda: ShardedNeighbors(folder=tempfile.mkdtemp(dir=folder())),
    ),
    **index_doors(
        "distributed.BinaryNeighbors",
        sharded,
        lambda: ShardedNeighbors(folder=tempfile.mkdtemp(dir=folder())),
    ),
    **{
        f"{name}.calibrate": Door(
            lambda X, make=make: make().calibrate(X), {"X": "queries"}
        )
        for name, make in (
            ("BinaryNeighborsTransformer", lambda: listed(BinaryNeighborsTransformer)),
            ("ShardedNeighbors", lambda: sharded("ivf")),
            ("distributed.BinaryNeighbors", lambda: sharded("ivf")),
        )
    },
    "distributed.BinaryNeighbors.fit": Door(
        lambda X: distributed.BinaryNeighbors().fit(X),
        {"X": "rows of a cluster", "y": "anything"},
    ),
    **{
        f"{name}.load": Door(
            lambda kind=kind, graph=graph, **p: kind.load(
                **{"path": saved() + graph, **p}
            ),
            {"path": "path", "mmap_mode": "option or none", "verify": "flag"},
        )
        for name, kind, graph in (
            ("BinaryNeighbors", BinaryNeighbors, ""),
            ("BinaryNeighborsTransformer", BinaryNeighborsTransformer, ".graph"),
        )
    },
    "ShardedNeighbors.load": Door(
        lambda **p: ShardedNeighbors.load(**{"path": sharded().folder, **p}),
        {"path": "path", "verify": "flag"},
    ),
    "distributed.BinaryNeighbors.load": Door(
        lambda **p: distributed.BinaryNeighbors.load(**{"path": sharded().folder, **p}),
        {"path": "path", "verify": "flag", "client": "anything"},
    ),
    "ShardedNeighbors.ids_of": Door(
        lambda **p: sharded().ids_of(**p), {"rows": "rows"}
    ),
    **fitted_doors("BinaryNeighborsTransformer", "transform", "queries or none"),
    **fitted_doors("BinaryQuantizer", "fit fit_transform", "vectors", BinaryQuantizer),
    **fitted_doors("BinaryQuantizer", "partial_fit transform", "queries"),
    **fitted_doors("BinaryQuantizer", "inverse_transform", "codes"),
    **fitted_doors("TwoBitQuantizer", "fit fit_transform", "vectors", TwoBitQuantizer),
    **fitted_doors(
        "TwoBitQuantizer",
        "partial_fit",
        "queries",
        lambda: TwoBitQuantizer("zero", magnitude="coordinate").partial_fit(good()),
    ),
    **fitted_doors("TwoBitQuantizer", "transform", "queries"),
    **fitted_doors("TwoBitQuantizer", "inverse_transform", "codes"),
    **fitted_doors("PCAQuantizer", "fit", "vectors", PCAQuantizer),
    **fitted_doors("PCAQuantizer", "transform", "queries"),
    **fitted_doors("PCAQuantizer", "inverse_transform", "codes"),
    **fitted_doors("RandomRotation", "fit", "vectors", RandomRotation),
    **fitted_doors("RandomRotation", "transform inverse_transform", "queries"),
    **fitted_doors("CodeUnpacker", "fit", "vectors", CodeUnpacker),
    **fitted_doors(
        "CodeUnpacker", "transform", "queries", lambda: CodeUnpacker().fit(good())
    ),
    **fitted_doors("HeterogeneityProfiler", "fit", "vectors", HeterogeneityProfiler),
    **fitted_doors("HeterogeneityProfiler", "partial_fit transform", "queries"),
    **{
        f"{name}.step_function": Door(
            lambda name=name, **p: fitted(name).step_function(
                **{"mean": np.zeros(D), "scale": np.ones(D), **p}
            ),
            {"mean": "numbers", "scale": "numbers"},
        )
        for name in ("BinaryQuantizer", "TwoBitQuantizer")
    },
    **{
        f"{name}.set_output": Door(
            lambda name=name, **p: fitted(name).set_output(**p),
            {"transform": "anything"},
        )
        for name in ("BinaryQuantizer", "TwoBitQuantizer", "PCAQuantizer")
    },
    **{
        f"{name}.report": Door(
            lambda name=name, **p: fitted(name).report(**p), {"format": "option"}
        )
        for name in ("HeterogeneityProfiler", "QuantizationAdvisor")
    },
    "HeterogeneityProfiler.predict_fidelity": Door(
        lambda **p: fitted("HeterogeneityProfiler").predict_fidelity(**p),
        {"metric": "option"},
    ),
    "QuantizationAdvisor.fit": Door(
        lambda **p: advisor().fit(**{"X": good(), **p}),
        {"X": "vectors", "queries": "queries or none", "y": "anything"},
    ),
    "QuantizationAdvisor.check_drift": Door(
        lambda **p: fitted("QuantizationAdvisor").check_drift(**{"X": good(), **p}),
        {"X": "queries", "alpha": "real"},
    ),
    "QuantizationAdvisor.export": Door(
        lambda **p: fitted("QuantizationAdvisor").export(**p), {"engine": "option"}
    ),
    # Pictures.
    "RecallDisplay.from_estimator": Door(
        lambda **p: RecallDisplay.from_estimator(
            **{"advisor": fitted("QuantizationAdvisor"), **p}
        ),
        {"advisor": "estimator", "strategies": "names or none", "ax": "axes or none"},
    ),
    "DriftDisplay.from_estimator": Door(
        lambda **p: DriftDisplay.from_estimator(
            **{"advisor": fitted("QuantizationAdvisor"), "X": good(), **p}
        ),
        {"advisor": "estimator", "X": "queries", "alpha": "real", "ax": "axes or none"},
    ),
    "DriftDisplay.from_result": Door(
        lambda **p: DriftDisplay.from_result(
            **{"result": fitted("QuantizationAdvisor").check_drift(good()), **p}
        ),
        {"result": "estimator", "ax": "axes or none"},
    ),
    "FidelityDisplay.from_estimator": Door(
        lambda **p: FidelityDisplay.from_estimator(
            **{"profiler": fitted("HeterogeneityProfiler"), **p}
        ),
        {"profiler": "estimator", "metric": "option", "ax": "axes or none"},
    ),
    "FidelityDisplay.from_predictions": Door(
        lambda **p: FidelityDisplay.from_predictions(**{"table": _predictions(), **p}),
        {"table": "estimator", "ax": "axes or none"},
    ),
    "HeterogeneityDisplay.from_estimator": Door(
        lambda **p: HeterogeneityDisplay.from_estimator(
            **{"profiler": fitted("HeterogeneityProfiler"), **p}
        ),
        {"profiler": "estimator", "ax": "axes or none"},
    ),
    **{
        f"{kind.__name__}.plot": Door(
            lambda kind=kind, name=name, **p: _display(kind, name).plot(**p),
            {"ax": "axes or none"},
        )
        for kind, name in (
            (RecallDisplay, "QuantizationAdvisor"),
            (DriftDisplay, "QuantizationAdvisor"),
            (FidelityDisplay, "HeterogeneityProfiler"),
            (HeterogeneityDisplay, "HeterogeneityProfiler"),
        )
    },
    # Codes and files.
    "as_codes": Door(
        lambda **p: as_codes(**{"array": packed(), "n_features": D, **p}),
        {
            "array": "codes",
            "n_features": "count",
            "levels": "levels or none",
            "layout": "layout or none",
        },
    ),
    "codes.MixedDepths": Door(
        lambda **p: MixedDepths(
            **{"n_features": 4, "depths": [1, 1], "levels": {1: [-1, 1]}, **p}
        ),
        {
            "n_features": "count",
            "depths": "numbers",
            "levels": "levels of depths",
            "scales": "numbers or none",
            "deep_below": "flag",
        },
    ),
    "codes.MixedDepths.pack": Door(LAYOUT.pack, {"numbers": "codes"}),
    "open_vectors": Door(
        lambda **p: open_vectors(**{"paths": _rows_file(), **p}),
        {
            "paths": "path",
            "column": "name or none",
            "ids": "name or none",
            "skip_invalid": "flag",
            "metric": "option",
        },
    ),
    "plan_capacity": Door(
        lambda **p: plan_capacity(**{"n_rows": 10, "n_features": 8, **p}),
        {
            "n_rows": "count",
            "n_features": "count",
            "bits": "real",
            "code": "option",
            "query": "option",
            "metric": "option",
            "n_neighbors": "count",
            "oversampling": "real or none",
            "vector_bytes": "count or none",
            "probed_share": "real or none",
            "n_copies": "count",
            "memory_gb": "real",
            "n_cores": "count",
            "latency_ms": "real or none",
            "scan_gb_per_second": "real",
            "encode_rows_per_second": "real",
            "read_gb_per_second": "real",
            "random_reads_per_second": "real",
            "shard_rows": "count",
        },
    ),
    # Metrics.
    "metrics.neighbor_recall": Door(
        lambda **p: metrics.neighbor_recall(
            **{"true_distances": SCORES, "found_distances": SCORES, **p}
        ),
        {
            "true_distances": "numbers",
            "found_distances": "numbers",
            "rtol": "real",
            "atol": "real",
        },
    ),
    "metrics.ranking_fidelity": Door(
        lambda **p: metrics.ranking_fidelity(
            **{"true_similarity": np.arange(4.0), "score": np.arange(4.0), **p}
        ),
        {"true_similarity": "numbers", "score": "numbers"},
    ),
    "metrics.NeighborRecallScorer": Door(
        lambda **p: metrics.NeighborRecallScorer(**p)(
            fitted("BinaryNeighbors"), good()
        ),
        {"n_neighbors": "count"},
    ),
    "metrics.RankingFidelityScorer": Door(
        lambda **p: metrics.RankingFidelityScorer(**p)(
            fitted("BinaryNeighbors"), good()
        ),
        {"n_pairs": "count", "random_state": "seed"},
    ),
    **{
        f"metrics.{name}": Door(
            lambda of=of, **p: of(
                **{"estimator": fitted("BinaryNeighbors"), "X": good(), **p}
            ),
            SCORER,
            says=SCORER_SAYS,
        )
        for name, of in {
            "NeighborRecallScorer.__call__": metrics.NeighborRecallScorer(3),
            "RankingFidelityScorer.__call__": metrics.RankingFidelityScorer(
                n_pairs=780
            ),
            "RankingFidelityScorer.scores": metrics.RankingFidelityScorer(
                n_pairs=780
            ).scores,
            "RankingFidelityScorer.report": metrics.RankingFidelityScorer(
                n_pairs=780
            ).report,
        }.items()
    },
    # Theory.
    "theory.bit_agreement": Door(theory.bit_agreement, {"cosine": "numbers"}),
    "theory.corrected_error": Door(
        theory.corrected_error,
        {
            "variances": "numbers",
            "distortions": "numbers",
            "spectrum": "numbers",
            "strength": "real",
        },
        {
            "variances": np.ones(4),
            "distortions": np.full(4, 0.5),
            "spectrum": np.ones(4),
        },
    ),
    "theory.denoised_covariance": Door(
        theory.denoised_covariance,
        {"covariance": "numbers", "n_samples": "count"},
        {"covariance": COVARIANCE, "n_samples": 100},
    ),
    "theory.effective_dimension": Door(
        theory.effective_dimension, {"covariance": "numbers"}
    ),
    "theory.scale_correlation": Door(
        theory.scale_correlation, {"covariance": "numbers"}
    ),
    "theory.fit_projected_normal": Door(
        theory.fit_projected_normal, {"mean": "numbers", "covariance": "numbers"}, SEEN
    ),
    "theory.stein_signal": Door(
        theory.stein_signal, {"mean": "numbers", "covariance": "numbers"}, SEEN
    ),
    "theory.fit_scaling_law": Door(
        theory.fit_scaling_law,
        dict.fromkeys(
            ("off_diagonal_ratio", "snr_mean", "snr_std", "fidelity"), "numbers"
        ),
        {
            "off_diagonal_ratio": [0.1, 0.2, 0.3, 0.4],
            "snr_mean": [0.1, 0.3, 0.2, 0.4],
            "snr_std": [0.1, 0.1, 0.2, 0.2],
            "fidelity": [0.9, 0.8, 0.7, 0.6],
        },
    ),
    "theory.scaling_law": Door(
        theory.scaling_law,
        {
            **dict.fromkeys(("off_diagonal_ratio", "snr_mean", "snr_std"), "numbers"),
            "rho_0": "real",
            "strength": "real",
        },
        {
            "off_diagonal_ratio": 0.1,
            "snr_mean": 0.2,
            "snr_std": 0.1,
            "rho_0": 0.5,
            "strength": 0.1,
        },
    ),
    "theory.isotropic_fidelity": Door(
        theory.isotropic_fidelity, {"quantizer": "quantizer"}
    ),
    "theory.magnitude_bit_gain": Door(theory.magnitude_bit_gain, {"cv": "real"}),
    "theory.model_scores": Door(
        theory.model_scores,
        {
            **MODEL,
            "cosines": "numbers",
            "query": "option",
            "similarities": "numbers or none",
            "scales": "numbers",
            "random_state": "seed",
        },
        {**MODEL_GIVEN, "cosines": [0.1, 0.2, 0.3, 0.4], "query": "corrected"},
        {"cosines": "cosine"},
    ),
    "theory.score_given_cosine": Door(
        theory.score_given_cosine,
        {**MODEL, "cosine": "numbers", "query": "option"},
        {**MODEL_GIVEN, "cosine": [0.1, 0.2, 0.3, 0.4]},
    ),
    "theory.one_sided_fidelity": Door(theory.one_sided_fidelity, {"scale": "numbers"}),
    "theory.sign_entropy": Door(
        theory.sign_entropy,
        {"mean": "numbers", "scale": "numbers"},
        {"mean": np.zeros(4), "scale": np.ones(4)},
    ),
    "theory.oversampling_for": Door(
        theory.oversampling_for,
        {
            "target_recall": "real",
            "similarities": "numbers",
            "scores": "numbers",
            "n_neighbors": "count",
            "expected_rows": "count or none",
            "confidence": "real",
            "max_oversampling": "real",
        },
        {
            "target_recall": 0.9,
            "similarities": SCORES,
            "scores": SCORES,
            "n_neighbors": 3,
        },
    ),
    "theory.predict_recall": Door(
        theory.predict_recall,
        {
            "similarities": "numbers",
            "scores": "numbers",
            "n_neighbors": "count",
            "oversampling": "numbers",
            "expected_rows": "count or none",
            "confidence": "real",
        },
        {"similarities": SCORES, "scores": SCORES, "n_neighbors": 3},
    ),
    "theory.pairwise_fidelity": Door(
        theory.pairwise_fidelity,
        {
            "codes": "numbers",
            "vectors": "numbers",
            "query": "option",
            "centered": "flag",
            "centred": "anything",
        },
        {"codes": good(), "vectors": good()},
    ),
    "theory.predict_fidelity": Door(
        theory.predict_fidelity,
        {
            **MODEL,
            "query": "option",
            "code_metric": "option",
            "metric": "option",
            "rotation": "numbers or none",
            "centered": "flag",
            "sample": "numbers or none",
            "centred": "anything",
        },
        MODEL_GIVEN,
    ),
    "theory.simulated_fidelity": Door(
        theory.simulated_fidelity,
        {
            **MODEL,
            "query": "option",
            "code_metric": "option",
            "metric": "option",
            "rotation": "numbers or none",
            "sample": "numbers or none",
        },
        MODEL_GIVEN,
    ),
    "theory.rotated_fidelity": Door(
        theory.rotated_fidelity,
        {"eta": "numbers", "dimension_ratio": "numbers", "query": "option"},
        {"eta": 0.5, "dimension_ratio": 0.5},
    ),
    "theory.spearman_from_pearson": Door(
        theory.spearman_from_pearson,
        {"pearson": "numbers", "similarities": "numbers or none"},
        {"pearson": 0.5},
    ),
    "theory.RowModel.fit": Door(
        _row_model,
        {
            "mean": "numbers",
            "covariance": "numbers",
            "n_samples": "count",
            "sample": "numbers",
            "metric": "option",
        },
    ),
    "theory.RowModel.predict": Door(
        lambda **p: _row_model().predict(**{"quantizer": BinaryQuantizer(), **p}),
        {"quantizer": "quantizer", "query": "option", "code_metric": "option"},
    ),
    "theory.RowModel.rotated": Door(
        lambda **p: _row_model().rotated(**p), {"rotation": "numbers"}
    ),
    # Data.
    "datasets.load_wordnet_minilm": Door(datasets.load_wordnet_minilm, {}),
    "datasets.make_gaussian": Door(
        lambda **p: datasets.make_gaussian(**{"n_samples": 5, "n_features": 4, **p}),
        {
            "n_samples": "count",
            "n_features": "count",
            "spectrum": "numbers",
            "heterogeneity": "real or none",
            "mean": "numbers",
            "correlated": "flag",
            "return_model": "flag",
            "dtype": "dtype",
            "random_state": "seed",
        },
    ),
    "datasets.make_low_rank_clusters": Door(
        lambda **p: datasets.make_low_rank_clusters(
            **{"n_samples": 5, "n_features": 4, "rank": 2, "n_clusters": 2, **p}
        ),
        {
            "n_samples": "count",
            "n_features": "count",
            "rank": "count",
            "n_clusters": "count",
            "exponent": "real",
            "spread": "real",
            "noise": "real",
            "dtype": "dtype",
            "random_state": "seed",
        },
    ),
    "datasets.make_sphere": Door(
        lambda **p: datasets.make_sphere(**{"n_samples": 5, "n_features": 4, **p}),
        {
            "n_samples": "count",
            "n_features": "count",
            "dtype": "dtype",
            "random_state": "seed",
        },
    ),
    # Exports.
    "exports.Export.save": Door(
        lambda **p: _export().save(**{"folder": f"{folder()}/export", **p}),
        {"folder": "path", "vectors": "queries or none"},
        says={"vectors": "shape|dim"},
        # It reads the first row and the last.
        takes={"vectors": ("NaN", "infinity", "masked values")},
    ),
    "exports.Prepare": Door(
        lambda **p: exports.Prepare(**p).fit(good()),
        {
            "unit": "flag",
            "rotate": "flag",
            "center": "flag",
            "linear_map": "pair of arrays or none",
        },
    ),
    "exports.Prepare.fit": Door(
        lambda **p: exports.Prepare().fit(**p), {"X": "vectors"}, says={"X": "shape"}
    ),
    "exports.Prepare.fit_mean": Door(
        lambda **p: exports.Prepare().fit_mean(**p), {"mean": "numbers"}
    ),
    "exports.Prepare.from_quantizer": Door(
        lambda **p: exports.Prepare.from_quantizer(
            **{"quantizer": fitted("BinaryQuantizer"), **p}
        ),
        {"quantizer": "quantizer", "metric": "option"},
    ),
    "exports.Prepare.codes": Door(
        lambda **p: _prepared().codes(**p),
        {"X": "queries"},
        says={"X": "shape"},
        takes=ONE,
    ),
    "exports.Prepare.rows": Door(
        lambda **p: _prepared().rows(**p),
        {"X": "queries"},
        says={"X": "shape"},
        takes=ONE,
    ),
    "exports.Prepare.query": Door(
        lambda **p: _prepared().query(**p),
        {"q": "queries"},
        says={"q": "shape"},
        takes={"q": ONE["X"]},
    ),
    "exports.Prepare.save": Door(lambda **p: _prepared().save(**p), {"folder": "path"}),
    "exports.export": Door(
        lambda **p: exports.export(
            **{
                "recommendation": fitted("QuantizationAdvisor").recommended_,
                "engine": "faiss",
                **p,
            }
        ),
        {"recommendation": "estimator", "engine": "option"},
    ),
    "exports.write_for": Door(
        _write_for,
        {
            "target": "option",
            "folder": "path",
            "codes": "codes",
            "prepare": "estimator",
            "vectors": "queries or none",
            "oversampling": "real or none",
            "ids": "ids or none",
            "metric": "option",
            "n_neighbors": "count",
        },
        says={"vectors": "vectors"},
    ),
}
