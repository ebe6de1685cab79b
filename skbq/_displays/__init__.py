"""Pictures of fitted estimators, in the style of scikit-learn's displays."""

from .drift import DriftDisplay
from .fidelity import FidelityDisplay
from .heterogeneity import HeterogeneityDisplay
from .recall import RecallDisplay

__all__ = ["DriftDisplay", "FidelityDisplay", "HeterogeneityDisplay", "RecallDisplay"]
