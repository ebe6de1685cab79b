"""The file format of an index: a checked header, then plain arrays.

Layout of version 1, all integers little-endian:

======== ====================================================================
bytes    content
======== ====================================================================
0-7      ``SKBQ`` and four bytes of 0
8-11     version of the format, uint32, from 1
12-15    CRC-32 of the header, uint32; from version 3 on started with the version
16-23    length of the header in bytes, uint64
24-      the header, JSON in UTF-8; then arrays, each at a multiple of 64 bytes
======== ====================================================================

The header is ``{"size": bytes of the file, "state": any JSON, "arrays": [...]}``; an
array is ``{"dtype", "shape", "offset", "crc32"}``, its data in C order. ``state`` names
an array by its place in that list: ``{"array": 3}``. Nothing in a file is executed.

Version 2 may hold codes of mixed depth and short corrections, and refer to vectors in
another file; version 3 inverted lists, whose codes stand list after list. All else is
still written as version 1, for earlier skbq to read.
"""

import json
import math
import mmap as _mmap
import os
import re
import struct
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypedDict

import numpy as np

from .._utils.array_files import write_array
from .._utils.typing import JSON

_MAGIC = b"SKBQ\0\0\0\0"
# The newest version, which files with lists have; others keep the older number.
_VERSION = 3
FIRST_VERSION, SECOND_VERSION, LISTS_VERSION = 1, 2, 3
_PREFIX = struct.Struct("<8sIIQ")
# Bytes: arrays in a memory map start on cache lines, as the kernels like them.
_ALIGNMENT = 64
# Types of arrays, as numpy writes them.
_DTYPE = re.compile(r"[<|][biuf]\d{1,2}")
# Names of 65,536 columns fit; a longer header would be larger in memory than the file.
_LONGEST_HEADER = 2**22
# Bytes that a checksum reads at a time.
_CHUNK = 2**24


class _Entry(TypedDict):
    """Where an array is in a file."""

    dtype: str
    shape: list[int]
    offset: int
    crc32: int


class _Header(TypedDict):
    """What stands before the arrays of a file; of the state only its maker knows."""

    size: int
    state: dict[str, Any]
    arrays: list[_Entry]


class FileError(ValueError):
    """A file that is no index, or was cut short or altered."""


def write_file(
    path: str | os.PathLike[str],
    state: Mapping[str, JSON],
    arrays: list[np.ndarray],
    *,
    version: int = FIRST_VERSION,
) -> None:
    """Write a file beside its place and move it there once it is whole.

    Parameters
    ----------
    path : path-like
    state : JSON-like
    arrays : list of ndarray
        Numbers of any type.
    version : int, default=1
        The earliest version that reads the file as it is meant.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write to.")
    stored = [_little_endian(array) for array in arrays]
    header, size = _header(state, stored)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            checksum = _header_checksum(header, version)
            file.write(_PREFIX.pack(_MAGIC, version, checksum, len(header)))
            file.write(header)
            for array in stored:
                file.write(b"\0" * (-file.tell() % _ALIGNMENT))
                write_array(file, array)
            assert file.tell() == size
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_file(
    path: str | os.PathLike[str], *, mapped: bool = False, verify: bool = True
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Read a file.

    Parameters
    ----------
    path : path-like
    mapped : bool, default=False
        Whether arrays are read-only memory maps of the file.
    verify : bool, default=True
        Whether to compare the checksums of the arrays, which reads all of them. The
        header and the size of the file are always checked.

    Returns
    -------
    state : JSON-like
    arrays : list of ndarray

    Raises
    ------
    FileError
        If the file is not whole and unaltered.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = _read_header(file, size, path)
        end = file.tell()
        whole: np.ndarray | _mmap.mmap
        if mapped:
            whole = _mmap.mmap(file.fileno(), 0, access=_mmap.ACCESS_READ)
        else:
            file.seek(0)
            whole = np.fromfile(file, np.uint8)
    arrays = []
    for number, entry in enumerate(header["arrays"]):
        array = _array_at(whole, entry, end)
        if array is None:
            raise FileError(f"{path} was altered: array {number} lies nowhere in it.")
        gap = bytes(whole[end : entry["offset"]])
        if any(gap) or (verify and _checksum(array) != entry.get("crc32")):
            raise FileError(
                f"{path} was altered: array {number} does not match its checksum. "
                "Save the index again, or get a fresh copy of the file."
            )
        end = entry["offset"] + array.nbytes
        arrays.append(array)
    return header["state"], arrays


class FileMark(NamedTuple):
    """What tells a file from others without reading its arrays: two numbers.

    ``checksum`` is that of the header, which holds those of all arrays.
    """

    size: int
    checksum: int


def read_mark(path: str | os.PathLike[str]) -> FileMark:
    """Read the mark of a whole file.

    Raises
    ------
    FileError
        If the file was cut short, or its header was altered.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        _read_header(file, size, path)
        file.seek(0)
        return FileMark(size, _PREFIX.unpack(file.read(_PREFIX.size))[2])


def _header(state: Mapping[str, JSON], arrays: list[np.ndarray]) -> tuple[bytes, int]:
    """Return the header and the size of the whole file.

    Offsets are in the header, whose length they depend on: it is padded.
    """
    entries: list[_Entry] = [
        {
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "offset": 0,
            "crc32": _checksum(array),
        }
        for array in arrays
    ]
    draft = json.dumps({"size": 0, "state": state, "arrays": entries}).encode()
    length = len(draft) + 20 * (len(arrays) + 1)
    end = _PREFIX.size + length
    for entry, array in zip(entries, arrays, strict=True):
        entry["offset"] = end + -end % _ALIGNMENT
        end = entry["offset"] + array.nbytes
    header = json.dumps({"size": end, "state": state, "arrays": entries}).encode()
    if length > _LONGEST_HEADER:
        raise ValueError(
            f"Names and parameters of the index take {length:,} bytes, a file has room "
            f"for {_LONGEST_HEADER:,}. Fit on an array without names of columns."
        )
    return header.ljust(length), end


def _read_header(file: BinaryIO, size: int, path: str | os.PathLike[str]) -> _Header:
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size or prefix[: len(_MAGIC)] != _MAGIC:
        raise FileError(
            f"{path} is no index of skbq: write one with BinaryNeighbors.save."
        )
    _, version, checksum, length = _PREFIX.unpack(prefix)
    if version > _VERSION:
        raise FileError(
            f"{path} has version {version} of the format, this skbq reads up to "
            f"{_VERSION}. Upgrade skbq."
        )
    # Reading makes room for what is asked for, however short the file is.
    text = file.read(min(length, _LONGEST_HEADER, size))
    whole = len(text) == length and _header_checksum(text, version) == checksum
    header = _parse(text) if version >= 1 and whole else None
    if header is None:
        raise FileError(f"{path} was cut short or altered: its header is damaged.")
    if header["size"] != size:
        raise FileError(
            f"{path} was cut short or altered: it has {size} bytes instead of "
            f"{header['size']}."
        )
    return header


def _header_checksum(header: bytes, version: int) -> int:
    # Else a file of version 2 whose version became 3 by one bit would pass.
    start = version if version >= LISTS_VERSION else 0
    return zlib.crc32(header, start)


def _parse(text: bytes) -> _Header | None:
    """Return the header, if it is made as :func:`_header` makes it."""
    try:
        header = json.loads(text)
        if header.keys() == {"size", "state", "arrays"}:
            return header if isinstance(header["arrays"], list) else None
    except (ValueError, AttributeError, RecursionError):
        pass
    return None


def _array_at(
    whole: np.ndarray | _mmap.mmap, entry: _Entry, start: int
) -> np.ndarray | None:
    """Return an array if its place is where the one before ended, but for alignment."""
    try:
        dtype, shape, offset = entry["dtype"], entry["shape"], entry["offset"]
        if not _DTYPE.fullmatch(dtype) or offset != start + -start % _ALIGNMENT:
            return None
        if not all(type(length) is int and length >= 0 for length in shape):
            return None
        array = np.frombuffer(whole, np.dtype(dtype), math.prod(shape), offset)
        return array.reshape(shape)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _little_endian(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if not _DTYPE.fullmatch(array.dtype.str):
        raise TypeError(f"Arrays of {array.dtype} cannot be saved.")
    return array


def _checksum(array: np.ndarray) -> int:
    data = array.reshape(-1).view(np.uint8).data
    checksum = 0
    for start in range(0, len(data), _CHUNK):
        checksum = zlib.crc32(data[start : start + _CHUNK], checksum)
    return checksum


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
