"""What an index of so many rows needs: memory, disk, machines, hours."""

from dataclasses import dataclass, fields
from math import ceil, inf
from typing import Literal

from .._utils.params import check_int, check_option, check_real
from .._utils.typing import METRICS, Metric, Query

_QUERIES: list[str] = ["codes", "vectors"]
# Decimal, as disks and networks are sold.
_GB = 1e9
_SECONDS_PER_HOUR = 3600
# Bytes of a row that lists add: its number, and its place in them.
_ROW_NUMBER_BYTES = 8
# Bytes of the corrections of a row for float queries; of codes of one or two bits under
# "inner_product" two more, for the error bound.
_CORRECTION_BYTES = 3
_NORM_BYTES = 2


@dataclass(frozen=True)
class CapacityPlan:
    """A plan by :func:`plan_capacity`; printing it shows a table.

    Attributes
    ----------
    n_rows, n_features : int
        What was asked for.
    code_bytes, correction_bytes, list_bytes, vector_bytes : int
        Bytes of a row: its code; its corrections in asymmetric search; what lists
        add; its vector, kept for reranking.
    index_gb, vectors_gb : float
        All rows: what is searched, and the vectors; in 10^9 bytes.
    disk_gb : float
        Both, with their copies.
    n_shards : int
    n_machines : int
        So many that what is searched fits into their memory and, if a latency was
        given, each scans its part in time.
    encode_hours : float
        To read and encode all rows, on all machines.
    scan_ms : float
        To search the part of one machine for one query, in milliseconds, without the
        network.
    rerank_ms : float
        To read the vectors that one query reranks.
    query_network_kb : float
        Sent to and from all machines for one query, in 10^3 bytes.
    """

    n_rows: int
    n_features: int
    code_bytes: int
    correction_bytes: int
    list_bytes: int
    vector_bytes: int
    index_gb: float
    vectors_gb: float
    disk_gb: float
    n_shards: int
    n_machines: int
    encode_hours: float
    scan_ms: float
    rerank_ms: float
    query_network_kb: float

    def __str__(self) -> str:
        rows = [
            (field.name.replace("_", " "), getattr(self, field.name))
            for field in fields(self)
        ]
        return "\n".join(f"{name:<18}{_number(value):>16}" for name, value in rows)


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plan_capacity(
    n_rows: int,
    n_features: int,
    *,
    bits: float = 1,
    code: Literal["coordinates", "pca"] = "coordinates",
    query: Query = "codes",
    metric: Metric = "cosine",
    n_neighbors: int = 10,
    oversampling: float | None = None,
    vector_bytes: int | None = None,
    probed_share: float | None = None,
    n_copies: int = 1,
    memory_gb: float = 64.0,
    n_cores: int = 8,
    latency_ms: float | None = None,
    scan_gb_per_second: float = 3.0,
    encode_rows_per_second: float = 50_000.0,
    read_gb_per_second: float = 1.0,
    random_reads_per_second: float = 100_000.0,
    shard_rows: int = 2**20,
) -> CapacityPlan:
    """Plan memory, disk, machines and hours for an index.

    All figures follow from the user's numbers by the formulas in the Notes. The default
    speeds of a core are below the slowest that ``benchmarks/capacity_speeds.py``
    measured (its results lie beside it); those of disks are assumptions. Measure yours
    and pass them.

    Parameters
    ----------
    n_rows, n_features : int
        Vectors, and their coordinates.
    bits : float, default=1
        Bits of a coordinate: 1 or 2; of ``code="pca"`` any mean number.
    code : {"coordinates", "pca"}, default="coordinates"
        ``BinaryQuantizer`` and ``TwoBitQuantizer``, or ``PCAQuantizer``.
    query : {"codes", "vectors"}, default="codes"
        Symmetric or asymmetric search; the second keeps corrections.
    metric : {"cosine", "euclidean", "inner_product"}, default="cosine"
    n_neighbors : int, default=10
        Neighbors of a query.
    oversampling : float, default=None
        Candidates that are reranked, for each neighbor; None: vectors are not kept.
    vector_bytes : int, default=None
        Bytes of a vector; None: float32.
    probed_share : float, default=None
        With lists, the share of the rows that a query compares: probes over lists.
        None: brute force, all of them.
    n_copies : int, default=1
        Copies of all files.
    memory_gb : float, default=64
        Memory of a machine that may be used for codes, in 10^9 bytes.
    n_cores : int, default=8
        Cores of a machine.
    latency_ms : float, default=None
        Longest time for the scan of one query; None: as memory decides.
    scan_gb_per_second : float, default=3
        Codes that a core scans for one query.
    encode_rows_per_second : float, default=50,000
        Rows that a core encodes.
    read_gb_per_second : float, default=1
        What a machine reads of the vectors' files in sequence.
    random_reads_per_second : float, default=100,000
        Vectors that a machine reads in any order.
    shard_rows : int, default=2^20
        Rows of a shard.

    Returns
    -------
    plan : CapacityPlan

    Raises
    ------
    TypeError, ValueError
        If a parameter makes no sense.

    Notes
    -----
    With N rows of d coordinates, b bits, M machines of C cores, and all bytes per row:

    - code: ``ceil(d / 8) * b`` for 1 and 2 bits, ``ceil(b d / 8)`` for principal axes;
    - corrections of asymmetric search: 3, of principal axes at most; under
      "inner_product" 5, but for principal axes;
    - lists: 8, the number of the row and its place, of codes in memory-mapped files;
      an index in memory holds its codes once more, in blocks of 64 rows;
    - ``index = N (code + corrections + lists)``, ``disk = copies (index + N vector)``;
    - ``M = ceil(index / memory)``, or ``ceil(index share / (latency C scan))`` if that
      is more;
    - ``hours = max(N / (M C encode), N vector / (M read)) / 3600``;
    - ``scan = index share / (M C scan)``, ``rerank = oversampling k / (M reads)``;
    - ``network = M (4 d + 16 k max(oversampling, 1))``: a float32 query, and distances
      and rows of candidates, to and from each machine.

    Examples
    --------
    >>> from skbq import plan_capacity
    >>> plan = plan_capacity(10**9, 768, bits=1, query="vectors", oversampling=4)
    >>> plan.code_bytes, plan.correction_bytes, plan.index_gb, plan.n_machines
    (96, 3, 99.0, 2)
    """
    name = "plan_capacity"
    check_int(n_rows, "n_rows", name, low=1)
    check_int(n_features, "n_features", name, low=1)
    check_option(code, "code", name, ["coordinates", "pca"])
    check_option(query, "query", name, _QUERIES)
    check_option(metric, "metric", name, METRICS)
    check_int(n_neighbors, "n_neighbors", name, low=1)
    check_int(n_copies, "n_copies", name, low=1)
    check_int(n_cores, "n_cores", name, low=1)
    check_int(shard_rows, "shard_rows", name, low=1)
    for parameter, value in {
        "memory_gb": memory_gb,
        "scan_gb_per_second": scan_gb_per_second,
        "encode_rows_per_second": encode_rows_per_second,
        "read_gb_per_second": read_gb_per_second,
        "random_reads_per_second": random_reads_per_second,
        "latency_ms": inf if latency_ms is None else latency_ms,
    }.items():
        _check_positive(value, parameter)
    if oversampling is not None:
        check_real(oversampling, "oversampling", name, low=1)
    share = 1.0 if probed_share is None else probed_share
    check_real(share, "probed_share", name, low=0, high=1, closed_low=False)
    code_bytes = _code_bytes(n_features, bits, code)
    correction_bytes = 0
    if query == "vectors":
        has_norms = metric == "inner_product" and code == "coordinates"
        correction_bytes = _CORRECTION_BYTES + _NORM_BYTES * has_norms
    list_bytes = 0 if probed_share is None else _ROW_NUMBER_BYTES
    source_bytes = 4 * n_features if vector_bytes is None else vector_bytes
    check_int(source_bytes, "vector_bytes", name, low=1)
    kept_bytes = 0 if oversampling is None else source_bytes
    index_gb = n_rows * (code_bytes + correction_bytes + list_bytes) / _GB
    vectors_gb = n_rows * kept_bytes / _GB
    scanned_gb = index_gb * share
    machine_scan = n_cores * scan_gb_per_second
    n_machines = max(1, ceil(index_gb / memory_gb))  # of memory without bounds
    if latency_ms is not None:
        in_time = latency_ms / 1e3 * machine_scan
        n_machines = max(n_machines, ceil(scanned_gb / in_time))
    encoding = n_rows / (n_machines * n_cores * encode_rows_per_second)
    reading = n_rows * source_bytes / _GB / (n_machines * read_gb_per_second)
    reranked = 0.0 if oversampling is None else oversampling * n_neighbors
    sent = 4 * n_features + 16 * n_neighbors * max(oversampling or 1, 1)
    return CapacityPlan(
        n_rows=int(n_rows),
        n_features=int(n_features),
        code_bytes=code_bytes,
        correction_bytes=correction_bytes,
        list_bytes=list_bytes,
        vector_bytes=kept_bytes,
        index_gb=index_gb,
        vectors_gb=vectors_gb,
        disk_gb=n_copies * (index_gb + vectors_gb),
        n_shards=ceil(n_rows / shard_rows),
        n_machines=n_machines,
        encode_hours=max(encoding, reading) / _SECONDS_PER_HOUR,
        scan_ms=1e3 * scanned_gb / (n_machines * machine_scan),
        rerank_ms=1e3 * reranked / (n_machines * random_reads_per_second),
        query_network_kb=n_machines * sent / 1e3,
    )


def _check_positive(value: float, parameter: str) -> None:
    if not (isinstance(value, float) and value == inf):
        check_real(value, parameter, "plan_capacity", low=0, closed_low=False)


def _code_bytes(n_features: int, bits: float, code: str) -> int:
    check_real(bits, "bits", "plan_capacity", low=0, closed_low=False)
    if code == "pca":
        return max(1, ceil(bits * n_features / 8))
    if bits not in (1, 2):
        raise ValueError(
            "The 'bits' parameter of plan_capacity must be 1 or 2 for code="
            f"'coordinates'. Got {bits!r} instead: code='pca' takes any mean number."
        )
    return ceil(n_features / 8) * int(bits)
