"""Binary quantization of embeddings, as scikit-learn estimators."""

from ._advisor import QuantizationAdvisor
from ._graph import BinaryNeighborsTransformer
from ._neighbors import BinaryNeighbors
from ._profiler import HeterogeneityProfiler
from ._quantizers import BinaryQuantizer, TwoBitQuantizer
from ._rotation import RandomRotation
from .codes import CodeArray, as_codes

__version__ = "0.1.0"

__all__ = [
    "BinaryNeighbors",
    "BinaryNeighborsTransformer",
    "BinaryQuantizer",
    "CodeArray",
    "HeterogeneityProfiler",
    "QuantizationAdvisor",
    "RandomRotation",
    "TwoBitQuantizer",
    "as_codes",
]
