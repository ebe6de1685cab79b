"""The advisor: which quantization for these vectors, and how sure."""

from ._estimator import QuantizationAdvisor

__all__ = ["QuantizationAdvisor"]
