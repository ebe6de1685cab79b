"""Pictures of fitted estimators, in the style of scikit-learn's displays."""

from .fidelity import FidelityDisplay
from .heterogeneity import HeterogeneityDisplay

__all__ = ["FidelityDisplay", "HeterogeneityDisplay"]
