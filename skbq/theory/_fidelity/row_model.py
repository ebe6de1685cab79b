"""The law of given rows: predictions for any quantizer, checked on sampled rows."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from .._validation import check_choice, check_moments
from .covariance_shrinkage import denoised_covariance
from .prediction import closed_sums
from .projected_normal import fit_projected_normal
from .quantizer_model import code_steps
from .rotated_moments import check_rotation
from .score_moments import Fidelity, summarise
from .simulation import PAIR_ROWS, CodedRows, draw_rows
from .spearman import Pairs, sample_rows, similarity_pairs

# Rows whose lengths vary less, as a share of their mean, are taken for unit rows.
_ONE_LENGTH = 0.01
# Sampled rows whose similarities shape the step from Pearson to Spearman.
_SHAPE_ROWS = 1400


@dataclass(frozen=True)
class CheckedFidelity:
    """A prediction beside what the same codes do on a sample of the rows.

    Attributes
    ----------
    predicted : Fidelity
        What the law says.
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
class RowLaw:
    """Normal law of given rows, with a sample of the rows to check predictions on.

    Made by :meth:`fit`; :meth:`predict` then tells, for any quantizer, the fidelity
    that the law predicts and the one that the sample has.

    Attributes
    ----------
    mean, covariance : ndarray of shape (d,) and (d, d)
        The normal law; under "cosine" that of rows before they are scaled to unit
        length.
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
    >>> from skbq.theory import RowLaw
    >>> X = load_wordnet_minilm().data
    >>> law = RowLaw.fit(X.mean(axis=0), np.cov(X.T), len(X), sample=X[::4])
    >>> one = law.predict(BinaryQuantizer())
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
        mean: Any,
        covariance: Any,
        n_samples: int,
        *,
        sample: Any,
        metric: str = "cosine",
    ) -> Self:
        """Find the law of rows from their moments.

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
            Under "cosine" the sample is scaled to unit length, and the law is that of
            :func:`fit_projected_normal`; where lengths differ, with the moments of
            the scaled sample.

        Returns
        -------
        RowLaw

        Raises
        ------
        ValueError
            If moments and sample are not finite or do not fit together.
        """
        mean, covariance = check_moments(mean, covariance)
        check_choice(metric, "metric", ("cosine", "inner_product"))
        rows = sample_rows(sample, mean)
        if metric == "inner_product":
            return cls(mean, denoised_covariance(covariance, n_samples), rows, metric)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(length > 0, length, 1.0)
        if length.std() < _ONE_LENGTH * length.mean():
            mean, covariance = mean / length.mean(), covariance / length.mean() ** 2
        else:
            n_samples = len(rows)
            mean, covariance = rows.mean(axis=0), np.cov(rows.T, bias=True)
        fit = fit_projected_normal(mean, denoised_covariance(covariance, n_samples))
        return cls(fit.mean, fit.covariance, rows, metric, fit.residual)

    def rotated(self, rotation: Any) -> Self:
        """Return the law of rows x R.

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
        self, quantizer: Any, *, query: str = "codes", code_metric: str = "auto"
    ) -> CheckedFidelity:
        """Predict the fidelity of a quantizer, and code the sample beside it.

        Parameters
        ----------
        quantizer : object with ``step_function``
            A quantizer of the rows as the law has them, fitted or not.
        query : {"codes", "vectors"}, default="codes"
            Whether the query is coded too, or compared by the corrected estimate of
            :class:`skbq.BinaryNeighbors`.
        code_metric : {"auto", "hamming", "penalty", "dot"}, default="auto"

        Returns
        -------
        CheckedFidelity

        Notes
        -----
        One bit and coded queries: the closed form, :func:`predict_fidelity`. All
        others: :func:`simulated_fidelity`, since thresholds of a row's own and the
        correction have closed forms to first order only.
        """
        asked = "corrected" if query == "vectors" else query
        _, levels = code_steps(quantizer, self.mean, np.ones_like(self.mean))
        if query == "codes" and len(levels) == 2:
            law = self.mean, self.covariance
            sums = closed_sums(quantizer, *law, query, code_metric, self.metric)
        else:
            sums = self._drawn.sums(quantizer, asked, code_metric)
        powers = self._few.powers(quantizer, asked, self.metric)
        bend = self._few.bend(
            quantizer, asked, code_metric, self._pairs_of(self._few, powers)
        )
        predicted = summarise([sums], self._pairs_of(self._coded, powers), bend)
        sampled = self._coded.sampled_fidelity(quantizer, asked, code_metric)
        return CheckedFidelity(predicted, *sampled)

    def _pairs_of(self, coded: CodedRows, powers: tuple[float, float]) -> Pairs:
        key = id(coded), powers
        if key not in self._pairs:
            rows = coded.rows[:_SHAPE_ROWS]
            self._pairs[key] = similarity_pairs(rows, self.metric, False, powers)
        return self._pairs[key]

    @cached_property
    def _pairs(self) -> dict[tuple[int, tuple[float, float]], Pairs]:
        return {}

    @cached_property
    def _drawn(self) -> CodedRows:
        return CodedRows(draw_rows(self.mean, self.covariance, self.metric))

    @cached_property
    def _few(self) -> CodedRows:
        """Drawn rows whose pairs are formed."""
        return CodedRows(self._drawn.rows[:PAIR_ROWS])

    @cached_property
    def _coded(self) -> CodedRows:
        return CodedRows(self.sample)
