"""Quantizers and the linear maps before them."""
