"""The manifest of an index of many files: which shards there are, and their marks.

``manifest.json`` stands beside the files that it lists by name. It is replaced as a
whole, after the files that it lists are whole, so that a run that was killed leaves a
manifest that tells the truth. ``complete`` is false until all shards are there.
"""

import json
import os
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Self

from .._neighbors.file_format import FileError, FileMark, read_mark

NAME = "manifest.json"
_FORMAT = "skbq shards"
# Raised when an older reader would misread a manifest.
_VERSION = 1


class ShardRecord(NamedTuple):
    """A file of the index.

    Attributes
    ----------
    file : str
        Its name in the folder.
    size, checksum : int
        Bytes of the file, and the CRC-32 of its header, which holds those of arrays.
    rows, removed : int
        Rows, and how many of them were removed.
    source : str
        Where the rows came from, in words.
    source_checksum : int
        CRC-32 of the rows that were encoded.
    """

    file: str
    size: int
    checksum: int
    rows: int
    removed: int = 0
    source: str = ""
    source_checksum: int = 0

    @classmethod
    def checked(cls, given: dict[str, object]) -> Self:
        """Return what a manifest says of a file.

        Raises
        ------
        ValueError, TypeError
            If it cannot be so: files are in the folder, and a row takes a byte.
        """
        record = cls(**given)  # type: ignore[arg-type]
        texts = record.file, record.source
        counts = (
            *(record.size, record.checksum, record.rows, record.removed),
            record.source_checksum,
        )
        right = (
            all(type(text) is str for text in texts)
            and all(type(count) is int and count >= 0 for count in counts)
            and record.removed <= record.rows <= record.size
            and os.path.basename(record.file) == record.file
        )
        if not right:
            raise ValueError
        return record

    @property
    def mark(self) -> FileMark:
        """What the file must have."""
        return FileMark(self.size, self.checksum)


@dataclass(frozen=True)
class Manifest:
    """What the manifest says.

    Attributes
    ----------
    learned : ShardRecord
        The file of what all shards share.
    shards : tuple of ShardRecord
        In the order of their rows.
    complete : bool
        Whether all rows are there.
    """

    learned: ShardRecord
    shards: tuple[ShardRecord, ...] = ()
    complete: bool = False

    @property
    def first_rows(self) -> list[int]:
        """The number that the first row of each shard has, and the number of rows."""
        return first_rows(self.shards)

    def with_shards(self, *shards: ShardRecord, complete: bool) -> Self:
        """Return a manifest of more shards."""
        return replace(self, shards=(*self.shards, *shards), complete=complete)

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Replace the manifest of a folder."""
        body = {
            "format": _FORMAT,
            "version": _VERSION,
            "complete": self.complete,
            "learned": self.learned._asdict(),
            "shards": [shard._asdict() for shard in self.shards],
        }
        text = json.dumps({**body, "crc32": _checksum(body)}, indent=1)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{NAME}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, Path(folder) / NAME)
        except BaseException:
            os.unlink(temporary)
            raise

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Self:
        """Read the manifest of a folder.

        Raises
        ------
        FileError
            If there is none, or it was altered.
        """
        path = Path(folder) / NAME
        if not path.is_file():
            raise FileError(
                f"{os.fspath(folder)} holds no {NAME}: it is no index of many files. "
                "Write one with ShardedNeighbors(folder=...).fit, or skbq encode "
                "-o FOLDER/."
            )
        try:
            body = json.loads(path.read_bytes())
            checksum = body.pop("crc32")
            if body["format"] != _FORMAT or checksum != _checksum(body):
                raise ValueError
            if body["version"] > _VERSION:
                raise FileError(
                    f"{path} has version {body['version']}, this skbq reads up to "
                    f"{_VERSION}. Upgrade skbq."
                )
            learned = ShardRecord.checked(body["learned"])
            shards = tuple(map(ShardRecord.checked, body["shards"]))
            if not isinstance(body["complete"], bool):
                raise ValueError
            return cls(learned, shards, body["complete"])
        except FileError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FileError(
                f"{path} was cut short or altered: its checksum does not match. Get a "
                "fresh copy of it, or encode again."
            ) from None

    def check_files(self, folder: str | os.PathLike[str]) -> None:
        """Refuse a folder that lacks a file, or has one of another size.

        Raises
        ------
        FileError
        """
        for record in (self.learned, *self.shards):
            path = Path(folder) / record.file
            if not path.is_file():
                raise FileError(f"{path} is missing, which {NAME} lists.")
            if path.stat().st_size != record.size:
                raise FileError(CHANGED.format(path=path))


def first_rows(records: Iterable[ShardRecord]) -> list[int]:
    """Return the number of the first row of each file, and the number of all rows."""
    return [0, *accumulate(record.rows for record in records)]


CHANGED = (
    "{path} is not the file that was encoded: its size or checksum is another. Get a "
    "fresh copy of it, or encode again."
)


def check_mark(path: str | os.PathLike[str], expected: FileMark) -> None:
    """Refuse a file that is another than the manifest lists.

    Raises
    ------
    FileError
    """
    if read_mark(path) != expected:
        raise FileError(CHANGED.format(path=path))


def _checksum(body: dict[str, object]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())
