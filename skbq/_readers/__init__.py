"""Vectors in files of many kinds, read block by block.

``open_vectors`` tells the kind by the ending; each kind is read in a file of its own.
"""

from ._invalid import find_invalid
from ._open import KINDS, list_files, open_vectors

__all__ = ["KINDS", "find_invalid", "list_files", "open_vectors"]
