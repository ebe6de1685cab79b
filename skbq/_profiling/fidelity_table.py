"""Predicted fidelity of every strategy, as a table, and what to think of it."""

import numpy as np

from .._quantization.rotation import RandomRotation
from .._quantization.strategy import ROTATION_SEED, Strategy
from .._utils.typing import CodeMetric, Query
from ..theory import RowModel

# A prediction counts as valid if it is within 0.02 of what a sample shows, and the
# sample is large enough to say that it is within 0.03 of all rows (95%, one side).
_TOLERANCE = 0.02
_LARGEST_ERROR = 0.03
_ONE_SIDE = 1.645
# With fewer rows a sample tells too little to check predictions on.
_FEWEST_ROWS = 200
# With fewer coordinates that look normal, predictions need measuring.
NORMAL_SHARE = 0.5
_RESIDUAL = 0.01
_COLUMNS = (
    "strategy",
    "threshold",
    "rotate",
    "bits",
    "query",
    "code_metric",
    "predicted_fidelity",
    "predicted_pearson",
    "sampled_fidelity",
    "standard_error",
    "valid",
    "reason",
)

# Ways to compare by bits: the kind of query, and of codes how two are compared.
_COMPARISONS: tuple[tuple[int, Query, CodeMetric], ...] = (
    (1, "codes", "auto"),
    (1, "vectors", "auto"),
    (2, "codes", "auto"),
    (2, "codes", "hamming"),
    (2, "codes", "penalty"),
    (2, "vectors", "auto"),
)


def predicted_strategies() -> list[Strategy]:
    """List centering x rotation x bits x kind of query x comparison of codes."""
    return [
        Strategy(bits, query, rotated, threshold, code_metric=code_metric)
        for threshold in ("mean", "zero")
        for rotated in (False, True)
        for bits, query, code_metric in _COMPARISONS
    ]


def fidelity_table(
    model: RowModel, normal_share: float, norm_variation: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Predict every strategy, and check each prediction on the sample.

    Parameters
    ----------
    model : RowModel
    normal_share : float
        Share of the coordinates that look normal.
    norm_variation : tuple of float
        Standard deviation over mean of the norms of rows, and what it would be for
        normal rows.

    Returns
    -------
    table : dict of ndarrays of shape (n_strategies,)
    """
    turn = RandomRotation(random_state=ROTATION_SEED).fit(model.sample).matrix()
    models = {False: model, True: model.rotated(turn)}
    rows = []
    for strategy in predicted_strategies():
        fidelity = models[strategy.rotated].predict(
            strategy.make_quantizer(rotate=False),
            query=strategy.query,
            code_metric=strategy.code_metric,
        )
        reason = ""
        if not abs(fidelity.gap) <= _TOLERANCE:
            reason = _reason(strategy, model, normal_share, norm_variation)
        elif abs(fidelity.gap) + _ONE_SIDE * fidelity.standard_error > _LARGEST_ERROR:
            reason = f"the standard error on a sample is {fidelity.standard_error:.3f}"
        if len(model.sample) < _FEWEST_ROWS:
            reason = f"{len(model.sample)} rows are too few to check on"
        rows.append(
            (
                strategy.words,
                strategy.threshold,
                strategy.rotated,
                strategy.bits,
                strategy.query,
                strategy.code_metric,
                fidelity.predicted.spearman,
                fidelity.predicted.pearson,
                fidelity.sampled,
                fidelity.standard_error,
                not reason,
                reason,
            )
        )
    return {
        name: np.array(column, dtype=object if isinstance(column[0], str) else None)
        for name, column in zip(_COLUMNS, zip(*rows, strict=True), strict=True)
    }


def _reason(
    strategy: Strategy,
    model: RowModel,
    normal_share: float,
    norm_variation: tuple[float, float],
) -> str:
    """Say what about the rows is not as the model has it."""
    causes = []
    if not strategy.rotated and normal_share < NORMAL_SHARE:
        causes.append(f"only {normal_share:.0%} of the coordinates look normal")
    found, expected = norm_variation
    if model.metric == "inner_product" and found > 1.5 * expected:
        causes.append(
            f"norms vary by {found:.0%} of their mean, by {expected:.0%} if normal"
        )
    if model.residual > _RESIDUAL:
        causes.append(
            f"the model leaves {model.residual:.1%} of the covariance of unit-norm "
            "vectors"
        )
    tail = _kurtosis(model)
    if not 2.0 < tail < 6.0:
        causes.append(f"similarities have kurtosis {tail:.0f}, 3 if normal")
    return "; ".join(causes) or "coordinates depend on each other as normal ones do not"


def _kurtosis(model: RowModel) -> float:
    half = len(model.sample) // 2
    similarity = model.sample[:half] @ model.sample[half:].T
    centered = similarity - similarity.mean()
    return float(np.mean(centered**4) / np.mean(centered**2) ** 2)
