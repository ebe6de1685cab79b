"""Predicted ranking fidelity of codes."""
