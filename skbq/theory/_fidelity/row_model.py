"""A normal model of given rows: predictions for any quantizer, checked on a sample.

Called by the profiler's table of fidelity, by the advisor's search of strategies and by
the report of the scorer of fidelity.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from ..._utils.params import check_int, check_option
from ..._utils.similarity import EQUAL_NORMS, scaled_rows
from ..._utils.typing import StepQuantizer
from .._normal import Normal
from .._options import CODE_METRICS, METRICS, QUERIES
from .._quantizer_steps import quantizer_steps
from .._validation import check_moments
from .covariance_shrinkage import denoised_covariance
from .prediction import closed_sums
from .projected_normal import fit_projected_normal
from .rotated_moments import check_rotation
from .score_moments import Fidelity, mean_fidelity
from .simulation import PAIR_ROWS, CodedRows, draw_rows
from .spearman import NormPowers, Pairs, sample_rows, similarity_pairs

# Sampled rows whose similarities shape the step from Pearson to Spearman: 490,000
# pairs, which are ranked once for each quantizer.
_SHAPE_ROWS = 1400


@dataclass(frozen=True)
class CheckedFidelity:
    """A prediction beside what the same codes do on a sample of the rows.

    Attributes
    ----------
    predicted : Fidelity
        What the model says.
    sampled : float
        Spearman fidelity measured between the two halves of the sample.
    standard_error : float
        Of ``sampled``, as an estimate of the fidelity over all rows.
    """

    predicted: Fidelity
    sampled: float
    standard_error: float

    @property
    def gap(self) -> float:
        """Predicted less sampled fidelity."""
        return self.predicted.spearman - self.sampled


@dataclass(frozen=True)
class RowModel:
    """Normal model of given rows, with a sample of the rows to check predictions on.

    Made by :meth:`fit`; :meth:`predict` then tells, for any quantizer, the fidelity
    that the model predicts and the one that the sample has.

    Attributes
    ----------
    mean, covariance : ndarray of shape (d,) and (d, d)
        Moments of the normal distribution; under "cosine" that of rows before they are
        scaled to unit length.
    sample : ndarray of shape (n, d), dtype float64
        Rows as a quantizer sees them.
    metric : {"cosine", "inner_product"}
        The true similarity.
    residual : float
        What :func:`fit_projected_normal` leaves; 0 under "inner_product".

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import BinaryQuantizer, TwoBitQuantizer
    >>> from skbq.datasets import load_wordnet_minilm
    >>> from skbq.theory import RowModel
    >>> X = load_wordnet_minilm().data
    >>> model = RowModel.fit(X.mean(axis=0), np.cov(X.T), len(X), sample=X[::4])
    >>> one = model.predict(BinaryQuantizer())
    >>> round(one.predicted.spearman, 1), bool(abs(one.gap) < 0.02)
    (0.7, True)
    """

    mean: np.ndarray
    covariance: np.ndarray
    sample: np.ndarray
    metric: str
    residual: float = 0.0

    @classmethod
    def fit(
        cls,
        mean: ArrayLike,
        covariance: ArrayLike,
        n_samples: int,
        *,
        sample: ArrayLike,
        metric: str = "cosine",
    ) -> Self:
        """Find the normal model of rows from their moments.

        Parameters
        ----------
        mean, covariance : array-like of shape (d,) and (d, d)
            Of the rows. What noise adds to the covariance is taken out
            (:func:`denoised_covariance`).
        n_samples : int
            Number of rows that the moments are of.
        sample : array-like of shape (n, d)
            Some of the rows, at least 20, better 2,000, drawn at random.
        metric : {"cosine", "inner_product"}, default="cosine"
            Under "cosine" the sample is scaled to unit length, and the model is that of
            :func:`fit_projected_normal`; where norms differ, with the moments of the
            scaled sample.

        Returns
        -------
        RowModel

        Raises
        ------
        ValueError
            If moments and sample are not finite or do not fit together.
        """
        mean, covariance = check_moments(mean, covariance)
        check_int(n_samples, "n_samples", "RowModel.fit", low=1)
        check_option(metric, "metric", "RowModel.fit", METRICS)
        rows = sample_rows(sample, mean)
        if metric == "inner_product":
            return cls(mean, denoised_covariance(covariance, n_samples), rows, metric)
        norm = np.linalg.norm(rows, axis=1)
        rows = scaled_rows(rows, "cosine")
        if norm.std() < EQUAL_NORMS * norm.mean():
            mean, covariance = mean / norm.mean(), covariance / norm.mean() ** 2
        else:
            n_samples = len(rows)
            mean, covariance = rows.mean(axis=0), np.cov(rows.T, bias=True)
        fit = fit_projected_normal(mean, denoised_covariance(covariance, n_samples))
        return cls(fit.mean, fit.covariance, rows, metric, fit.residual)

    def rotated(self, rotation: ArrayLike) -> Self:
        """Return the model of rows x R.

        Parameters
        ----------
        rotation : array-like of shape (d, d)
            Orthogonal matrix R.
        """
        matrix = check_rotation(rotation, len(self.mean))
        return replace(
            self,
            mean=self.mean @ matrix,
            covariance=matrix.T @ self.covariance @ matrix,
            sample=self.sample @ matrix,
        )

    def predict(
        self,
        quantizer: StepQuantizer,
        *,
        query: str = "codes",
        code_metric: str = "auto",
    ) -> CheckedFidelity:
        """Predict the fidelity of a quantizer, and code the sample beside it.

        Parameters
        ----------
        quantizer : object with ``step_function``
            A quantizer of the rows as the model has them, fitted or not.
        query : {"codes", "vectors"}, default="codes"
            "codes" is symmetric search; "vectors" is asymmetric search by the corrected
            estimate of :class:`skbq.BinaryNeighbors`.
        code_metric : {"auto", "hamming", "penalty", "dot"}, default="auto"

        Returns
        -------
        CheckedFidelity

        Notes
        -----
        One bit and symmetric search: the closed form, :func:`predict_fidelity`. All
        others: :func:`simulated_fidelity`, since thresholds of a row's own and the
        correction have closed forms to first order only.
        """
        check_option(query, "query", "RowModel.predict", QUERIES)
        check_option(code_metric, "code_metric", "RowModel.predict", CODE_METRICS)
        seen = "corrected" if query == "vectors" else query
        steps = quantizer_steps(quantizer, self.mean, np.ones_like(self.mean))
        if query == "codes" and not steps.two_bits:
            sums = closed_sums(quantizer, self._normal, query, code_metric, self.metric)
        else:
            sums = self._drawn.sums(quantizer, seen, code_metric)
        powers = self._few.powers(quantizer, seen, self.metric)
        nonlinearity = self._few.nonlinearity(
            quantizer, seen, code_metric, self._pairs_of(self._few, powers)
        )
        pairs = self._pairs_of(self._coded, powers)
        predicted = mean_fidelity([sums], pairs, nonlinearity)
        sampled = self._coded.sampled_fidelity(quantizer, seen, code_metric)
        return CheckedFidelity(predicted, sampled.value, sampled.standard_error)

    def _pairs_of(self, coded: CodedRows, powers: NormPowers) -> Pairs:
        key = id(coded), powers
        if key not in self._pairs:
            rows = coded.rows[:_SHAPE_ROWS]
            self._pairs[key] = similarity_pairs(rows, self.metric, False, powers)
        return self._pairs[key]

    @cached_property
    def _pairs(self) -> dict[tuple[int, NormPowers], Pairs]:
        return {}

    @cached_property
    def _normal(self) -> Normal:
        return Normal.of(self.mean, self.covariance)

    @cached_property
    def _drawn(self) -> CodedRows:
        return CodedRows(draw_rows(self._normal, self.metric))

    @cached_property
    def _few(self) -> CodedRows:
        """Drawn rows whose pairs are formed."""
        return CodedRows(self._drawn.rows[:PAIR_ROWS])

    @cached_property
    def _coded(self) -> CodedRows:
        return CodedRows(self.sample)
