"""Strategies: ways to code vectors and to ask for their neighbors."""

from dataclasses import dataclass
from typing import Literal

from sklearn.pipeline import Pipeline, make_pipeline

from .._utils.typing import CodeMetric, Levels, Query
from .quantizers import BinaryQuantizer, TwoBitQuantizer
from .rotation import RandomRotation

PLAIN_LEVELS = (1, 3)
# One fixed rotation, so that what was measured is what is recommended and exported.
ROTATION_SEED = 0


@dataclass(frozen=True)
class Strategy:
    """A way to code vectors and to ask.

    Attributes
    ----------
    bits : {1, 2}
        Bits of each coordinate.
    query : {"codes", "vectors"}
        Whether a query is coded too.
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
    """

    bits: int
    query: Query = "codes"
    rotated: bool = False
    threshold: Literal["mean", "zero"] = "mean"
    levels: Levels = PLAIN_LEVELS
    code_metric: CodeMetric = "auto"
    rotation: Literal["haar", "dct", "hadamard"] = "haar"

    @property
    def name(self) -> str:
        """The code in words, without the kind of query and what is the default."""
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
        query = "coded queries" if self.query == "codes" else "float queries"
        by = "" if self.code_metric == "auto" else f" by {self.code_metric}"
        return f"{self.name}, {query}{by}"

    @property
    def complexity(self) -> int:
        """What it asks of a user beyond the plain code: larger for more."""
        return 2 * self.rotated + (self.bits == 2 and self.levels != PLAIN_LEVELS)

    def make_quantizer(
        self, *, rotate: bool = True
    ) -> BinaryQuantizer | TwoBitQuantizer | Pipeline:
        """Make the unfitted quantizer; without its rotation if not ``rotate``."""
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
