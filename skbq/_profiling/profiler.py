"""HeterogeneityProfiler: the statistics that decide how well binary codes work."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigvalsh
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from .._html.page import HTMLReportMixin, page, piece
from .._utils.dask_rows import DaskRows
from .._utils.params import check_option
from .._utils.similarity import EQUAL_NORMS
from .._utils.statistics import binary_entropy
from .._utils.typing import (
    METRICS,
    REPORT_FORMATS,
    Metric,
    RandomState,
    ReportFormat,
)
from .._utils.validation import DocLinkMixin, check_vectors
from ..theory import RowModel, effective_dimension, scale_correlation, sign_entropy
from .description import describe
from .fidelity_table import fidelity_table
from .html_report import profile_values
from .moments import Moments, Reservoir, anderson_darling

# The pass rate of a test of normality falls with the sample: it needs a fixed one.
_NORMALITY_ROWS = 2000
# Upper 5% point of A*^2 when mean and variance are estimated [Stephens 1986].
_NORMALITY_LIMIT = 0.752
_FEWEST_TO_PREDICT = 20


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0 else float("nan")


def _variation(values: np.ndarray) -> float:
    """Return the population standard deviation over the mean."""
    return _ratio(values.std(), values.mean()) if values.size else float("nan")


class HeterogeneityProfiler(
    HTMLReportMixin, DocLinkMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    """Measure what decides how well binary codes of vectors work.

    A transformer that passes vectors through unchanged: put it first in a pipeline,
    or call :meth:`fit` and :meth:`report` by themselves. Large arrays are read in
    blocks; :meth:`partial_fit` takes them in chunks with the same result.

    Read more in the :ref:`User Guide <guide-prediction>`.

    Parameters
    ----------
    random_state : int, RandomState instance or None, default=None
        Seed of the subsample for the test of normality, on which predictions are
        checked too; nothing else is random.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,), dtype float64
        Mean of each coordinate, mu.
    scale_ : ndarray of shape (n_features,), dtype float64
        Standard deviation of each coordinate, sigma; 0 for a constant one.
    covariance_ : ndarray of shape (n_features, n_features), dtype float64
        Covariance of the coordinates, Sigma.
    heterogeneity_ : float
        Coefficient of variation of ``scale_``: its standard deviation over its mean.
        0 if all coordinates vary alike.
    sign_entropy_ : float
        Mean over coordinates of the entropy of the bit ``x_i > 0``, in bits: 1 if
        every bit is set in half of the rows, 0 if no bit varies. Signs are taken about
        0 whatever threshold a quantizer may use later.
    sign_entropies_ : ndarray of shape (n_features,), dtype float64
        That entropy for each coordinate.
    predicted_sign_entropy_ : float
        The same for a normal distribution of mean ``mean_`` and standard deviation
        ``scale_``: the entropy of Phi(mu_i / sigma_i).
    snr_mean_, snr_std_ : float
        Mean and standard deviation over coordinates of abs(mu_i) / sigma_i.
    off_diagonal_ratio_ : float
        Frobenius norm of the covariance off the diagonal, over that of its diagonal.
    effective_dimension_ : float
        ``tr(Sigma)^2 / tr(Sigma^2)``: the number of directions that the variance is
        spread over, between 1 and n_features.
    effective_rank_ : float
        ``tr(Sigma)`` over the largest eigenvalue of Sigma.
    norm_cv_ : float
        Standard deviation over mean of the norms of the rows.
    gaussian_pass_rate_ : float
        Share of coordinates that pass the Anderson-Darling test of normality at 5%
        (A*^2 < 0.752) on a subsample. Normal coordinates would give 0.95.
    normality_sample_size_ : int
        Number of rows in that subsample: 2,000, or all if there are fewer. The rate
        falls with the number of rows, so that rates compare only at equal size.
    scale_correlation_ : float
        Rank correlation over coordinates i of sigma_i with the mean over j != i of
        the absolute correlation between i and j: the diagnostic of [1]_ for whether
        the coordinates of large variance are the correlated ones.
    constant_features_ : ndarray of shape (n_constant,), dtype int64
        Numbers of the coordinates that have the same value in all rows.
    n_samples_seen_ : int
        Number of rows.
    n_features_in_ : int
        Number of coordinates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had names at fit.

    See Also
    --------
    RandomRotation : Evens out the coordinates.
    BinaryQuantizer, TwoBitQuantizer : The codes that these figures are about.

    Notes
    -----
    All variances, standard deviations and covariances, over rows and over
    coordinates, are those of the population (they divide by n). Only inside the
    Anderson-Darling statistic is the standard deviation the sample's (n - 1); the
    statistic is corrected for estimated mean and variance,
    ``A*^2 = A^2 (1 + 0.75/n + 2.25/n^2)`` [2]_.

    Constant coordinates count with sigma = 0 and entropy 0. They are left out of
    ``snr_mean_``, ``snr_std_``, ``gaussian_pass_rate_`` and ``scale_correlation_``,
    which have no meaning for them. A figure that has none for the whole array, such
    as the correlations of a single column, is NaN.

    Moments are computed in float64 in blocks of rows, each about its own mean, and
    merged as in [3]_; the work is O(n_samples n_features^2). Which rows are in the
    subsample depends on the seed and on row numbers, not on the chunks.

    References
    ----------
    .. [1] W. Xiao, "Covariance Structure and Coordinate Heterogeneity Govern Binary
       Quantization of Contrastive Embeddings", arXiv:2605.17524, 2026.
    .. [2] M. A. Stephens, "Tests based on EDF statistics", in R. B. D'Agostino and
       M. A. Stephens (eds.), "Goodness-of-Fit Techniques", 1986, table 4.7.
    .. [3] T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the
       sample variance: analysis and recommendations", The American Statistician 37,
       1983.

    Examples
    --------
    >>> from skbq import HeterogeneityProfiler
    >>> from skbq.datasets import load_wordnet_minilm
    >>> X = load_wordnet_minilm().data
    >>> profiler = HeterogeneityProfiler(random_state=0).fit(X)
    >>> profiler.constant_features_.size
    2
    >>> print(f"{profiler.sign_entropy_:.3f}, {profiler.effective_dimension_:.0f}")
    0.953, 116
    """

    _moments: Moments
    _reservoir: Reservoir

    def __init__(self, *, random_state: RandomState = None) -> None:
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Measure vectors, forgetting earlier ones.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        X = check_vectors(self, X, reset=True, min_samples=2)
        return self._add(X, first=True)

    def partial_fit(self, X: ArrayLike, y: None = None) -> Self:
        """Measure further vectors; all attributes then describe all of them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors. One is enough, but until a second one came nothing varies.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        first = not hasattr(self, "n_samples_seen_")
        return self._add(check_vectors(self, X, reset=first), first=first)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Return X as it is.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The same values in the same dtype, without a copy where X is an array.
        """
        check_is_fitted(self)
        return check_vectors(self, X, reset=False)

    def report(self, format: ReportFormat = "text") -> str:
        """Say in words what the figures mean for binary codes.

        Parameters
        ----------
        format : {"text", "html"}, default="text"
            "html": a page of its own, with pictures, to be written to a file.

        Returns
        -------
        report : str
            One paragraph for each property of the vectors, the figure first.

        Raises
        ------
        ValueError
            If ``format`` is unknown.
        """
        check_is_fitted(self)
        check_option(format, "format", "report", REPORT_FORMATS)
        if format == "text":
            return "\n".join(describe(self))
        return self._report_page("Profile of vectors")

    def _report_page(self, title: str) -> str:
        values = profile_values(self)
        parameters = self.get_params()
        return page("profile.html", title=title, parameters=parameters, **values)

    def _report_piece(self) -> str:
        return piece("profile.html", **profile_values(self))

    def predict_fidelity(self, *, metric: Metric = "cosine") -> dict[str, np.ndarray]:
        """Predict how well each strategy ranks, and check that on a sample.

        Parameters
        ----------
        metric : {"cosine", "euclidean", "inner_product"}, default="cosine"
            What the vectors are compared by. "euclidean" is for vectors of one
            length, where it ranks as cosine does.

        Returns
        -------
        table : dict of ndarrays of shape (n_strategies,)
            One entry for each combination of threshold, rotation, bits, kind of query
            and comparison of codes, made for ``pandas.DataFrame(table)``:

            * ``strategy`` : in words; ``threshold``, ``rotate``, ``bits``, ``query``,
              ``code_metric`` : the settings.
            * ``predicted_fidelity`` : Spearman correlation over random pairs of normal
              vectors of these moments; ``predicted_pearson`` : Pearson's.
            * ``sampled_fidelity`` : Spearman correlation measured by coding the
              sample of ``normality_sample_size_`` rows, halves against each other;
              ``standard_error`` : its own, as an estimate for all rows.
            * ``valid`` : whether the two agree within 0.02, on a sample large enough
              to say that the prediction is within 0.03 of the fidelity over all rows
              (95%, one side).
            * ``reason`` : where not valid, what is not as in a normal distribution;
              else "".

        Raises
        ------
        ValueError
            If fewer than 20 rows were seen, or for "euclidean" with unequal norms.

        See Also
        --------
        skbq.theory.RowModel : The same for one quantizer of yours.
        skbq.metrics.RankingFidelityScorer : Measured fidelity of a fitted index.

        Notes
        -----
        Rotated strategies are predicted for the rotation that
        ``RandomRotation(random_state=0)`` makes; in dozens of dimensions or more,
        one is like another. Under "cosine", moments are those of all vectors where
        these have one length, else those of the sample, scaled to unit length.

        The time grows as the cube of the number of coordinates: seconds for some
        hundreds, a minute or two for 1,536.

        Examples
        --------
        >>> from skbq import HeterogeneityProfiler
        >>> from skbq.datasets import make_gaussian
        >>> X = make_gaussian(1000, 32, random_state=0)
        >>> table = HeterogeneityProfiler(random_state=0).fit(X).predict_fidelity()
        >>> best = table["predicted_fidelity"].argmax()
        >>> table["strategy"][best], bool(table["valid"][best])
        ('2 bits, asymmetric search', True)
        """
        check_is_fitted(self)
        check_option(metric, "metric", self, METRICS)
        if self.n_samples_seen_ < _FEWEST_TO_PREDICT:
            raise ValueError(
                f"predict_fidelity needs at least {_FEWEST_TO_PREDICT} rows. "
                f"{type(self).__name__} has seen {self.n_samples_seen_}."
            )
        if metric == "euclidean":
            if self.norm_cv_ > EQUAL_NORMS:
                raise ValueError(
                    "There is no prediction for euclidean distances of vectors whose "
                    f"norms differ: here they vary by {self.norm_cv_:.1%}. Scale "
                    "them to unit norm, or choose metric='inner_product'."
                )
            metric = "cosine"
        model = RowModel.fit(
            self.mean_,
            self.covariance_,
            self.n_samples_seen_,
            sample=self._reservoir.rows,
            metric=metric,
        )
        norms = (self.norm_cv_, self._normal_norm_cv())
        return fidelity_table(model, self.gaussian_pass_rate_, norms)

    def _normal_norm_cv(self) -> float:
        """Return what ``norm_cv_`` would be for normal rows, to first order."""
        mean, covariance = self.mean_, self.covariance_
        energy = mean @ mean + np.trace(covariance)
        spread = 2 * np.vdot(covariance, covariance) + 4 * mean @ covariance @ mean
        return _ratio(float(spread) ** 0.5, 2 * float(energy))

    def _add(self, X: np.ndarray, *, first: bool) -> Self:
        n_before = 0 if first else self._moments.n
        if first:
            seed = check_random_state(self.random_state).randint(2**31 - 1)
            reservoir = Reservoir(
                seed, _NORMALITY_ROWS, np.empty(0, np.uint64), np.empty((0, 0))
            )
        else:
            reservoir = self._reservoir
        self._reservoir = reservoir.add(X, n_before)
        moments = (
            X.merge_blocks(Moments.of_rows, Moments.merge_all)
            if isinstance(X, DaskRows)
            else Moments.of_rows(X)
        )
        if not first:
            moments = self._moments.merge(moments)
        self._moments = moments
        self._set_moments(moments)
        self._set_signs(moments)
        self._set_covariance_figures()
        self._set_normality(self._reservoir.rows)
        self.n_samples_seen_ = moments.n
        return self

    def _set_moments(self, moments: Moments) -> None:
        constant = moments.low == moments.high
        self.constant_features_ = np.flatnonzero(constant)
        self.mean_ = np.where(constant, moments.low, moments.mean)
        covariance = moments.comoment / moments.n
        covariance[constant] = 0.0
        covariance[:, constant] = 0.0
        self.covariance_ = covariance
        self.scale_ = np.sqrt(covariance.diagonal())
        self.heterogeneity_ = _variation(self.scale_)
        norm_std = np.sqrt(moments.norm_comoment / moments.n)
        self.norm_cv_ = _ratio(norm_std, moments.norm_mean)

    def _set_signs(self, moments: Moments) -> None:
        varies = self._varying()
        snr = np.abs(self.mean_[varies] / self.scale_[varies])
        self.snr_mean_ = float(snr.mean()) if snr.size else float("nan")
        self.snr_std_ = float(snr.std()) if snr.size else float("nan")
        shares = moments.n_positive / moments.n
        self.sign_entropies_ = binary_entropy(shares)
        self.sign_entropy_ = float(self.sign_entropies_.mean())
        self.predicted_sign_entropy_ = sign_entropy(self.mean_, self.scale_)

    def _set_covariance_figures(self) -> None:
        covariance = self.covariance_
        d = len(covariance)
        variances = covariance.diagonal()
        on_diagonal = np.square(variances).sum()
        off_diagonal = max(np.vdot(covariance, covariance) - on_diagonal, 0.0)
        largest = eigvalsh(covariance, subset_by_index=[d - 1, d - 1])[0]
        self.off_diagonal_ratio_ = _ratio(off_diagonal**0.5, on_diagonal**0.5)
        self.effective_dimension_ = effective_dimension(covariance)
        self.effective_rank_ = _ratio(variances.sum(), largest)
        self.scale_correlation_ = scale_correlation(covariance)

    def _set_normality(self, sample: np.ndarray) -> None:
        self.normality_sample_size_ = len(sample)
        varies = self._varying()
        if varies.any():
            # A column that varies elsewhere but not in the sample is NaN: it fails.
            passed = anderson_darling(sample[:, varies]) < _NORMALITY_LIMIT
            self.gaussian_pass_rate_ = float(passed.mean())
        else:
            self.gaussian_pass_rate_ = float("nan")

    def _varying(self) -> np.ndarray:
        return self.scale_ > 0

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
