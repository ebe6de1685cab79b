"""Predicted recall of neighbors."""
