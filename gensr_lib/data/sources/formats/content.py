"""The bytes of a raw file, packed with gzip or not, and the guards on their size.

A few kilobytes of gzip may unpack to more than any disk holds, and one line may be as long as the
file. Both are found here, before a parser takes them into memory.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ....errors import DataError

# Raise these where a file of your own is larger for a good reason.
MAX_BYTES = 4 * 10**9  # of a CSV file, unpacked, or of a Parquet table: all of it goes into memory
MAX_LINE = 10**7  # bytes of one line
MAX_GROWTH = 200  # times the packed size: tables and reviews grow 3 to 20 times
FREE = 10**8  # bytes that a file may always have
BLOCK = 1 << 20
LINES = 1 << 23  # bytes of lines that are parsed at once; less than MAX_LINE

# How files begin that are no text, and what to do with them.
FOREIGN = {
    b"\x1f\x8b": "packed with gzip twice; unpack it once",
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or export the sheet as CSV",
    b"PAR1": "a Parquet file; name it .parquet",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; export the sheet as CSV (UTF-8)",
    b"BZh": "packed with bzip2; unpack it, or pack it with gzip",
    b"\xfd7zXZ": "packed with xz; unpack it, or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it, or pack it with gzip",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"SQLite format 3": "a data base; export the table as CSV",
}
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)  # what a gz file cut short or overwritten raises


def is_gzip(path: Path) -> bool:
    """Whether a file is packed, whatever its name says."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_content(path: Path) -> IO[bytes]:
    """The unpacked bytes of a file."""
    return gzip.open(path, "rb") if is_gzip(path) else path.open("rb")


def damaged(path: Path, error: Exception) -> DataError:
    """The error for a compressed file that ends too early or is no gzip file."""
    found = f"the file is damaged or cut short ({error})"
    return DataError(f"{path}: {found}. Download or write it again.")


def check_text(path: Path) -> int:
    """The number of lines of a text file that are not blank.

    Raises:
        DataError: no parser should read it, since it is damaged, of another format, larger than
            `MAX_BYTES` or `MAX_GROWTH` times its packed size, or holds a line of more than
            `MAX_LINE` bytes, or a NUL.
    """
    total = 0
    line = 1
    tail = 0  # bytes since the last end of a line
    filled = 0
    before = True  # whether the byte before the block ends a line
    for block in _blocks(path):
        if not total:
            _refuse_foreign(path, block)
        total += len(block)
        if b"\0" in block:
            line += _lines_of(block[: block.index(b"\0")])
            raise DataError(f"{path}: line {line} holds a NUL byte. Save the table as UTF-8 text.")
        end = max(block.rfind(b"\n"), block.rfind(b"\r")) + 1
        tail = len(block) - end + (0 if end else tail)
        line += _lines_of(block)
        if tail > MAX_LINE:
            raise _too_long(path, line)
        letters = np.frombuffer(block, np.uint8)
        ends = np.r_[before, (letters == ord("\n")) | (letters == ord("\r"))]
        filled += int(np.count_nonzero(ends[:-1] & ~ends[1:]))
        before = ends[-1]
        if total > MAX_BYTES:
            advice = f"take a part of the events, or raise {__name__}.MAX_BYTES"
            raise DataError(f"{path}: more than {MAX_BYTES:,} bytes, MAX_BYTES; {advice}.")
    return filled


def check_growth(path: Path) -> None:
    """Raise `DataError` if the start of a file unpacks to far more than it takes.

    That is the part which may unpack to `FREE` bytes: whoever reads on meets the same guard.
    """
    start = FREE // MAX_GROWTH
    for _ in _guarded(path, lambda file: file.read(BLOCK), most=start):
        pass


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file.

    Raises:
        DataError: it is damaged, it grows without end, or a line does.
    """
    number = 0
    for line in _guarded(path, lambda file: file.readline(MAX_LINE + 1)):
        number = number + 1
        if len(line) > MAX_LINE:
            raise _too_long(path, number)
        yield line


def line_blocks(path: Path) -> Iterator[bytes]:
    """A file in blocks of whole lines, of `LINES` bytes and the rest of a line each.

    Raises:
        DataError: as `lines`.
    """
    number = 1
    for block in _guarded(path, lambda file: file.read(LINES) + file.readline(MAX_LINE + 1)):
        # A line that is too long reaches beyond `LINES`, so it is the last one of its block.
        start = block.rfind(b"\n", 0, len(block) - 1) + 1
        if len(block) - start > MAX_LINE:
            raise _too_long(path, number + block.count(b"\n", 0, start))
        number = number + block.count(b"\n")
        yield block


def _blocks(path: Path) -> Iterator[bytes]:
    return _guarded(path, lambda file: file.read(BLOCK))


def _guarded(path: Path, read, most: float = math.inf) -> Iterator[bytes]:
    """What ``read`` takes from a file, while its growth is sane, until nothing is left.

    Args:
        most: bytes of the file as it is stored, after which no more is read.
    """
    total = 0
    try:
        with path.open("rb") as raw, gzip.open(raw) if is_gzip(path) else raw as file:
            while part := read(file):
                total += len(part)
                if total > FREE and total > MAX_GROWTH * raw.tell():
                    found = f"the first {raw.tell():,} bytes unpack to {total:,}"
                    limit = f"{__name__}.MAX_GROWTH, {MAX_GROWTH} times"
                    raise DataError(f"{path}: {found}, more than {limit}; unpack a sound file.")
                yield part
                if raw.tell() >= most:
                    return
    except DAMAGED as error:
        raise damaged(path, error) from error


def _refuse_foreign(path: Path, start: bytes) -> None:
    for magic, what in FOREIGN.items():
        if start.startswith(magic):
            raise DataError(f"{path}: the file is {what}.")


def _too_long(path: Path, line: int) -> DataError:
    found = f"line {line} has more than {MAX_LINE:,} bytes, {__name__}.MAX_LINE"
    return DataError(f"{path}: {found}; is a quotation mark or a line end missing?")


def _lines_of(block: bytes) -> int:
    return max(block.count(b"\n"), block.count(b"\r"))
