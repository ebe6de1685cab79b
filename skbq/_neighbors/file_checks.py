"""What each class in a file must look like before a kernel sees it.

A file may be damaged, or made to do damage: kernels index with what they are given and
check nothing. So every attribute of every class is held here against a rule, whatever
the checksums say. A class that is new in files adds one entry to ``CLASSES``; what an
entry does not name is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer

from .._quantization.base import Quantizer
from .._quantization.pca import PCAQuantizer
from .._quantization.quantizers import BinaryQuantizer, TwoBitQuantizer
from .._quantization.rotation import RandomRotation
from .._quantization.steps import split_quantizer
from .._utils.typing import METRICS
from ..codes import CodeArray, MixedDepths, check_levels, code_width
from .calibration import is_curve
from .inverted_lists import fit_together

# A rule tells whether a value is right in an object of ``sizes``: "d" coordinates and,
# in an index, "n" rows and so many "corrections" for each.
Sizes = Mapping[str, int]
Rule = Callable[[object, Sizes], bool]


# Rules


def whole(low: int, high: int = 2**62) -> Rule:
    """Accept ints from low to high."""

    def rule(value: object, sizes: Sizes) -> bool:
        return isinstance(value, int) and value is not True and low <= value <= high

    return rule


def number(low: float, high: float = np.inf) -> Rule:
    """Accept finite numbers from low to high."""

    def rule(value: object, sizes: Sizes) -> bool:
        if not isinstance(value, int | float):
            return False
        return bool(np.isfinite(value)) and low <= value <= high

    return rule


def array(
    kinds: str, *shape: int | str, check: Callable[[np.ndarray], bool] | None = None
) -> Rule:
    """Accept arrays of some kinds of number and a shape, which names sizes or any."""

    def rule(value: object, sizes: Sizes) -> bool:
        if not isinstance(value, np.ndarray) or value.ndim != len(shape):
            return False
        expected = [sizes.get(s, s) if isinstance(s, str) else s for s in shape]
        fits = all(e in ("any", m) for e, m in zip(expected, value.shape, strict=True))
        right_kind = value.dtype.kind + str(value.dtype.itemsize) in kinds.split()
        return fits and right_kind and (check is None or check(value))

    return rule


def optional(rule: Rule) -> Rule:
    """Accept None as well."""
    return lambda value, sizes: value is None or rule(value, sizes)


def width(value: object, sizes: Sizes) -> bool:
    """Accept the number of coordinates, which all parts of an index share."""
    return value == sizes["d"] and isinstance(value, int)


def coordinates(value: object, sizes: Sizes) -> bool:
    """Accept the numbers of some coordinates, ascending."""
    if not isinstance(value, np.ndarray) or value.dtype != np.int64:
        return False
    if value.ndim != 1 or value.size == 0:
        return False
    inside = value[0] >= 0 and value[-1] < sizes["d"]
    return bool(inside and (np.diff(value) > 0).all())


def names(value: object, sizes: Sizes) -> bool:
    """Accept one name for each coordinate."""
    if not isinstance(value, np.ndarray) or value.dtype != object:
        return False
    return value.shape == (sizes["d"],)


def levels(value: object, sizes: Sizes) -> bool:
    """Accept two magnitudes in order."""
    try:
        return check_levels(value, "a file") == value
    except (ValueError, TypeError):
        return False


def _finite(value: np.ndarray) -> bool:
    return bool(np.isfinite(value).all())


def _positive(value: np.ndarray) -> bool:
    return _finite(value) and bool((value >= 0).all())


def _plus_or_minus_one(value: np.ndarray) -> bool:
    return bool((np.abs(value.astype(np.int16)) == 1).all())


def _rising(value: np.ndarray) -> bool:
    return bool((np.diff(value, prepend=0) >= 0).all())


def _permutations(value: np.ndarray) -> bool:
    return bool((np.sort(value, axis=1) == np.arange(value.shape[1])).all())


def _quantiles(value: np.ndarray) -> bool:
    return _finite(value) and bool((np.diff(value, axis=1) >= 0).all())


def _corrections(value: object, sizes: Sizes) -> bool:
    """Accept floats in one array, or short numbers in a tuple, which may be empty."""
    if not isinstance(value, tuple):
        return array("f2 f4", "corrections", "n", check=_finite)(value, sizes)
    kinds = ("u1", "u2", "u2")[: sizes["corrections"]]
    return not value or (
        len(value) == len(kinds)
        and all(
            array(kind, "n")(column, sizes)
            for kind, column in zip(kinds, value, strict=True)
        )
    )


def _row_ids(value: object, sizes: Sizes) -> bool:
    """Accept numbers, or text and where each ends: see ``row_ids``."""
    if not isinstance(value, tuple):
        if not isinstance(value, np.ndarray):
            return False
        return array("i8", "any")(value, sizes) and len(value) <= sizes["n"]
    if len(value) != 2 or not all(isinstance(part, np.ndarray) for part in value):
        return False
    text, ends = value
    if not array("u1", "any")(text, sizes):
        return False
    rising = array("i8", "any", check=_rising)
    return rising(ends, sizes) and (
        0 < len(ends) <= sizes["n"] and ends[-1] == len(text)
    )


def _is_prediction(value: object, sizes: Sizes) -> bool:
    """Accept what codes say of corrections: see ``Prediction``."""
    if not isinstance(value, tuple) or len(value) != 3:
        return False
    n_targets = 1 + len(METRICS)
    rules = (
        array("f4", "any", check=_finite),
        array("f8", n_targets, 6, check=_finite),
        array("f8", 2 + n_targets, 2, check=_quantiles),
    )
    return all(rule(part, sizes) for rule, part in zip(rules, value, strict=True))


def _are_lists(value: object, sizes: Sizes) -> bool:
    """Accept the arrays of inverted lists: see ``inverted_lists``."""
    if not isinstance(value, tuple) or len(value) != 6:
        return False
    if not all(isinstance(part, np.ndarray) for part in value):
        return False
    return fit_together(value, sizes["values"], sizes["n"])


def _true_or_false(value: np.ndarray) -> bool:
    """Bytes of bool other than 0 and 1 count wrongly."""
    return bool((value.view(np.uint8) <= 1).all())


# Classes


@dataclass(frozen=True)
class FileClass:
    """A class whose fitted objects can be in a file.

    Attributes
    ----------
    kind : type
        Its parameters may hold anything that files take, and are checked by the class.
    learned : mapping
        A rule for each attribute that is not a parameter.
    needed : tuple of str
        Those that a fitted object has always.
    before : mapping
        What objects of earlier versions did not have, as they behaved.
    fits : callable
        Whether a fitted object as a whole makes sense.
    """

    kind: type[BaseEstimator]
    learned: Mapping[str, Rule] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    before: Mapping[str, object] = field(default_factory=dict)
    fits: Callable[[BaseEstimator], bool] = lambda estimator: True


_ANY_INPUT: dict[str, Rule] = {"n_features_in_": width, "feature_names_in_": names}


def _quantizer_rules(n_cells: int) -> dict[str, Rule]:
    columns = array("f8", "d")
    return {
        **_ANY_INPUT,
        "thresholds_": array("f8", "d", check=_finite),
        "cell_means_": optional(array("f4", n_cells, "d")),
        "n_samples_seen_": whole(1),
        "_n_features_out": lambda value, sizes: value == code_width(sizes["d"]),
        "_lowest": columns,
        "_highest": columns,
        "_value_sums": columns,
        "_cell_counts": array("i8", n_cells, "d"),
        "_cell_sums": array("f8", n_cells, "d"),
    }


def _rotation_fits(rotation: RandomRotation) -> bool:
    learned = [
        getattr(rotation, f"{name}_") for name in ("rotation", "signs", "orders")
    ]
    there = [value is not None for value in learned]
    # haar; dct; hadamard, whose shuffles go with its signs.
    same_rounds = not there[2] or (there[1] and len(learned[1]) == len(learned[2]))
    return same_rounds and there in (
        [True, False, False],
        [False, True, False],
        [False, True, True],
    )


def _pipeline_fits(pipeline: Pipeline) -> bool:
    steps = pipeline.steps
    # A memory is a folder of pickles.
    plain = isinstance(steps, list) and bool(steps) and pipeline.memory is None
    return plain and all(
        isinstance(step, tuple)
        and len(step) == 2
        and isinstance(step[0], str)
        and type(step[1]).__name__ in CLASSES
        for step in steps
    )


def _pca_fits(quantizer: PCAQuantizer) -> bool:
    layout, panels = quantizer.layout_, quantizer._panels
    enough = len(panels) == -(-layout.n_values // panels.shape[2])
    same_width = layout.n_features == quantizer.n_features_in_
    prediction = quantizer._prediction
    if prediction is not None and len(prediction[0]) != layout.n_values:
        return False
    return enough and same_width and quantizer._n_features_out == layout.width


CLASSES: dict[str, FileClass] = {
    "BinaryQuantizer": FileClass(
        BinaryQuantizer,
        _quantizer_rules(n_cells=2),
        needed=("n_features_in_", "thresholds_"),
    ),
    "TwoBitQuantizer": FileClass(
        TwoBitQuantizer,
        {
            **_quantizer_rules(n_cells=4),
            "levels_": levels,
            "magnitude_thresholds_": optional(array("f8", "d", check=_positive)),
            "_row_factor": number(0, 1e6),
            "_live": optional(coordinates),
            "_deviation_sums": array("f8", "d"),
        },
        needed=(
            *("n_features_in_", "thresholds_", "levels_"),
            *("magnitude_thresholds_", "_row_factor"),
        ),
    ),
    "PCAQuantizer": FileClass(
        PCAQuantizer,
        {
            **_ANY_INPUT,
            "mean_": array("f8", "d", check=_finite),
            "explained_variance_": array("f8", "any", check=_positive),
            "exponent_": number(0),
            "correction_bytes_": lambda value, sizes: value in (0, 3),
            "correction_strength_": number(0, 1),
            "_prediction": optional(_is_prediction),
            "layout_": lambda value, sizes: isinstance(value, MixedDepths),
            "_panels": array("f4", "any", "d", 16, check=_finite),
            "_n_features_out": whole(1),
        },
        needed=("n_features_in_", "mean_", "layout_", "_panels", "_n_features_out"),
        before={
            "correction_bytes_": 3,
            "correction_strength_": 1.0,
            "_prediction": None,
        },
        fits=_pca_fits,
    ),
    "RandomRotation": FileClass(
        RandomRotation,
        {
            **_ANY_INPUT,
            "rotation_": optional(array("f8", "d", "d", check=_finite)),
            "signs_": optional(array("i1", 3, "d", check=_plus_or_minus_one)),
            "orders_": optional(array("i8", 3, "d", check=_permutations)),
        },
        needed=("n_features_in_", "rotation_", "signs_", "orders_"),
        fits=_rotation_fits,
    ),
    "Normalizer": FileClass(Normalizer, _ANY_INPUT),
    "FrozenEstimator": FileClass(FrozenEstimator),
    "Pipeline": FileClass(Pipeline, fits=_pipeline_fits),
}

# Of an index, beside its parameters, its quantizer and its codes.
INDEX: dict[str, Rule] = {
    **_ANY_INPUT,
    "n_samples_fit_": lambda value, sizes: value == sizes["n"],
    "_n_features_out": whole(1),  # of the transformer
    "bytes_per_row_": whole(1),
    "vector_bytes_per_row_": whole(0),
    "_metric": lambda value, sizes: value in METRICS,
    "_corrections": optional(_corrections),
    "_correction_range": array("f8", 5, 33, check=_quantiles),
    "_rounding": lambda value, sizes: (
        isinstance(value, tuple) and len(value) == 3 and all(map(np.isfinite, value))
    ),
    "_unit": number(0),
    "_distortion": number(0),
    "_vectors": optional(array("f2 f4 f8 f12 f16 i1 i2 i4 i8", "n", "d")),
    "_ids": optional(_row_ids),
    "_lists": _are_lists,
    "_curve": lambda value, sizes: is_curve(value),
    "_removed": optional(array("b1", "n", check=_true_or_false)),
}


class DamagedError(ValueError):
    """Something in a file is not what it must be; the text says what."""


def check_estimator(estimator: BaseEstimator, stored: FileClass) -> None:
    """Refuse an estimator that its class could not have made.

    Raises
    ------
    DamagedError
    """
    name = stored.kind.__name__
    values = dict(vars(estimator))
    learned = {key: values.pop(key) for key in stored.learned if key in values}
    _check_parameters(stored.kind, values)
    names = stored.kind._get_param_names()
    if len(values) < len(names):
        raise DamagedError(f"{name} lacks a parameter")
    if stored.learned and not learned:
        return  # not fitted
    missing = [key for key in stored.needed if key not in learned]
    if missing:
        raise DamagedError(f"{name} lacks {missing[0]}")
    sizes = {"d": learned.get("n_features_in_", 0)}
    _check_rules(learned, stored.learned, sizes, name)
    if not stored.fits(estimator):
        raise DamagedError(f"parts of a {name} do not belong together")


def check_index(
    kind: type[BaseEstimator],
    codes: CodeArray,
    attributes: Mapping[str, object],
    n_features: int,
) -> None:
    """Refuse codes and attributes that no index of a class could have.

    Raises
    ------
    DamagedError
    """
    name = kind.__name__
    values = dict(attributes)
    learned = {key: values.pop(key) for key in INDEX if key in values}
    missing = {"n_features_in_", "_metric", "_vectors", "_removed"} - set(learned)
    if missing or "quantizer_" not in values:
        raise DamagedError(f"{name} lacks {min(missing | {'quantizer_'})}")
    quantizer = values.pop("quantizer_")
    _check_parameters(kind, values)
    is_mixed = isinstance(codes.layout, MixedDepths)
    has_norms = learned["_metric"] == "inner_product" and not is_mixed
    assert codes.layout is not None
    sizes = {
        "d": n_features,
        "n": len(codes),
        "corrections": 2 + has_norms,
        "values": codes.layout.n_values,
    }
    _check_rules(learned, INDEX, sizes, name)
    coded = isinstance(learned.get("_corrections"), tuple)
    # Files without a unit are older than short corrections.
    if coded != ("_correction_range" in learned) or (coded and "_unit" not in learned):
        raise DamagedError("short corrections are not what they must be")
    if ("_lists" in learned) != ("_curve" in learned):
        raise DamagedError(f"parts of a {name} do not belong together")
    if quantizer is None:
        if learned.get("_corrections") is not None or learned["_vectors"] is not None:
            raise DamagedError("vectors are kept, but no quantizer")
        return
    _check_widths(quantizer, n_features)
    last = split_quantizer(quantizer)[1]
    if isinstance(last, PCAQuantizer):
        same = getattr(last, "layout_", None) == codes.layout
    else:
        levels = getattr(last, "levels_", None)
        same = isinstance(last, Quantizer) and not is_mixed and levels == codes.levels
    if not same:
        raise DamagedError("codes are not those of the quantizer")


def _check_parameters(kind: type[BaseEstimator], values: Mapping[str, object]) -> None:
    unknown = set(values) - set(kind._get_param_names())
    if unknown:
        raise DamagedError(f"{kind.__name__} has no {min(unknown)}")


def _check_rules(
    values: Mapping[str, object], rules: Mapping[str, Rule], sizes: Sizes, name: str
) -> None:
    for key, value in values.items():
        if not rules[key](value, sizes):
            raise DamagedError(f"{key} of {name} is not what it must be")


def _check_widths(estimator: BaseEstimator | None, n_features: int) -> None:
    """Refuse steps of other widths: those in files keep the number of coordinates."""
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            _check_widths(step, n_features)
    elif isinstance(estimator, FrozenEstimator):
        _check_widths(estimator.estimator, n_features)
    elif estimator is not None and not hasattr(estimator, "n_features_in_"):
        raise DamagedError(f"{type(estimator).__name__} is not fitted")
    elif estimator is not None and estimator.n_features_in_ != n_features:
        raise DamagedError("parts have different numbers of coordinates")
