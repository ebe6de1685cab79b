"""Strategies: ways to code vectors and to search for their neighbors."""

from dataclasses import dataclass
from typing import Literal

from sklearn.pipeline import Pipeline, make_pipeline

from .._utils.typing import CodeMetric, Levels, Query
from ..codes import code_width
from .pca import CORRECTION_BYTES, PCAQuantizer
from .quantizers import BinaryQuantizer, TwoBitQuantizer
from .rotation import RandomRotation

# The baseline's levels, whose distances stay whole numbers (quantizer_defaults.py).
PLAIN_LEVELS = (1, 3)
# One fixed rotation, so that what was measured is what is recommended and exported.
ROTATION_SEED = 0


@dataclass(frozen=True)
class Strategy:
    """A way to code vectors and to search for their neighbors.

    Attributes
    ----------
    bits : float
        Bits of each coordinate: 1, 2, or the mean of codes of principal axes.
    query : {"codes", "vectors"}
        Symmetric search, where a query is encoded too, or asymmetric search.
    rotated : bool
        Whether vectors are rotated at random before.
    threshold : {"mean", "zero"}
        What each coordinate is compared with.
    levels : tuple of float or "lloyd_max"
        Magnitudes of two bits; means nothing for one.
    code_metric : {"auto", "hamming", "penalty", "dot"}
        How two codes are compared.
    rotation : {"haar", "dct", "hadamard"}
        How it rotates; means nothing for codes that are not rotated.
    code_bytes : int or None
        Bytes of a code of principal axes, without corrections; None: codes of equally
        many bits for every coordinate.
    exponent : float
        Of :class:`~skbq.PCAQuantizer`; means something with ``code_bytes`` alone.
    max_depth : {1, 2, 4, 8}
        Most bits of a principal axis: 1 is a linear map, whose signs any engine that
        compares bits can be given.
    """

    bits: float
    query: Query = "codes"
    rotated: bool = False
    threshold: Literal["mean", "zero"] = "mean"
    levels: Levels = PLAIN_LEVELS
    code_metric: CodeMetric = "auto"
    rotation: Literal["haar", "dct", "hadamard"] = "haar"
    code_bytes: int | None = None
    exponent: float = 1.0
    max_depth: int = 4

    @property
    def is_pca(self) -> bool:
        """Whether the code is one of principal axes."""
        return self.code_bytes is not None

    @property
    def is_linear_map(self) -> bool:
        """Whether it takes the signs of what a linear map makes of the vectors."""
        return self.is_pca and self.max_depth == 1

    def width(self, n_features: int) -> int:
        """Return the bytes of a code of so many coordinates, without corrections."""
        if self.code_bytes is not None:
            return self.code_bytes
        return int(self.bits) * code_width(n_features)

    @property
    def name(self) -> str:
        """The code in words, without the kind of query and what is the default."""
        if self.is_linear_map:
            return f"PCA to {8 * (self.code_bytes or 0)} bits"
        if self.code_bytes is not None:
            corrections = CORRECTION_BYTES * (self.query == "vectors")
            return f"PCA codes of {self.code_bytes + corrections} bytes"
        parts = ["1 bit" if self.bits == 1 else "2 bits"]
        if self.threshold != "mean":
            parts.append(f"threshold {self.threshold}")
        if self.bits == 2 and self.levels != PLAIN_LEVELS:
            plain = isinstance(self.levels, str)
            parts.append(f"levels {self.levels if plain else list(self.levels)}")
        if self.rotated:
            parts.append("rotated")
        return ", ".join(parts)

    @property
    def words(self) -> str:
        """The code and the kind of query in words."""
        kind = "symmetric" if self.query == "codes" else "asymmetric"
        is_default = self.is_pca or self.code_metric == "auto"
        by = "" if is_default else f" by {self.code_metric}"
        return f"{self.name}, {kind} search{by}"

    @property
    def complexity(self) -> int:
        """What it asks of a user beyond the baseline code: larger for more."""
        if self.is_pca:
            return 4
        return 2 * self.rotated + (self.bits == 2 and self.levels != PLAIN_LEVELS)

    def make_quantizer(
        self, *, rotate: bool = True
    ) -> BinaryQuantizer | TwoBitQuantizer | PCAQuantizer | Pipeline:
        """Make the unfitted quantizer; without its rotation if not ``rotate``.

        That of principal axes always rotates, within groups of equal depth.
        """
        if self.code_bytes is not None:
            return PCAQuantizer(
                n_bytes=self.code_bytes + CORRECTION_BYTES,
                exponent=self.exponent,
                max_depth=self.max_depth,
                rotation=self.rotation,
                random_state=ROTATION_SEED,
                # As many bytes in all, but of a code that stands alone.
                correction_bytes="auto" if self.query == "vectors" else 3,
            )
        quantizer = (
            BinaryQuantizer(self.threshold)
            if self.bits == 1
            else TwoBitQuantizer(self.threshold, levels=self.levels)
        )
        if not (rotate and self.rotated):
            return quantizer
        rotation = RandomRotation(self.rotation, random_state=ROTATION_SEED)
        return make_pipeline(rotation, quantizer)


# The sign-magnitude code of the literature, for comparison.
LITERATURE = Strategy(2, threshold="zero", levels=(1, 2))
