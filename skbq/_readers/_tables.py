"""Tables with a column of vectors: .parquet, .arrow, .feather, .jsonl, .csv."""

import csv
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from .._utils.containers import as_matrix
from .._utils.stored_rows import Part
from ._parts import array_part, as_ids, check_dtype, check_shape, choose, need

# Arrow, which has no types of its own


class _Field(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def type(self) -> object: ...


class _Schema(Protocol):
    @property
    def names(self) -> list[str]: ...
    def __iter__(self) -> Iterator[_Field]: ...


class _Column(Protocol):
    def to_numpy(self) -> np.ndarray: ...
    def to_pylist(self) -> list[object]: ...


class _Table(Protocol):
    @property
    def columns(self) -> Sequence[_Column]: ...
    def column(self, i: int, /) -> _Column: ...
    def __array__(self) -> np.ndarray: ...


def read_parquet(path: str, column: str | None, ids: str | None) -> Part:
    """Read a column of a Parquet file, row group by row group."""
    arrow = need("pyarrow", ".parquet")
    parquet = need("pyarrow.parquet", ".parquet")
    try:
        file = parquet.ParquetFile(path)
    except arrow.ArrowInvalid as error:
        raise ValueError(f"{path} is no whole Parquet file: {error}") from None
    counts = [
        file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)
    ]

    def table(group: int, names: list[str]) -> _Table:
        return file.read_row_group(group, columns=names)

    return _of_arrow(path, file.schema_arrow, counts, table, column, ids)


def read_arrow(path: str, column: str | None, ids: str | None) -> Part:
    """Read a column of an Arrow IPC file or stream, batch by batch."""
    arrow = need("pyarrow", ".arrow")
    ipc = need("pyarrow.ipc", ".arrow")
    mapped = arrow.memory_map(path)
    try:
        file = ipc.open_file(mapped)
        batches = [file.get_batch(i) for i in range(file.num_record_batches)]
    except arrow.ArrowInvalid:
        mapped.seek(0)
        try:
            file = ipc.open_stream(mapped)
            batches = list(file)
        except arrow.ArrowInvalid as error:
            raise ValueError(f"{path} is no whole Arrow file: {error}") from None
    return _of_arrow(
        path,
        file.schema,
        [batch.num_rows for batch in batches],
        lambda group, names: arrow.table(batches[group].select(names)),
        column,
        ids,
    )


def _of_arrow(
    path: str,
    schema: _Schema,
    counts: list[int],
    table: Callable[[int, list[str]], _Table],
    column: str | None,
    ids: str | None,
) -> Part:
    """Return the part of a table that comes in groups of rows."""
    chunks = np.cumsum([0, *counts])
    if column is not None or _list_columns(schema):
        name = choose(path, _list_columns(schema), column, "columns of vectors")
        names = [name]
    else:
        numbers = [f.name for f in schema if str(f.type) in _NUMBERS and f.name != ids]
        names = numbers if len(numbers) > 1 else []
        if not names:
            listed = ", ".join(schema.names)
            raise ValueError(f"{path} has no column of vectors; there are: {listed}")
    if not chunks[-1]:
        raise ValueError(f"{path} has no rows")
    groups = [i for i, count in enumerate(counts) if count]
    chunks = np.cumsum([0, *(counts[i] for i in groups)])

    def read(start: int, stop: int) -> np.ndarray:
        group = int(np.searchsorted(chunks, start, "right")) - 1
        found = table(groups[group], names)
        try:
            if len(names) > 1:
                return np.stack([c.to_numpy() for c in found.columns], axis=1)
            return as_matrix(found)  # type: ignore[return-value]
        except ValueError as error:
            raise ValueError(f"{path}, from row {start}: {error}") from None

    first = read(0, int(chunks[1]))
    check_shape(path, first.shape)
    check_dtype(path, first.dtype)
    kept = None
    if ids is not None:
        choose(path, schema.names, ids, "columns")
        parts = [table(i, [ids]).column(0).to_pylist() for i in groups]
        kept = as_ids([value for part in parts for value in part])
    shape = (int(chunks[-1]), first.shape[1])

    def checked(start: int, stop: int) -> np.ndarray:
        rows = read(start, stop)
        if rows.shape[1] != shape[1]:
            raise ValueError(
                f"{path}: row {start} has {rows.shape[1]} coordinates, row 0 has "
                f"{shape[1]}"
            )
        return rows

    return Part(path, shape, first.dtype, checked, chunks, ids=kept)


_NUMBERS = {"halffloat", "float", "double", "int8", "int16", "int32", "int64"}


def _list_columns(schema: _Schema) -> list[str]:
    return [
        field.name
        for field in schema
        if str(field.type).startswith(("list", "large_list", "fixed_size_list"))
    ]


# Text, which is read once into a temporary file of float32


def read_jsonl(path: str, column: str | None, ids: str | None) -> Part:
    """Read lines that are vectors, or objects that hold one."""

    def rows() -> Iterator[tuple[object, object]]:
        name = column
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file):
                if not line.strip():
                    continue
                try:
                    value = json.loads(line)
                except ValueError:
                    raise ValueError(f"{path}: line {number + 1} is no JSON") from None
                if isinstance(value, list):
                    yield value, None
                    continue
                if not isinstance(value, dict):
                    raise ValueError(f"{path}: line {number + 1} holds no vector")
                if name is None:
                    lists = [k for k, v in value.items() if isinstance(v, list)]
                    name = choose(path, lists, None, "columns of vectors")
                choose(f"{path}, line {number + 1},", value, name, "columns")
                if ids is not None:
                    choose(f"{path}, line {number + 1},", value, ids, "columns")
                yield value[name], value.get(ids)

    return _spooled(path, rows(), ids)


def read_csv(path: str, column: str | None, ids: str | None) -> Part:
    """Read columns of numbers, or one column of JSON lists."""

    def rows() -> Iterator[tuple[object, object]]:
        delimiter = "\t" if path.endswith(".tsv") else ","
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            names = next(reader, [])
            numbers = [i for i, name in enumerate(names) if name != ids]
            if _is_number(names):  # no header
                names, numbers = [], list(range(len(names)))
                file.seek(0)
            if column is not None:
                numbers = [names.index(choose(path, names, column, "columns"))]
            at = None
            if ids is not None:
                at = names.index(choose(path, names, ids, "columns"))
            for number, row in enumerate(reader):
                if not row:
                    continue
                try:
                    cells = [row[i] for i in numbers]
                    value = json.loads(cells[0]) if len(cells) == 1 else cells
                    yield value, None if at is None else row[at]
                except (ValueError, IndexError):
                    raise ValueError(f"{path}: row {number} holds no vector") from None

    return _spooled(path, rows(), ids)


def _is_number(cells: list[str]) -> bool:
    try:
        return bool(cells) and all(np.isfinite(float(cell)) for cell in cells)
    except ValueError:
        return False


def _spooled(path: str, rows: Iterator[tuple[object, object]], ids: str | None) -> Part:
    """Write vectors of text to a temporary file, so that they can be read again."""
    kept = []
    with tempfile.TemporaryFile() as spool:
        shape = (0, 0)
        for value, identifier in rows:
            vector = _vector(path, value, shape)
            spool.write(vector.tobytes())
            kept.append(identifier)
            shape = (shape[0] + 1, len(vector))
        check_shape(path, shape)
        spool.flush()
        array = np.memmap(spool, np.float32, "r", shape=shape)
    return array_part(path, array, None if ids is None else as_ids(kept))


def _vector(path: str, value: object, shape: tuple[int, int]) -> np.ndarray:
    try:
        vector = np.asarray(value, np.float32)
    except (ValueError, TypeError):
        raise ValueError(f"{path}: row {shape[0]} is no list of numbers") from None
    if vector.ndim != 1 or (shape[0] and len(vector) != shape[1]):
        raise ValueError(
            f"{path}: row {shape[0]} has shape {vector.shape}, row 0 has ({shape[1]},)"
        )
    return vector
