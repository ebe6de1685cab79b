"""Calling functions by dask, on whatever scheduler is in use."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .._sharding.search import Promise
from .._utils.dask_rows import RETRIES, merge_tree

if TYPE_CHECKING:
    from distributed import Client

_GONE = (
    "The cluster that held this index is gone ({reason}). Start another one and fit "
    "again; an index with a folder is opened there by BinaryNeighbors.load(folder)."
)


def need_dask() -> ModuleType:
    """Import dask.

    Raises
    ------
    ImportError
        Naming the extra.
    """
    try:
        import dask.array
    except ImportError:
        raise ImportError(
            "skbq.distributed needs dask: pip install 'skbq[dask]'"
        ) from None
    return dask


class DaskEngine:
    """Make tasks of calls, which dask runs where their data are, and again if need be.

    Parameters
    ----------
    client : distributed.Client or None
        None: the scheduler that dask uses by default, which is that of the latest
        Client, if there is one.
    """

    def __init__(self, client: "Client | None" = None) -> None:
        self._dask = need_dask()
        if client is not None and not hasattr(client, "as_current"):
            raise TypeError(
                "client must be a distributed.Client, or None for dask's own default. "
                f"Got {type(client).__name__} instead."
            )
        self._client = client

    def call(
        self,
        function: Callable[..., object],
        *args: object,
        near: str | None = None,
    ) -> Promise:
        """Return a delayed value, preferably of a worker.

        dask may prefer the worker that holds what all calls share, such as queries, and
        give it more of them than the others. Where the worker is gone, or will not
        do, another one takes its place.
        """
        hints = {} if near is None else {"workers": [near], "allow_other_workers": True}
        with self._dask.annotate(**hints):
            return self._dask.delayed(function, pure=False)(*args)

    def places(self, promises: list[Promise]) -> list[str | None]:
        """Return the worker that holds each value; None where none does yet.

        Sources of files are held by none.
        """
        keys = [getattr(promise, "key", None) for promise in promises]
        client = self._client or _default_client()
        if client is None or not any(keys):
            return [None] * len(promises)
        with self.in_use():
            holders = client.who_has()
        return [next(iter(holders.get(key, ())), None) for key in keys]

    def merge(
        self, function: Callable[[list[Any]], object], parts: Iterable[Promise]
    ) -> Promise:
        """Merge as a tree, in the workers."""
        return merge_tree(function, list(parts))

    def result(self, promise: Promise) -> Any:
        """Compute a value."""
        return self.results([promise])[0]

    def results(self, promises: list[Promise]) -> list[Any]:
        """Compute values.

        Raises
        ------
        ConnectionError
            If the cluster is gone.
        """
        with self.in_use():
            return list(self._dask.compute(*promises))

    def persist(self, promises: list[Promise]) -> list[Promise]:
        """Compute values that stay where they are."""
        with self.in_use():
            return list(self._dask.persist(*promises))

    @contextmanager
    def in_use(self) -> Any:
        """Let dask use the client and its retries; say so if the cluster is gone."""
        current: AbstractContextManager[object] = nullcontext()
        if self._client is not None:
            if self._client.status != "running":
                raise ConnectionError(_GONE.format(reason="its client is closed"))
            current = self._client.as_current()
        with current, self._dask.annotate(retries=RETRIES):
            try:
                yield
            except Exception as error:
                if type(error).__name__ in _CLUSTER_ERRORS:
                    reason = f"{type(error).__name__}: {error}"
                    raise ConnectionError(_GONE.format(reason=reason)) from error
                raise


def _default_client() -> "Client | None":
    """Return the client that dask uses, None where it calls by itself."""
    try:
        from distributed import default_client
    except ImportError:  # of dask alone
        return None
    try:
        return default_client()
    except ValueError:
        return None


# What dask raises where scheduler, or what workers held, cannot be reached any more.
_CLUSTER_ERRORS = {
    "CancelledError",
    "FutureCancelledError",
    "FuturesCancelledError",
    "ClosedClientError",
    "CommClosedError",
}


def check_held(promises: Iterable[Promise]) -> None:
    """Refuse to search what is not held any more.

    Raises
    ------
    ConnectionError
    """
    try:
        from distributed import futures_of
    except ImportError:  # of dask alone, which holds values in this process
        return
    for future in futures_of(list(promises)):
        client = future.client
        status = "closed" if client is None else client.status
        if status != "running":
            raise ConnectionError(_GONE.format(reason=f"its client is {status}"))
        if future.status in ("cancelled", "lost"):
            raise ConnectionError(_GONE.format(reason=f"a shard is {future.status}"))
