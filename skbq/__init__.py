"""Binary quantization of embeddings, as scikit-learn estimators."""

from ._advisor import QuantizationAdvisor
from ._displays import FidelityDisplay, HeterogeneityDisplay
from ._neighbors.index import BinaryNeighbors
from ._neighbors.transformer import BinaryNeighborsTransformer
from ._profiling.profiler import HeterogeneityProfiler
from ._quantization.quantizers import BinaryQuantizer, TwoBitQuantizer
from ._quantization.rotation import RandomRotation
from ._readers import open_vectors
from .codes import CodeArray, as_codes

__version__ = "0.1.0"

__all__ = [
    "BinaryNeighbors",
    "BinaryNeighborsTransformer",
    "BinaryQuantizer",
    "CodeArray",
    "FidelityDisplay",
    "HeterogeneityDisplay",
    "HeterogeneityProfiler",
    "QuantizationAdvisor",
    "RandomRotation",
    "TwoBitQuantizer",
    "as_codes",
    "open_vectors",
]
