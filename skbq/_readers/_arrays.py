"""Arrays: .npy, .npz, .h5, .safetensors, and the binary files of ANN benchmarks."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from .._utils.stored_rows import Part
from ._parts import (
    Stored,
    array_part,
    as_ids,
    check_dtype,
    check_shape,
    choose,
    converted_part,
    need,
    no_columns,
)

_NOT_WHOLE = "is not a whole {} file of numbers, as {} writes them"


def read_npy(path: str, column: str | None, ids: str | None) -> Part:
    """Map an array of numpy.save."""
    no_columns(path, column, ids)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            return read_npz(path, column, ids)
    except (ValueError, EOFError):
        message = _NOT_WHOLE.format(".npy", "numpy.save")
        raise ValueError(f"{path} {message}") from None
    return array_part(path, array)


def read_npz(path: str, column: str | None, ids: str | None) -> Part:
    """Read one array of numpy.savez; it is mapped unless it was compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        with np.load(path, allow_pickle=False) as arrays:
            # Without a name, the only array, or the only matrix.
            names = list(members)
            if column is None and len(names) > 1:
                matrices = [n for n in names if n != ids and arrays[n].ndim == 2]
                names = matrices if len(matrices) == 1 else names
            name = choose(path, names, column, "arrays")
            found = None if ids is None else _ids(path, arrays, arrays.files, ids)
            if members[name].compress_type != zipfile.ZIP_STORED:
                return array_part(path, arrays[name], found)
        return array_part(path, _map_member(path, members[name]), found)
    except (EOFError, zipfile.BadZipFile):
        message = _NOT_WHOLE.format(".npz", "numpy.savez")
        raise ValueError(f"{path} {message}") from None


def _map_member(path: str, member: zipfile.ZipInfo) -> np.ndarray:
    with open(path, "rb") as file:
        file.seek(member.header_offset + 26)
        name_length, extra_length = np.frombuffer(file.read(4), "<u2")
        file.seek(int(name_length) + int(extra_length), 1)
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, is_fortran, dtype = read(file)
        offset = file.tell()
    order: Literal["F", "C"] = "F" if is_fortran else "C"
    return np.memmap(path, dtype, "r", offset, shape, order)


def _ids(
    path: str, group: Mapping[str, Stored], names: Iterable[str], ids: str
) -> np.ndarray:
    return as_ids(group[choose(path, names, ids, "arrays")][:])


def read_h5(path: str, column: str | None, ids: str | None) -> Part:
    """Read a data set of an HDF5 file; of ANN benchmarks, the one that is searched."""
    h5py = need("h5py", "HDF5")
    file = h5py.File(path, "r")
    found: dict[str, Stored] = {}
    file.visititems(
        lambda name, item: found.update({name: item} if hasattr(item, "dtype") else {})
    )
    if column is None and "train" in found:
        column = "train"
    matrices = [name for name, item in found.items() if item.ndim == 2]
    data = found[choose(path, matrices if column is None else found, column, "arrays")]
    kept = None if ids is None else _ids(path, found, found, ids)
    check_shape(path, data.shape)
    check_dtype(path, data.dtype)
    part = converted_part(path, data, lambda rows: data[rows], kept)
    return Part(path, part.shape, data.dtype, part.read, part.chunks, ids=kept)


_SAFETENSORS = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "V2"}
_SAFETENSORS |= {"I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1", "U8": "u1"}


def read_safetensors(path: str, column: str | None, ids: str | None) -> Part:
    """Map one tensor of a .safetensors file."""
    safetensors = need("safetensors", "safetensors")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            listed = list(file.keys())
            names = [n for n in listed if len(file.get_slice(n).get_shape()) == 2]
            name = choose(path, listed if column else names, column, "tensors")
            shape = file.get_slice(name).get_shape()
            kept = None
            if ids is not None:
                kept = as_ids(file.get_tensor(choose(path, listed, ids, "tensors")))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no whole .safetensors file: {error}") from None
    # The library has checked the header; it copies tensors, and knows no bfloat16.
    with open(path, "rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        entry = json.loads(raw.read(length))[name]
    dtype = np.dtype(_SAFETENSORS.get(entry["dtype"], "V1"))
    offset = 8 + length + entry["data_offsets"][0]
    return array_part(path, np.memmap(path, dtype, "r", offset, tuple(shape)), kept)


# Files of ANN benchmarks, which hold nothing but vectors.

_VECS = {"fvecs": "<f4", "ivecs": "<i4", "bvecs": "u1"}
_BINS = {"fbin": "<f4", "u8bin": "u1", "i8bin": "i1", "ibin": "<i4"}


def read_vecs(path: str, column: str | None, ids: str | None) -> Part:
    """Map a file in which the number of coordinates stands before each row."""
    no_columns(path, column, ids)
    dtype = np.dtype(_VECS[path.rpartition(".")[2]])
    width = int.from_bytes(_first(path, 4), "little", signed=True)
    row = np.dtype([("d", "<i4"), ("values", dtype, (width,))]) if width > 0 else None
    size = _size(path)
    if row is None or size % row.itemsize:
        raise ValueError(
            f"{path} is no whole file of this kind: it has {size} bytes, and its first "
            f"row has {width} coordinates"
        )
    table = np.memmap(path, row, "r")
    other = np.flatnonzero(table["d"] != width)
    if other.size:
        raise ValueError(
            f"{path}: row {other[0]} has {table['d'][other[0]]} coordinates, row 0 has "
            f"{width}"
        )
    return _values(path, table["values"])


def read_bin(path: str, column: str | None, ids: str | None) -> Part:
    """Map a file that begins with the numbers of rows and coordinates."""
    no_columns(path, column, ids)
    dtype = np.dtype(_BINS[path.rpartition(".")[2]])
    n, d = (int(number) for number in np.frombuffer(_first(path, 8), "<u4"))
    if _size(path) != 8 + n * d * dtype.itemsize:
        raise ValueError(
            f"{path} is no whole file of this kind: it has {_size(path)} bytes, and "
            f"{n} x {d} values of {dtype.itemsize} take {8 + n * d * dtype.itemsize}"
        )
    check_shape(path, (n, d))
    return _values(path, np.memmap(path, dtype, "r", 8, (n, d)))


def _values(path: str, array: np.ndarray) -> Part:
    if array.dtype == np.uint8:  # values, in this kind of file, and no packed bits
        return converted_part(path, array, lambda rows: array[rows].astype(np.float32))
    return array_part(path, array)


def _first(path: str, count: int) -> bytes:
    with open(path, "rb") as file:
        head = file.read(count)
    if len(head) < count:
        raise ValueError(f"{path} is no whole file of this kind: it is too short")
    return head


def _size(path: str) -> int:
    with open(path, "rb") as file:
        return file.seek(0, 2)
