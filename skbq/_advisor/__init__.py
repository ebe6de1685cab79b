"""The advisor: which quantization for these vectors, and how sure."""

from .advisor import QuantizationAdvisor

__all__ = ["QuantizationAdvisor"]
