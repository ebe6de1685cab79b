"""Arrays that rows are added to, with room for more."""

import numpy as np

# Room is made for this share of the rows more: each is copied a few times at most.
_SHARE = 0.5


def extend(
    room: dict[str, np.ndarray], name: str, old: np.ndarray, added: np.ndarray
) -> np.ndarray:
    """Return the rows of ``old`` and then those of ``added``.

    Only what is added is copied where there is room behind ``old``. Elsewhere both are,
    once, into a larger array; so n rows added one by one cost O(n) copies in all.

    Parameters
    ----------
    room : dict
        Changed. The larger arrays by name, not to be shared. One that ``old`` is no
        view of has been left behind by a change, and is replaced.
    name : str
    old, added : ndarrays of the same shape but for the number of rows
        Of two types, the result has that which holds both.
    """
    n, total = len(old), len(old) + len(added)
    dtype = np.result_type(old, added)
    larger = room.get(name)
    if larger is not None and not np.may_share_memory(larger, old):
        larger = None
    if larger is None or larger.dtype != dtype or len(larger) < total:
        shape = (total + int(total * _SHARE), *old.shape[1:])
        larger = room[name] = np.empty_like(old, dtype, subok=False, shape=shape)
        larger[:n] = old
    larger[n:total] = added
    return larger[:total]
