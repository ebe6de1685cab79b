"""A quantizer that spends its bits where the variance is: principal axes, mixed depths.

The two schools, keep the axes or rotate at random, are the ends of one scale. Here
unequal variances are made as unequal as they can be (principal axes), bits are spent on
them (:mod:`.allocation`), and a rotation mixes only coordinates of equally many bits.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple, Self

import numpy as np
from scipy.linalg import eigh, qr
from sklearn.utils import check_random_state
from sklearn.utils.extmath import randomized_svd, svd_flip
from sklearn.utils.metaestimators import available_if

from .._kernels.memory import read_only
from .._kernels.mixed_depths import (
    Depths,
    center_rows,
    count_found,
    encode_rows,
)
from .._kernels.projection import PANEL, as_panels, project
from .._utils.parallel import fixed_blocks, one_blas_thread
from .._utils.params import check_int, check_option, check_real
from .._utils.typing import METRICS, RandomState, VectorsLike
from .._utils.validation import BLOCK_ROWS, check_vectors, float_rows
from ..codes import (
    CodeArray,
    MixedDepths,
    code_width,
    with_layout,
)
from .allocation import ROUNDING, allocate, normal_levels
from .base import CorrectingEncoder, EncodedBlock
from .correction_range import (
    CodeProducts,
    Prediction,
    is_looked_at,
    known_of_codes,
    learn_range,
    row_factors,
    row_offsets,
)
from .rotation import RandomRotation

RotationMethod = Literal["haar", "hadamard", "dct"]

# Bytes of the corrections that asymmetric search keeps of a row, if any.
CORRECTION_BYTES = 3
# Recall that keeping none must add at equal bytes: predicting them makes a single query
# take up to three times as long.
_WORTH_PREDICTING = 0.005
# Rows that the axes are learned from: as many as these products of numbers allow, but
# at least two for each coordinate.
_PRODUCTS = 2**36
_MOST_ROWS = 2**15
# Wider vectors have their leading axes found by a randomized decomposition; what is
# left is taken to be alike in all directions.
_EXACT_FEATURES = 1536
_LEADING_AXES = 1024
# Share of the bits that may go to directions that the rows do not vary in, as those of
# models with a few dead ones do.
_IDLE = 0.05
# Rounds of improving a code; a third one changed cosines by less than .0001.
_ROUNDS = 2
# Multiplications that pay for a thread, which takes a tenth of a millisecond to start.
_WORK_OF_A_THREAD = 2**26
# Scale of coordinates that do not vary, as a share of the mean's largest number.
_STILL = 1e-6
# What exponent="auto" chooses from, those nearest to 1 first, and on which rows.
_EXPONENTS = (1.0, 0.75, 1.25, 0.5, 1.5, 2.0, 0.0)
_TRIAL_ROWS = 2**13
_TRIAL_QUERIES = 500
# Shorter rows take as many more as cost the same, up to 4 times: their recalls differ
# less from exponent to exponent than those of so few queries vary.
_TRIAL_PRODUCTS = 2**18
# Products of numbers that turn trial rows to their axes, which bounds rows of d > 2048.
_TRIAL_TURNED = 2**35
_FEWEST_TRIAL_ROWS = 64
_TRIAL_NEIGHBORS = 10
# Strengths of the corrections to choose from, see CodeProducts; without a trial the
# first, which is within .01 of the best one on eight of nine sets of embeddings.
_STRENGTHS = (0.25, 0.5, 0.0, 0.75)


class Axes(NamedTuple):
    """Where rows vary: their mean, orthonormal directions, variances along them.

    ``directions``, (d, n_axes), ``variances``, (n_axes,), falling, and ``rank``: the
    number of directions in which the rows vary at all.
    """

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rank: int


class PCAQuantizer(CorrectingEncoder):
    """Spend a budget of bits on principal axes, where the variance is.

    Rows are centered and rotated to their principal axes. Axes of more variance get
    more bits, those of the least may get none, and coordinates of equally many bits
    are rotated among themselves. At any number of bytes this finds more neighbors than
    equally many bits for every coordinate.

    Parameters
    ----------
    bits : float, default=1.0
        Mean number of bits for each coordinate of the vectors, any positive number.
        The last byte of a row is filled.
    n_bytes : int, default=None
        Instead of ``bits``: whole bytes of a row in an index with
        ``query="vectors"``, its corrections included.
    exponent : float or "auto", default="auto"
        Bits go to axes by their variance to this power: 1 makes the squared error
        small, 0 takes all axes for alike: they are rotated together, so that of fewer
        bits than axes each axis has its share. "auto" tries some powers from 0 to 2 on
        a sample of the rows and takes that with the highest recall of the rows'
        neighbors; with fewer than 64 rows, 1.
    max_depth : {1, 2, 4, 8}, default=8
        Most bits of a coordinate.
    rotation : {"haar", "hadamard", "dct"} or None, default="haar"
        How coordinates of equally many bits are rotated, or all at exponent 0, as in
        :class:`RandomRotation`; None keeps the principal axes as they are.
    random_state : int, RandomState instance or None, default=None
        Seed of the rotation and of the sample that is learned from.
    correction_bytes : {0, 3} or "auto", default="auto"
        Bytes of a row's corrections in asymmetric search. With none, they are predicted
        from the code: where rows are short, as many more bytes of code find more.
        "auto" tries both at equal bytes, as it tries exponents; with fewer than 64
        rows, 3.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,), dtype float64
        Mean of the rows.
    components_ : ndarray of shape (n_components, n_features), dtype float32
        Orthonormal directions whose coordinates are kept: the principal axes, rotated
        within groups of equal depth, or all together.
    depths_ : ndarray of shape (n_components,), dtype uint8
        Bits of each of them, never rising.
    explained_variance_ : ndarray of shape (n_axes,), dtype float64
        Variance along the principal axes, falling; of few rows it is shrunk towards
        its mean.
    exponent_ : float
        The power that was used.
    correction_bytes_ : int
        Bytes of a row's corrections, 0 or 3.
    correction_strength_ : float
        What factor multiplies products of queries and codes, chosen on the rows: at 0
        that which brings the code's values closest to the row; at 1 that which makes
        estimates exact for a query that equals the row, as in RaBitQ [3]_; else their
        mean with this weight.
    levels_ : dict of int to ndarray
        Levels of the coordinates of each depth, in standard deviations.
    layout_ : MixedDepths
        What the bytes of the codes hold.
    n_bytes_ : int
        Bytes of a row in an index with ``query="vectors"``.
    n_features_in_ : int
        Number of coordinates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had names at fit.

    See Also
    --------
    BinaryQuantizer, TwoBitQuantizer : As many bits for every coordinate; their codes
        can be searched by bit operations, and by other engines.

    Notes
    -----
    This is transform coding with reverse water-filling [1]_: an axis of variance v at b
    bits leaves an error v D(b), D that of the best levels for a normal number [2]_. The
    error that search sees, after the correction of the estimate, is across the row, and
    matters as far as near neighbors differ along it. Where their differences are alike
    in all directions the exponent should be 1; where they vary as the rows do, 2; and
    heavy tails, where each row has its energy elsewhere, speak for 0: that is why it is
    chosen on the rows.

    A code is the nearest one level by level, to that multiple of the row whose code has
    the smallest angle to it.

    All rows must be seen at once: there is no ``partial_fit``.

    References
    ----------
    .. [1] Huang, J. and Schultheiss, P. "Block quantization of correlated Gaussian
       random variables", IEEE Transactions on Communications Systems 11, 1963.
    .. [2] Max, J. "Quantizing for minimum distortion", IRE Transactions on
       Information Theory 6, 1960.
    .. [3] Gao, J. and Long, C. "RaBitQ: quantizing high-dimensional vectors with a
       theoretical error bound for approximate nearest neighbor search", SIGMOD 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import PCAQuantizer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((1000, 16)) * np.linspace(3, 0.1, 16)
    >>> quantizer = PCAQuantizer(bits=1, exponent=1, random_state=0).fit(X)
    >>> quantizer.depths_
    array([2, 2, 2, 2, 2, 2, 1, 1, 1, 1], dtype=uint8)
    >>> quantizer.transform(X).shape
    (1000, 2)
    """

    def __init__(
        self,
        bits: float = 1.0,
        *,
        n_bytes: int | None = None,
        exponent: float | Literal["auto"] = "auto",
        max_depth: int = 8,
        rotation: RotationMethod | None = "haar",
        random_state: RandomState = None,
        correction_bytes: int | Literal["auto"] = "auto",
    ) -> None:
        self.bits = bits
        self.n_bytes = n_bytes
        self.exponent = exponent
        self.max_depth = max_depth
        self.rotation = rotation
        self.random_state = random_state
        self.correction_bytes = correction_bytes

    def fit(self, X: VectorsLike, y: object = None) -> Self:
        """Learn axes and levels, and how many bits each axis gets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        X = check_vectors(self, X, reset=True)
        self._check_parameters()
        budget = self._count_bits(X.shape[1])
        random_state = check_random_state(self.random_state)
        # More threads would add in another order.
        with one_blas_thread:
            rows = _sample_rows(X, random_state)
            axes = _find_axes(rows)
            trial = _Trial(rows, axes, random_state)
            self._learn(rows, axes, trial, budget, random_state)
        return self

    def _check_parameters(self) -> None:
        check_real(self.bits, "bits", self, low=0, closed_low=False)
        if self.n_bytes is not None:
            check_int(self.n_bytes, "n_bytes", self, low=1)
            if self.bits != 1:
                raise ValueError(
                    "PCAQuantizer takes 'bits' or 'n_bytes', not both. Got bits="
                    f"{self.bits!r} and n_bytes={self.n_bytes!r}: leave one out."
                )
        if isinstance(self.exponent, str):
            check_option(self.exponent, "exponent", self, ["auto"], "a float")
        else:
            check_real(self.exponent, "exponent", self, low=0)
        if check_int(self.max_depth, "max_depth", self, low=1) not in (1, 2, 4, 8):
            raise ValueError(
                "The 'max_depth' parameter of PCAQuantizer must be 1, 2, 4 or 8, bits "
                f"that fill whole bytes. Got {self.max_depth!r} instead."
            )
        given = self.correction_bytes
        if isinstance(given, str):
            check_option(given, "correction_bytes", self, ["auto"], "0 or 3")
        elif check_int(given, "correction_bytes", self, low=0) not in (0, 3):
            raise ValueError(
                "The 'correction_bytes' parameter of PCAQuantizer must be 'auto', 0 or "
                f"{CORRECTION_BYTES}. Got {given!r} instead."
            )
        if self.rotation is not None:
            options = ["haar", "hadamard", "dct"]
            check_option(self.rotation, "rotation", self, options, "None")

    def _count_bits(self, d: int) -> "_Budget":
        """Return how many bits a code has."""
        most = d * self.max_depth
        if self.n_bytes is None:
            if self.bits * d < 1:
                raise ValueError(
                    f"bits={self.bits!r} for each of {d} coordinates is less than one "
                    f"bit for a row. Pass bits of at least 1 / {d}."
                )
            if self.bits > self.max_depth:
                raise ValueError(
                    f"bits={self.bits!r} is more than max_depth={self.max_depth} "
                    f"allows for each coordinate. Pass fewer bits{self._or_deeper}."
                )
            n_bits = min(8 * code_width(int(np.ceil(self.bits * d))), most)
            return _Budget(n_bits, n_bits, n_bits - 8 * CORRECTION_BYTES)
        n_bits = 8 * (self.n_bytes - CORRECTION_BYTES)
        if self.correction_bytes == 0:
            n_bits = 8 * self.n_bytes
        elif n_bits < 8:
            raise ValueError(
                f"n_bytes={self.n_bytes} leaves nothing for the code, since "
                f"{CORRECTION_BYTES} bytes of a row are its corrections. Pass at least "
                f"{CORRECTION_BYTES + 1}, or correction_bytes=0."
            )
        if n_bits > 8 * code_width(most):
            raise ValueError(
                f"n_bytes={self.n_bytes} is more than {d} coordinates of max_depth="
                f"{self.max_depth} bits can fill. Pass at most "
                f"{self.n_bytes - code_width(n_bits) + code_width(most)}"
                f"{self._or_deeper}."
            )
        # Codes that the corrections' bytes would fill up are not compared.
        plain = 8 * self.n_bytes if self.n_bytes <= code_width(most) else 0
        return _Budget(n_bits, plain, n_bits)

    def _learn(
        self,
        rows: np.ndarray,
        axes: Axes,
        trial: "_Trial",
        budget: "_Budget",
        random_state: np.random.RandomState,
    ) -> None:
        self._check_rank(axes, budget.corrected, *rows.shape)
        chosen = trial.choose(budget, self)
        self.exponent_ = chosen.exponent
        self.correction_bytes_ = chosen.correction_bytes
        self.correction_strength_ = chosen.strength
        n_bits = budget.corrected if chosen.correction_bytes else budget.plain
        given = _Given.of(axes, n_bits, self.exponent_, self.max_depth, self.rotation)
        self.mean_ = axes.mean
        self.explained_variance_ = axes.variances
        self.layout_ = _make_layout(axes, given)
        self._n_features_out = self.layout_.width
        directions = given.rotate(axes.directions, self.rotation, random_state)
        self._panels = as_panels(directions)
        some = np.ascontiguousarray(rows[is_looked_at(len(rows))])
        codes, sums = self._encode_with_sums(some)
        self._correction_range = learn_range(sums, codes)
        self._learn_prediction(codes, sums)

    def _learn_prediction(self, codes: CodeArray, sums: np.ndarray) -> None:
        """Learn what codes say of corrections: of factors, and of offsets by metric."""
        self._prediction: Prediction | None = None
        c = self._project(self.mean_.astype(np.float32)[np.newaxis])[0]
        known = known_of_codes(codes, np.ascontiguousarray(c))
        targets = [row_factors(sums), *(row_offsets(sums, m) for m in METRICS)]
        if np.isfinite(np.concatenate([known, targets])).all():
            self._prediction = Prediction.learn(c, known, np.array(targets))

    def _check_rank(self, axes: Axes, n_bits: int, n_rows: int, d: int) -> None:
        """Refuse many more bits than the directions take that the rows vary in."""
        most = axes.rank * self.max_depth
        if 0 < axes.rank < d < n_rows and most < (1 - _IDLE) * n_bits:
            n_bytes = code_width(most - 7) + CORRECTION_BYTES
            fitting = f", n_bytes of at most {n_bytes}" * (n_bytes > CORRECTION_BYTES)
            raise ValueError(
                f"The rows vary in {axes.rank} of {d} directions only (constant or "
                f"duplicate columns?), which at max_depth={self.max_depth} take "
                f"{most} bits of the {n_bits} asked for. Pass bits of at most "
                f"{most / d:.4g}{fitting}{self._or_deeper}."
            )

    @property
    def _or_deeper(self) -> str:
        """What else a message can advise where bits are too many."""
        return ", or a larger max_depth, up to 8" * (self.max_depth < 8)

    @property
    def depths_(self) -> np.ndarray:
        """Bits of each coordinate that is kept, uint8 (n_components,), never rising."""
        return self.layout_.depths

    @property
    def levels_(self) -> dict[int, np.ndarray]:
        """Levels of the coordinates of each depth, in standard deviations."""
        return self.layout_.levels

    @property
    def n_bytes_(self) -> int:
        """Bytes of a row in an index with ``query="vectors"``."""
        return self.layout_.width + self.correction_bytes_

    @property
    def components_(self) -> np.ndarray:
        """Directions whose coordinates are kept, float32 (n_components, n_features)."""
        columns = self._panels.transpose(0, 2, 1).reshape(-1, self._panels.shape[1])
        return columns[: self.layout_.n_values]

    def _encode(self, block: np.ndarray) -> CodeArray:
        return self._encode_with_sums(block).codes

    def _encode_with_sums(self, block: np.ndarray) -> EncodedBlock:
        centered, sums = np.empty(block.shape, np.float32), np.empty((4, len(block)))
        center_rows(read_only(block), read_only(self.mean_), centered, sums)
        codes, products = _encode_projected(
            self._project(centered), self.layout_, sums[0]
        )
        sums[1] = products.along_for(self.correction_strength_)
        return EncodedBlock(codes, sums)

    def _count_threads(self, n_rows: int) -> int:
        work = n_rows * self._panels.size
        return min(one_blas_thread.n_threads(), 1 + work // _WORK_OF_A_THREAD)

    def _project(self, centered: np.ndarray) -> np.ndarray:
        out = np.empty((len(centered), PANEL * len(self._panels)), np.float32)
        project(read_only(centered), read_only(self._panels), out)
        return out[:, : self.layout_.n_values]

    def inverse_transform(self, X: CodeArray) -> np.ndarray:
        """Reconstruct vectors: the levels of what was kept, the mean of what was not.

        Parameters
        ----------
        X : CodeArray of shape (n_samples, width)
            Codes that this quantizer made.

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_features), dtype float32
        """
        self._check_own_codes(X)
        d = self.n_features_in_
        panels = read_only(as_panels(self.components_))
        mean = self.mean_.astype(np.float32)
        vectors = np.empty((len(X), d), np.float32)
        for rows in fixed_blocks(len(X), BLOCK_ROWS):
            values = X[rows].unpack()
            out = np.empty((len(values), PANEL * len(panels)), np.float32)
            project(read_only(values), panels, out)
            vectors[rows] = out[:, :d] + mean
        return vectors

    def _refuse_chunks(self) -> bool:
        raise AttributeError(
            "PCAQuantizer has no partial_fit: its axes, and the bits that they get, "
            "come from all rows at once, and codes of earlier chunks would not fit "
            "later axes. Call fit on a sample, then transform chunk by chunk."
        )

    @available_if(_refuse_chunks)
    def partial_fit(self, X: VectorsLike, y: object = None) -> Self:
        """Refuse: see :meth:`fit`."""
        raise NotImplementedError


def _sample_rows(X: np.ndarray, random_state: np.random.RandomState) -> np.ndarray:
    """Return rows to learn from as floats: all, or a random sample where many."""
    n, d = X.shape
    most = max(2 * d, min(_MOST_ROWS, _PRODUCTS // (d * d)))
    seed = random_state.randint(2**31)
    if n <= most:
        return float_rows(X)
    rows = np.random.default_rng(seed).choice(n, most, replace=False)
    return float_rows(X[np.sort(rows)])


def _find_axes(rows: np.ndarray) -> Axes:
    """Find the principal axes of rows, the signs fixed as scikit-learn's svd_flip."""
    n, d = rows.shape
    mean = rows.mean(axis=0, dtype=np.float64)
    # The mean of a constant column may be rounded away from its value.
    constant = (rows == rows[0]).all(axis=0)
    mean[constant] = rows[0, constant]
    if d > _EXACT_FEATURES:
        return _find_leading_axes(rows, mean)
    covariance, fourth = np.zeros((d, d)), 0.0
    for block in fixed_blocks(n, BLOCK_ROWS):
        a = rows[block] - mean
        covariance += a.T @ a
        fourth += np.square(np.square(a).sum(axis=1)).sum()
    covariance /= n
    variances, directions = eigh(covariance)
    variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
    _, directions = svd_flip(None, directions.T, u_based_decision=False)
    rank = int((variances > ROUNDING * variances[0]).sum())
    variances = _shrink(variances, fourth / n, n)
    return Axes(mean, directions.T, variances, rank)


def _shrink(variances: np.ndarray, fourth: float, n: int) -> np.ndarray:
    """Shrink variances along sample axes towards their mean (Ledoit and Wolf 2004).

    Axes of few rows seem stronger, and the weakest weaker, than they are.

    Parameters
    ----------
    variances : ndarray of shape (d,)
    fourth : float
        Mean of |a|^4 over the centered rows.
    n : int
        Number of rows.
    """
    mean, squares = variances.mean(), np.square(variances).sum()
    apart = squares - len(variances) * mean**2
    noise = max(fourth - squares, 0.0) / n
    if not apart > 0 or n < 2:
        return variances
    share = min(noise / apart, 1.0)
    return share * mean + (1 - share) * variances


def _find_leading_axes(rows: np.ndarray, mean: np.ndarray) -> Axes:
    """Find the leading axes, and fill up with directions across them.

    What is left of the variance is taken to be alike in all of these.
    """
    n, d = rows.shape
    centered = (rows - mean).astype(np.float32)
    unit = float(np.abs(centered).max()) or 1.0
    centered /= np.float32(unit)
    n_leading = min(_LEADING_AXES, n, d)
    _, singular, directions = randomized_svd(
        centered, n_leading, n_iter=1, random_state=0, flip_sign=False
    )
    _, directions = svd_flip(None, directions, u_based_decision=False)
    squares = np.square(centered, dtype=np.float64).sum(axis=1)
    total = squares.mean()
    leading = np.square(singular.astype(np.float64)) / n
    rest = max(total - leading.sum(), 0.0) / max(d - n_leading, 1)
    variances = np.concatenate([leading, np.full(d - n_leading, rest)])
    variances = -np.sort(-variances)
    shrunk = _shrink(variances, np.square(squares).mean(), n)
    rank = d if rest > ROUNDING * variances[0] else int((leading > 0).sum())
    full = qr(directions.T, mode="full")[0]
    full[:, :n_leading] = directions.T
    return Axes(mean, full, shrunk * unit**2, rank)


class _Given(NamedTuple):
    """The bits that axes are given, and which axes are rotated together.

    ``depths``: int64 (n_axes,), never rising. ``groups``: slices of the axes; the
    first coordinates of a group are those that are kept.
    """

    depths: np.ndarray
    groups: tuple[slice, ...]

    @classmethod
    def of(
        cls,
        axes: Axes,
        n_bits: int,
        exponent: float,
        max_depth: int,
        method: RotationMethod | None,
    ) -> Self:
        """Give bits to axes.

        At exponent 0 all axes are alike: all in which rows vary are one group, of which
        so many rotated coordinates are kept as there are bits for. So rows that have
        their energy in axes of little variance keep a share of it.
        """
        depths = allocate(axes.variances, n_bits, exponent, max_depth)
        n_kept = int((depths > 0).sum())
        if method is None:
            return cls(depths, ())
        if exponent == 0:
            return cls(depths, (slice(0, max(axes.rank, n_kept)),))
        ends = np.flatnonzero(np.diff(depths[:n_kept])) + 1
        edges = [0, *ends.tolist(), n_kept]
        return cls(depths, tuple(slice(*ends) for ends in pairwise(edges)))

    @property
    def kept(self) -> np.ndarray:
        """Bits of the coordinates that are kept, of which the others have none."""
        return self.depths[self.depths > 0]

    def rotate(
        self,
        columns: np.ndarray,
        method: RotationMethod | None,
        random_state: np.random.RandomState,
    ) -> np.ndarray:
        """Rotate columns, one for each axis, in their groups; return those kept."""
        n_kept = len(self.kept)
        out = np.array(columns[:, :n_kept])
        for group in self.groups:
            assert method is not None
            rotation = RandomRotation(method, random_state=random_state)
            some = np.ascontiguousarray(columns[:, group])
            turned = rotation.fit(some[:1]).transform(some)
            out[:, group] = turned[:, : n_kept - group.start]
        return out


def _make_layout(axes: Axes, given: _Given) -> MixedDepths:
    """Return the layout of codes: one scale for a group that is rotated."""
    kept = given.kept
    variances = axes.variances[: len(kept)].copy()
    for group in given.groups:
        variances[group] = axes.variances[group].mean()
    scales = np.sqrt(variances).astype(np.float32)
    # Where rows do not vary, values near 0, as far as the mean's digits allow.
    scales[~(scales > 0)] = _STILL * (np.abs(axes.mean).max() or 1)
    levels = {int(depth): normal_levels(int(depth)) for depth in np.unique(kept)}
    return MixedDepths(len(axes.mean), kept, levels, scales, deep_below=True)


def _encode_projected(
    z: np.ndarray, layout: MixedDepths, squares: np.ndarray
) -> tuple[CodeArray, CodeProducts]:
    """Encode rows of given squared norms that were projected."""
    codes = np.empty((len(z), layout.width), np.uint8)
    along, code_squares = np.empty(len(z)), np.empty(len(z))
    scales = layout.scales.astype(np.float32)
    arrays = Depths(scales, layout.line_coordinates, *layout.level_arrays)
    encode_rows(read_only(z), arrays, _ROUNDS, codes, along, code_squares)
    return with_layout(codes, layout), CodeProducts(squares, along, code_squares)


class _Budget(NamedTuple):
    """Bits of a code with corrections beside it, or without.

    ``compared``: with corrections, in as many bytes as without.
    """

    corrected: int
    plain: int
    compared: int


class SharedAxes:
    """The principal axes of some rows, on which quantizers of any budget are fitted.

    Axes are found once. A quantizer that is fitted here is the one that its own fit
    gives for the same rows and the same ``random_state``, an int.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    random_state : int

    Attributes
    ----------
    rank : int
        Number of directions in which the rows vary.
    """

    def __init__(self, X: np.ndarray, random_state: int) -> None:
        self._random_state = random_state
        with one_blas_thread:
            self._rows = _sample_rows(X, np.random.RandomState(random_state))
            self._axes = _find_axes(self._rows)
        self.rank = self._axes.rank

    def fit(self, quantizer: PCAQuantizer) -> PCAQuantizer:
        """Fit a quantizer, whose ``random_state`` must be that of these axes."""
        quantizer._check_parameters()
        budget = quantizer._count_bits(self._rows.shape[1])
        random_state = np.random.RandomState(self._random_state)
        random_state.randint(2**31, size=2)  # what drew the rows, and those of trials
        quantizer.n_features_in_ = self._rows.shape[1]
        with one_blas_thread:
            quantizer._learn(self._rows, self._axes, self._trial, budget, random_state)
        return quantizer

    @cached_property
    def _trial(self) -> "_Trial":
        random_state = np.random.RandomState(self._random_state)
        random_state.randint(2**31)  # what drew the rows
        return _Trial(self._rows, self._axes, random_state)

    def best_exponents(
        self, budgets: Iterable[int], max_depth: int, rotation: RotationMethod | None
    ) -> list[float]:
        """Return for each number of bits the exponent that finds most neighbors.

        Tried on fewer rows than ``exponent="auto"``; those around that of the budget
        before, since neighbors of a budget differ little from it.
        """
        chosen: list[float] = []
        with one_blas_thread:
            trial = _Trial(
                self._rows,
                self._axes,
                np.random.RandomState(self._random_state),
                most_rows=_TRIAL_ROWS // 2,
                n_queries=_TRIAL_QUERIES // 2,
            )
            start = 1.0
            for n_bits in budgets:
                best, start = trial.best_near(start, n_bits, max_depth, rotation)
                chosen.append(best)
        return chosen


def _fast(rotation: RotationMethod | None) -> RotationMethod | None:
    """Return the rotation to try with: as good, and fast."""
    return None if rotation is None else "hadamard"


class _Trial:
    """Which exponent finds most neighbors of some rows among others, by their codes.

    Distances are euclidean, and estimated as in asymmetric search.
    """

    def __init__(
        self,
        rows: np.ndarray,
        axes: Axes,
        random_state: np.random.RandomState,
        *,
        most_rows: int = _TRIAL_ROWS,
        n_queries: int = _TRIAL_QUERIES,
    ) -> None:
        self._axes, self._seed = axes, random_state.randint(2**31)
        rng = np.random.default_rng(self._seed)
        d = rows.shape[1]
        most = max(_FEWEST_TRIAL_ROWS, min(most_rows, _TRIAL_TURNED // (d * d)))
        numbers = rng.permutation(len(rows))[:most]
        centered = (rows[numbers] - axes.mean).astype(np.float32)
        centered = centered @ axes.directions.astype(np.float32)
        scale = float(np.abs(centered).max()) or 1.0
        self._z = (centered / scale).astype(np.float32)
        self._unit = scale
        self._squares = np.square(self._z, dtype=np.float64).sum(axis=1)
        n_queries = int(np.clip(_TRIAL_PRODUCTS // d, n_queries, 4 * n_queries))
        self._n_queries = min(n_queries, len(numbers) // 4)
        self._k = min(_TRIAL_NEIGHBORS, len(numbers) // 10)
        mean = axes.mean @ axes.directions / scale
        self._z_and_mean = np.vstack([self._z, mean.astype(np.float32)])
        scores = self._z[: self._n_queries] @ self._z.T
        self._true = (self._squares - 2 * scores).astype(np.float32)
        np.fill_diagonal(self._true, np.inf)
        farthest = np.partition(self._true, self._k - 1, axis=1)[:, self._k - 1]
        self._limits = farthest + 1e-6 * self._squares.max()  # but for rounding

    def choose(self, budget: _Budget, quantizer: PCAQuantizer) -> "_Choice":
        """Choose what a quantizer leaves open, by the highest recall.

        Of equal exponents that nearest to 1 is taken.
        """
        exponent, given = quantizer.exponent, quantizer.correction_bytes
        exponents = _EXPONENTS if isinstance(exponent, str) else (float(exponent),)
        n_bytes = CORRECTION_BYTES if given == "auto" else int(given)
        if len(self._z) < _FEWEST_TRIAL_ROWS:
            return _Choice(exponents[0], _STRENGTHS[0], n_bytes)

        def best(n_bits: int, exponents: Sequence[float], *, predicted: bool) -> _Tried:
            return self._best(n_bits, exponents, quantizer, predicted=predicted)

        found = best(budget.corrected, exponents, predicted=n_bytes == 0)
        takes = self._axes.rank * quantizer.max_depth
        no_room = not 8 <= budget.plain <= takes or budget.compared < 8
        if given != "auto" or no_room:
            return _Choice(found.exponent, found.strength, n_bytes)
        compared = found
        if budget.compared != budget.corrected:
            compared = best(budget.compared, [found.exponent], predicted=False)
        without = best(budget.plain, exponents, predicted=True)
        if without.recall > compared.recall + _WORTH_PREDICTING:
            return _Choice(without.exponent, without.strength, 0)
        return _Choice(found.exponent, found.strength, CORRECTION_BYTES)

    def _best(
        self,
        n_bits: int,
        exponents: Sequence[float],
        quantizer: PCAQuantizer,
        *,
        predicted: bool,
    ) -> "_Tried":
        """Try exponents; of those of equal recall the first is taken."""
        tried: dict[object, _Tried] = {}
        max_depth, method = quantizer.max_depth, _fast(quantizer.rotation)
        for exponent in exponents:
            given = _Given.of(self._axes, n_bits, exponent, max_depth, method)
            same = given.depths.tobytes(), str(given.groups)
            if same not in tried:
                recall, strength = self._try(given, method, predicted=predicted)
                tried[same] = _Tried(recall, strength, exponent)
        return max(tried.values(), key=lambda one: one.recall)

    def best_near(
        self, start: float, n_bits: int, max_depth: int, rotation: RotationMethod | None
    ) -> tuple[float, float]:
        """Return the exponent that finds most, and that of those above 0.

        Those above 0 are tried on the way up from ``start``. 0 is no neighbor of
        theirs, since it rotates all axes together.
        """
        if len(self._z) < _FEWEST_TRIAL_ROWS:
            return 1.0, 1.0

        (zero, *exponents), method = sorted(_EXPONENTS), _fast(rotation)

        @lru_cache
        def recall(exponent: float) -> float:
            given = _Given.of(self._axes, n_bits, exponent, max_depth, method)
            return self._try(given, method)[0]

        while True:
            here = exponents.index(start)
            around = exponents[max(here - 1, 0) : here + 2]
            best = max(around, key=lambda one: (recall(one), one == start))
            if best == start:
                return max(best, zero, key=recall), best
            start = best

    def _try(
        self,
        given: _Given,
        method: RotationMethod | None,
        *,
        predicted: bool = False,
    ) -> tuple[float, float]:
        """Return the highest recall of all strengths of corrections, and which."""
        axes = self._axes._replace(variances=self._axes.variances / self._unit**2)
        layout = _make_layout(axes, given)
        random_state = np.random.RandomState(self._seed)
        turned = given.rotate(self._z_and_mean, method, random_state)
        z, c = turned[:-1], turned[-1]
        codes, products = _encode_projected(z, layout, self._squares)
        values = codes.unpack()
        scores = z[: self._n_queries] @ values.T
        known = np.array([products.code_squares, values @ c]) if predicted else None
        best = -1.0, _STRENGTHS[0]
        for strength in _STRENGTHS:
            along, zero = products.along_for(strength), np.zeros(len(z))
            corrections = np.array(
                [
                    np.divide(self._squares, along, out=zero, where=along > 0),
                    self._squares,
                ]
            )
            if known is not None:
                corrections = Prediction.learn(c, known, corrections).predict(known)
            recall = self._recall(scores, *corrections)
            if recall > best[0]:
                best = recall, strength
        return best

    def _recall(
        self, scores: np.ndarray, factors: np.ndarray, squares: np.ndarray
    ) -> float:
        counts = np.empty(self._n_queries, np.int64)
        count_found(
            read_only(scores),
            read_only(factors),
            read_only(squares),
            read_only(self._true),
            read_only(self._limits),
            self._k,
            counts,
        )
        return float(counts.sum() / (self._k * self._n_queries))


class _Choice(NamedTuple):
    """What a trial chose."""

    exponent: float
    strength: float
    correction_bytes: int


class _Tried(NamedTuple):
    """The highest recall, and what it was reached with."""

    recall: float
    strength: float
    exponent: float
