"""Binary quantization of embeddings, as scikit-learn estimators."""

from importlib import import_module
from typing import TYPE_CHECKING

from ._advisor import QuantizationAdvisor
from ._displays import (
    DriftDisplay,
    FidelityDisplay,
    HeterogeneityDisplay,
    RecallDisplay,
)
from ._neighbors.index import BinaryNeighbors
from ._neighbors.transformer import BinaryNeighborsTransformer
from ._profiling.profiler import HeterogeneityProfiler
from ._quantization.pca import PCAQuantizer
from ._quantization.quantizers import BinaryQuantizer, TwoBitQuantizer
from ._quantization.rotation import RandomRotation
from ._quantization.unpacker import CodeUnpacker
from ._readers import open_vectors
from ._sharding.capacity import CapacityPlan, plan_capacity
from ._sharding.index import ShardedNeighbors
from .codes import CodeArray, as_codes

if TYPE_CHECKING:
    from types import ModuleType

    from . import cli as cli
    from . import datasets as datasets
    from . import distributed as distributed
    from . import exports as exports
    from . import metrics as metrics
    from . import theory as theory

__version__ = "0.1.0"

__all__ = [
    "BinaryNeighbors",
    "BinaryNeighborsTransformer",
    "BinaryQuantizer",
    "CapacityPlan",
    "CodeArray",
    "CodeUnpacker",
    "DriftDisplay",
    "FidelityDisplay",
    "HeterogeneityDisplay",
    "HeterogeneityProfiler",
    "PCAQuantizer",
    "QuantizationAdvisor",
    "RandomRotation",
    "RecallDisplay",
    "ShardedNeighbors",
    "TwoBitQuantizer",
    "as_codes",
    "open_vectors",
    "plan_capacity",
]

# Modules that ``import skbq`` offers as attributes and loads when they are asked for.
_MODULES = ("cli", "datasets", "distributed", "exports", "metrics", "theory")


def __getattr__(name: str) -> "ModuleType":
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
